package billing

import (
	"fmt"
	"testing"

	"github.com/shopspring/decimal"
)

// FuzzText: the short ways of writing decimals and days write what the long ones do.
func FuzzText(f *testing.F) {
	for _, n := range []int64{0, 1, -1, 5, 10, -10, 100, 1005, -995, 123456789, 999999999999999999,
		-999999999999999999, 1000000000000000000, -1000000000000000000, 1<<63 - 1, -1 << 63} {
		for _, exp := range []int32{0, 1, 2, -1, -2, -3, -9, -17, -18, -19, -30, 40} {
			f.Add(n, exp)
		}
	}
	f.Fuzz(func(t *testing.T, n int64, exp int32) {
		exp %= 50
		d := decimal.New(n, exp)
		if have, want := Text(d), d.String(); have != want {
			t.Errorf("%d e %d is %s, want %s", n, exp, have, want)
		}
		if have, want := string(AppendText([]byte("x"), d)), "x"+d.String(); have != want {
			t.Errorf("%d e %d is %s, want %s", n, exp, have, want)
		}
		if have, want := string(AppendMoney(nil, d)), d.StringFixed(2); have != want {
			t.Errorf("%d e %d is %s, want %s", n, exp, have, want)
		}
		for _, x := range []decimal.Decimal{d, d.Neg(), decimal.Zero, decimal.New(0, -4)} {
			if have, want := Plus(d, x), d.Add(x); !have.Equal(want) || Text(have) != want.String() {
				t.Errorf("%s + %s is %s, want %s", d, x, have, want)
			}
		}
		day := Day(n % 5_000_000)
		y, m, date := day.civil()
		if have, want := day.String(), fmt.Sprintf("%04d-%02d-%02d", y, m, date); have != want {
			t.Errorf("day %d is %s, want %s", int(day), have, want)
		}
		month := Month(n % 150_000)
		want := fmt.Sprintf("%04d-%02d", int(month)/12, int(month)%12+1)
		if have := month.String(); have != want {
			t.Errorf("month %d is %s, want %s", int(month), have, want)
		}
		wide := d.Mul(decimal.New(n, -3))
		if have, want := Text(wide), wide.String(); have != want {
			t.Errorf("%d e %d squared is %s, want %s", n, exp, have, want)
		}
	})
}

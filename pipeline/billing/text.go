package billing

import (
	"strconv"

	"github.com/shopspring/decimal"
)

// Text is the decimal's text as its String gives it: no exponent, no trailing zeros. Amounts are
// written many times for each bill, and those of everyday size do not need big integers for it.
func Text(d decimal.Decimal) string {
	var room [24]byte
	text, short := appendShort(room[:0], d, true, 0)
	if !short {
		return d.String()
	}
	return string(text)
}

// AppendText appends Text.
func AppendText(to []byte, d decimal.Decimal) []byte {
	text, short := appendShort(to, d, true, 0)
	if !short {
		return append(to, d.String()...)
	}
	return text
}

// AppendMoney appends an amount with the two places of CNY, rounded half away from zero where it
// has more.
func AppendMoney(to []byte, d decimal.Decimal) []byte {
	const places = 2
	if d.Exponent() >= -places {
		if text, short := appendShort(to, d, false, places); short {
			return text
		}
	}
	return append(to, d.StringFixed(places)...)
}

// Plus is a + b. Most sums begin with zero or have one part, for which no number has to be made.
func Plus(a, b decimal.Decimal) decimal.Decimal {
	switch {
	case a.IsZero():
		return b
	case b.IsZero():
		return a
	}
	return a.Add(b)
}

// shortDigits is how many digits an int64 surely has room for.
const shortDigits = 18

// appendShort appends a decimal of few digits with at least some places, and without trailing zeros
// where trim says so. It tells whether it could.
func appendShort(to []byte, d decimal.Decimal, trim bool, places int) ([]byte, bool) {
	down := -int(d.Exponent())
	if down < 0 || down > shortDigits || d.NumDigits() > shortDigits {
		return to, false
	}
	n := d.CoefficientInt64()
	for trim && down > 0 && n%10 == 0 {
		n, down = n/10, down-1
	}
	if n < 0 {
		to, n = append(to, '-'), -n
	}
	var room [shortDigits + 2]byte
	digits := strconv.AppendInt(room[:0], n, 10)
	for len(digits) <= down {
		digits = append(digits, 0)
		copy(digits[1:], digits)
		digits[0] = '0'
	}
	whole := len(digits) - down
	to = append(to, digits[:whole]...)
	if down > 0 || places > 0 {
		to = append(append(to, '.'), digits[whole:]...)
	}
	for ; down < places; down++ {
		to = append(to, '0')
	}
	return to, true
}

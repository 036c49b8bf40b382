package text

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

var update = flag.Bool("update", false, "rewrite testdata")

var shanghai = time.FixedZone("Asia/Shanghai", 8*3600)

// mixedBill has a line of most kinds, a Chinese name, prices of different precision, a rounding
// line and sub-accounts.
func mixedBill() *billing.Bill {
	dec := decimal.RequireFromString
	price := func(s string) *decimal.Decimal { d := dec(s); return &d }
	period := billing.MonthPeriod(billing.DateOf(2023, 1, 1).Month())
	return &billing.Bill{
		BillID: "1001/2023-01", AccountID: "1001", Period: period, Currency: "CNY",
		PeriodStart: period.First.Start(shanghai), PeriodEnd: period.End.Start(shanghai),
		ClosedAt:       period.End.At(8*time.Hour, shanghai),
		CatalogVersion: "2023.1", RuleVersion: 1,
		CatalogDigest: strings.Repeat("c0ffee", 10), Digest: strings.Repeat("ab", 32),
		Total: dec("1053.01"), BalanceBefore: dec("1000"), BalanceAfter: dec("-53.01"),
		Lines: []billing.BillLine{
			{No: 1, Kind: billing.UsageLine, Tag: "face_h5_authority", TagName: "微信原生H5-权威库",
				Period: "2023-01", Quantity: 1200, UnitPrice: price("0.875"), Amount: dec("1050"),
				Explain: []billing.Step{{Rule: "B15", Text: "1200 x 0.875 = 1050"}}},
			{No: 2, Kind: billing.LateUsageLine, Tag: "bank_card", TagName: "银行卡核验",
				Period: "2022-12", Quantity: 3, Amount: dec("3.006"),
				Flags:   []string{billing.FlagContractPriceMissing},
				Explain: []billing.Step{{Rule: "B19", Text: "2 x 1.002 + 1 x 1.002 = 3.006"}}},
			{No: 3, Kind: billing.CoveredLine, Tag: "face_h5_prepaid", TagName: "人脸核身",
				Period: "2023-01", Quantity: 40, UnitPrice: price("0"), PackageID: "pkg-\x1b[31m1"},
			{No: 4, Kind: billing.RoundingLine, Amount: dec("0.004")},
		},
		SubAccounts: []billing.SubAccountUsage{
			{AccountID: "1001-a", Kind: billing.UsageLine, Tag: "face_h5_authority", Quantity: 7},
			{AccountID: "o'neil", Kind: billing.CoveredLine, Tag: "face_h5_prepaid", Quantity: 40},
		},
	}
}

func TestBillAndExplainGolden(t *testing.T) {
	var shown, explained bytes.Buffer
	if err := Bill(&shown, mixedBill(), shanghai); err != nil {
		t.Fatal(err)
	}
	if err := Explain(&explained, mixedBill(), 0, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "bill.txt", shown.Bytes())
	golden(t, "explain.txt", explained.Bytes())
	for _, out := range []string{shown.String(), explained.String()} {
		if strings.Contains(out, "\x1b") {
			t.Error("an id from a record reaches the terminal as a control sequence")
		}
	}
}

func golden(t *testing.T, name string, have []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, have, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", name, have)
	}
}

func TestExplainOneLine(t *testing.T) {
	var out bytes.Buffer
	if err := Explain(&out, mixedBill(), 2, nil); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "Line 2") || strings.Contains(s, "Line 1") {
		t.Errorf("got %s", s)
	}
	err := Explain(&out, mixedBill(), 5, nil)
	if err == nil || !strings.Contains(err.Error(), "no line 5: its lines are 1 to 4") {
		t.Errorf("got %v", err)
	}
}

func TestMoneyIsExact(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0.00", "1": "1.00", "-1.5": "-1.50", "0.004": "0.004", "1.10000": "1.10",
		"0.000000000000000001": "0.000000000000000001", "1e3": "1000.00",
	} {
		if have := Money(decimal.RequireFromString(in)); have != want {
			t.Errorf("Money(%s) = %s, want %s", in, have, want)
		}
	}
}

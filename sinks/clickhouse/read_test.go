package clickhouse

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/settle"
)

func sampleBill(account string, p billing.Period) *billing.Bill {
	price := decimal.RequireFromString("0.000000000000000001")
	b := &billing.Bill{
		BillID: billing.BillID(account, p), AccountID: account, Period: p, Currency: "CNY",
		PeriodStart: p.First.Start(shanghai), PeriodEnd: p.End.Start(shanghai),
		ClosedAt: p.End.At(8*time.Hour, shanghai), CatalogVersion: "v1", CatalogDigest: "d1",
		RuleVersion: 1, Total: decimal.RequireFromString("12.34"),
		BalanceBefore: decimal.RequireFromString("100"),
		BalanceAfter:  decimal.RequireFromString("87.66"), Digest: "abc",
		Lines: []billing.BillLine{
			{No: 1, Kind: billing.UsageLine, Tag: "t1", TagName: "微信原生H5", Period: p.String(),
				Quantity: 5, UnitPrice: &price, Amount: decimal.RequireFromString("12.336"),
				Flags:   []string{billing.FlagContractPriceMissing},
				Explain: []billing.Step{{Rule: "B15", Text: "<5 x \"price\" & more>"}}},
			{No: 2, Kind: billing.RoundingLine, Amount: decimal.RequireFromString("0.004"),
				Flags: []string{}, Explain: []billing.Step{}},
		},
		SubAccounts: []billing.SubAccountUsage{
			{AccountID: "sub", Kind: billing.UsageLine, Tag: "t1", Quantity: 2},
		},
	}
	return b
}

func storeBill(t testing.TB, s *Store, b *billing.Bill) {
	t.Helper()
	n := len(b.Lines)
	err := errors.Join(s.insert(t.Context(), "closed_bills", []column{
		{"bill_id", []string{b.BillID}}, {"account_id", []string{b.AccountID}},
		{"cycle", []string{string(b.Period.Cycle)}}, {"period", []string{b.Period.String()}},
		{"period_start", []time.Time{b.PeriodStart.Time()}},
		{"period_end", []time.Time{b.PeriodEnd.Time()}},
		{"closed_at", []time.Time{b.ClosedAt.Time()}}, {"currency", []string{b.Currency}},
		{"catalog_version", []string{b.CatalogVersion}},
		{"catalog_digest", []string{b.CatalogDigest}}, {"rule_version", []uint32{1}},
		{"total", []decimal.Decimal{b.Total}},
		{"balance_before", []decimal.Decimal{b.BalanceBefore}},
		{"balance_after", []decimal.Decimal{b.BalanceAfter}},
		{"previous_digest", []string{b.PreviousDigest}}, {"digest", []string{b.Digest}},
		{"lines", []uint32{uint32(n)}}, {"json", []string{string(canonical.Bill(b, shanghai))}},
	}), s.insert(t.Context(), "closed_bill_lines", []column{
		{"bill_id", values(n, func(int) string { return b.BillID })},
		{"account_id", values(n, func(int) string { return b.AccountID })},
		{"closed_at", instants(n, func(int) billing.Instant { return b.ClosedAt })},
		{"line_no", values(n, func(i int) uint32 { return uint32(b.Lines[i].No) })},
		{"kind", values(n, func(i int) string { return string(b.Lines[i].Kind) })},
		{"tag", values(n, func(i int) string { return b.Lines[i].Tag })},
		{"tag_name", values(n, func(i int) string { return b.Lines[i].TagName })},
		{"period", values(n, func(i int) string { return b.Lines[i].Period })},
		{"quantity", values(n, func(i int) int64 { return b.Lines[i].Quantity })},
		{"unit_price", values(n, func(i int) *decimal.Decimal { return b.Lines[i].UnitPrice })},
		{"amount", values(n, func(i int) decimal.Decimal { return b.Lines[i].Amount })},
		{"package_id", values(n, func(i int) string { return b.Lines[i].PackageID })},
		{"flags", values(n, func(i int) []string { return b.Lines[i].Flags })},
		{"explain", values(n, func(i int) string {
			return string(canonical.Steps(b.Lines[i].Explain))
		})},
	}), writeTotals(t.Context(), s, &settle.Chunk{Bills: []*billing.Bill{b}}))
	if err != nil {
		t.Fatal(err)
	}
}

// Bills of a closing that is not complete are not seen; then they come back byte for byte.
func TestBillsComeBackAsTheyWereMade(t *testing.T) {
	s := newStore(t)
	day := billing.DateOf(2026, time.March, 31)
	daily := sampleBill("acc/odd", billing.DayPeriod(day))
	monthly := sampleBill("bcc", billing.MonthPeriod(day.Month()))
	for _, b := range []*billing.Bill{monthly, daily, daily} {
		storeBill(t, s, b)
	}
	if bills, err := s.Bills(t.Context(), BillFilter{}); err != nil || len(bills) > 0 {
		t.Fatalf("bills of an open closing: %v, %v", bills, err)
	}
	if _, err := s.Bill(t.Context(), daily.BillID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a bill of an open closing: %v", err)
	}
	closeDay(t, s, day)
	for range 2 {
		bills, err := s.Bills(t.Context(), BillFilter{})
		if err != nil || len(bills) != 2 || bills[0].BillID != daily.BillID {
			t.Fatalf("%v, %v", bills, err)
		}
		merge(t, s)
	}
	have, err := s.Bill(t.Context(), daily.BillID)
	if err != nil {
		t.Fatal(err)
	}
	want := canonical.Bill(daily, shanghai)
	if !bytes.Equal(canonical.Bill(have, shanghai), want) {
		t.Errorf("have %s\nwant %s", canonical.Bill(have, shanghai), want)
	}
	if raw, err := s.BillJSON(t.Context(), daily.BillID); err != nil || !bytes.Equal(raw, want) {
		t.Errorf("%s, %v", raw, err)
	}
	checkLines(t, s, daily)
	checkFilters(t, s, daily, monthly)
	list, err := s.Settlements(t.Context())
	if err != nil || len(list) != 1 || list[0].Day != day || list[0].State != "closed" ||
		list[0].ClosedAt != daily.ClosedAt {
		t.Errorf("%+v, %v", list, err)
	}
}

func checkLines(t *testing.T, s *Store, b *billing.Bill) {
	t.Helper()
	lines, err := s.Lines(t.Context(), b.BillID)
	if err != nil || len(lines) != len(b.Lines) {
		t.Fatalf("%v, %v", lines, err)
	}
	for i := range lines {
		have, want := canonical.Line(&lines[i]), canonical.Line(&b.Lines[i])
		if !bytes.Equal(have, want) {
			t.Errorf("have %s\nwant %s", have, want)
		}
	}
	sum := rowTexts(t, s, "sum(amount)", "FROM revenue_daily WHERE tag = 't1'")
	if sum[0] != "24.672" {
		t.Errorf("revenue of t1 is %s", sum[0])
	}
}

func checkFilters(t *testing.T, s *Store, daily, monthly *billing.Bill) {
	t.Helper()
	first := monthly.Period.First
	for _, test := range []struct {
		filter BillFilter
		want   []string
	}{
		{BillFilter{Account: "bcc"}, []string{monthly.BillID}},
		{BillFilter{Account: "b' OR 1=1"}, nil},
		{BillFilter{Cycle: billing.Daily}, []string{daily.BillID}},
		{BillFilter{From: first + 1}, []string{daily.BillID}},
		{BillFilter{From: first, To: monthly.Period.End}, []string{daily.BillID, monthly.BillID}},
		{BillFilter{To: monthly.Period.End - 1}, nil},
		{BillFilter{Limit: 1}, []string{daily.BillID}},
	} {
		bills, err := s.Bills(t.Context(), test.filter)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, b := range bills {
			have = append(have, b.BillID)
		}
		if !reflect.DeepEqual(have, test.want) {
			t.Errorf("%+v: have %q, want %q", test.filter, have, test.want)
		}
	}
}

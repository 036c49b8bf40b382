package batch_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
)

// TestCatalogCorrected bills two days at a price that was entered wrong. The right catalogue alone
// moves nothing that was billed (B26); catalog.corrected does, on the next bill, for its days only.
func TestCatalogCorrected(t *testing.T) {
	data, err := os.ReadFile("../../schemas/faceid/catalog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	right := parsed(t, string(data))
	wrong := parsed(t, strings.ReplaceAll(string(data),
		"    idcard:\n      - {price: \"0.30\"", "    idcard:\n      - {price: \"0.50\""))
	if right.Digest == wrong.Digest {
		t.Fatal("the catalogue has no such price")
	}
	b := batch.New(wrong)
	day := func(n int) billing.Day { return billing.DateOf(2023, 3, 1) + billing.Day(n) }
	at := func(n int) billing.Instant { return day(n).Start(right.Settings.Zone) + 12*billing.Hour }
	var offset int64
	add := func(kind batch.Kind, n int, format string, args ...any) {
		b.Add(&batch.Record{Kind: kind, Value: fmt.Appendf(nil, format, args...),
			Arrival: billing.Arrival{Appended: at(n), Topic: "t", Offset: offset}})
		offset++
	}
	event := func(n int, kind, more string) {
		add(batch.EventRecord, n, `{"event_id":"%s-%d","type":%q,"account_id":"acme",`+
			`"effective_at":%q%s}`, kind, n, kind, at(n), more)
	}
	calls := func(n, count int) {
		for i := range count {
			add(batch.CallRecord, n, `{"call_id":"c-%d-%d","account_id":"acme","occurred_at":%q,`+
				`"action":"IdCardVerification","result_code":"0"}`, n, i, at(n))
		}
	}
	bill := func(n int) []string {
		t.Helper()
		if err := b.Close(closing.MomentOf(right, day(n))); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, made := range b.TakeBills() {
			for _, l := range made.Lines {
				lines = append(lines,
					fmt.Sprintf("%s %s %dx = %s", l.Kind, l.Period, l.Quantity, l.Amount))
			}
		}
		return lines
	}
	expect := func(n int, want ...string) {
		t.Helper()
		if got := bill(n); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("bill of day %d:\n%s\nwant\n%s", n, strings.Join(got, "\n"),
				strings.Join(want, "\n"))
		}
	}

	event(0, "account.opened", fmt.Sprintf(`,"opened_at":%q`, at(0)))
	calls(0, 10)
	expect(0, "usage 2023-03-01 10x = 5")
	calls(1, 20)
	expect(1, "usage 2023-03-02 20x = 10")
	b.UseCatalog(right, at(2))
	calls(2, 1)
	expect(2, "usage 2023-03-03 1x = 0.3")
	// One of day 1's calls is taken back on the same bill: at the price that was charged for it. The
	// other 19 of the day cost 0.20 less each; day 0 is not named and stays.
	event(3, "catalog.corrected", `,"tag":"身份证信息核验","from":"2023-03-02","reason":"typo"`)
	event(3, "usage.voided", `,"call_ids":["c-1-0"],"reason":"test"`)
	expect(3, "tier_adjustment 2023-03 0x = -3.8", "voided 2023-03-02 -1x = -0.5")
	calls(4, 1)
	expect(4, "usage 2023-03-05 1x = 0.3")
	event(5, "catalog.corrected", `,"from":"2023-03-01","reason":"day 0 too"`)
	expect(5, "tier_adjustment 2023-03 0x = -2")
	event(6, "catalog.corrected", `,"from":"2023-03-01","reason":"nothing is left to correct"`)
	expect(6)
}

func parsed(t *testing.T, file string) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.Parse("catalog.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

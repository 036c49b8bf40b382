package verify

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/remake"
	"tollstream/pipeline/stored"
)

// TestOtherWordsAreNoDifference stores bills as another version of the program made them: one that
// explains a line in other words is the same bill, and one whose rows say other words than its JSON
// was changed by hand.
func TestOtherWordsAreNoDifference(t *testing.T) {
	bill := func(words, amount string) *billing.Bill {
		return &billing.Bill{BillID: "acme/2023-01-05", AccountID: "acme",
			Lines: []billing.BillLine{{No: 1, Kind: billing.UsageLine,
				Amount:  decimal.RequireFromString(amount),
				Explain: []billing.Step{{Rule: "B16", Text: words}}}}}
	}
	for _, c := range []struct {
		name, differs string
		json, rows    *billing.Bill
		otherWords    bool
	}{
		{"same", "", bill("new", "3"), bill("new", "3"), false},
		{"other words", "", bill("old", "3"), bill("old", "3"), true},
		{"other words in the rows alone", "tables: line 1: explain: " +
			`stored [{"rule":"B16","text":"mine"}], recomputed [{"rule":"B16","text":"old"}]`,
			bill("old", "3"), bill("mine", "3"), true},
		{"other words and another amount", `JSON: line 1: amount: stored "4", recomputed "3"`,
			bill("old", "4"), bill("old", "4"), false},
	} {
		r := Result{}
		r.compare(remake.Bill{Bill: bill("new", "3"), Zone: time.UTC},
			&stored.Bill{JSON: canonical.Bill(c.json, time.UTC), Row: c.rows, Lines: 1})
		if r.Differs != c.differs || r.OtherWords != c.otherWords {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

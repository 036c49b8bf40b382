package props

import (
	"fmt"
	"slices"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/naive"
)

// TestLedgerHasAllMoney: every amount that moved a balance before the last closing has one entry in
// the ledger. Two days more than there are records are closed, so that everything is booked.
func TestLedgerHasAllMoney(t *testing.T) {
	cat := mustCatalog(t)
	eachWorld(t, lawWorlds, func(seed uint64) string {
		fails := func(w World) string {
			records := w.Records()
			end := w.Until
			for i := range records {
				end = max(end, records[i].Arrival.Appended)
			}
			end += 48 * billing.Hour
			out, err := batch.Run(cat, records, end, nil)
			if err != nil {
				return err.Error()
			}
			right, err := naive.Run(cat, NaiveRecords(records), end)
			if err != nil {
				return err.Error()
			}
			last := closing.LastMomentBy(cat, w.Until).At
			var booked, moved []string
			for _, l := range out.Ledger {
				amount := l.Amount
				if l.Debit == "balance:"+l.AccountID {
					amount = amount.Neg()
				}
				if l.At < last {
					booked = append(booked, fmt.Sprintf("%s %s %s", l.AccountID, l.At, amount))
				}
			}
			for _, m := range right.Moves {
				if m.At < last {
					moved = append(moved, fmt.Sprintf("%s %s %s", m.AccountID, m.At, m.Amount))
				}
			}
			slices.Sort(booked)
			slices.Sort(moved)
			return Difference(booked, moved)
		}
		w := NewWorld(cat, seed)
		if fails(w) == "" {
			return ""
		}
		w = Shrink(w, func(w World) bool { return fails(w) != "" })
		return fails(w) + "\n" + Story(cat, w)
	})
}

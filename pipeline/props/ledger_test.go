package props

import (
	"flag"
	"fmt"
	"slices"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/naive"
)

var findings = flag.Bool("findings", false, "also run what is known to fail, to see it fail")

// TestLedgerHasAllMoney: every amount that moved a balance before the last closing has one entry in
// the ledger.
//
// Finding 3: a closing advances the status timeline first, which drops the moves of before its own
// instant, and writes ledger entries of what is left. So top-ups, adjustments and purchases get an
// entry only where they act exactly at a closing's time or after it (closing/close.go, Close: book
// comes after advance). Take the flag away when this is mended.
func TestLedgerHasAllMoney(t *testing.T) {
	if !*findings {
		t.Skip("finding 3: the ledger lacks money that acted before its closing; see -findings")
	}
	cat := testCatalog(t)
	eachWorld(t, lawWorlds, func(seed uint64) string {
		fails := func(w world) string {
			records := w.records()
			out, err := batch.Run(cat, records, w.until, nil)
			if err != nil {
				return err.Error()
			}
			right, err := naive.Run(cat, naiveRecords(records), w.until)
			if err != nil {
				return err.Error()
			}
			last := closing.LastMomentBy(cat, w.until).At
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
			return difference(booked, moved)
		}
		w := newWorld(cat, seed)
		if fails(w) == "" {
			return ""
		}
		w = shrink(w, func(w world) bool { return fails(w) != "" })
		return fails(w) + "\n" + story(cat, w)
	})
}

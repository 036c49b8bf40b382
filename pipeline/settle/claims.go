package settle

import (
	"context"
	"slices"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/claim"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/stored"
)

// findLosers decides which copy counts of every call that has several different ones (B4).
func (c *closer) findLosers(ctx context.Context, w Window) error {
	c.losers = map[billing.Arrival]bool{}
	groups, err := c.loop.Store.DifferingCopies(ctx, w)
	if err != nil {
		return err
	}
	var duplicates []Duplicate
	for _, group := range groups {
		copies := make([]claim.Copy, len(group))
		for i := range group {
			copies[i] = c.judge(&group[i])
		}
		win := claim.Winner(copies)
		if win < 0 {
			continue
		}
		// A winner whose day is still open makes the call wait: its other copies are not taken
		// either, and whether they are duplicates is said when the winner is taken.
		waits := billing.DayOf(copies[win].Record.OccurredAt, c.loop.cat.Settings.Zone) >
			c.moment.Day
		conflicts := claim.Conflicts(copies, win)
		for i := range copies {
			at := copies[i].Record.Arrival
			if i == win || copies[i].Refusal != nil {
				continue
			}
			if c.losers[at] = true; waits {
				continue
			}
			duplicates = append(duplicates, Duplicate{Copy: at, CallID: copies[i].Record.CallID,
				Winner: copies[win].Record.Arrival, Conflict: slices.Contains(conflicts, i)})
		}
	}
	c.conflicts = 0
	for i := range duplicates {
		if duplicates[i].Conflict {
			c.conflicts++
		}
	}
	return c.loop.Store.WriteDuplicates(ctx, c.moment.At, duplicates)
}

// findReversed looks up the calls that accounts took back since the closing before and that a
// closing before took. Calls not taken yet are never taken (see take).
func (c *closer) findReversed(ctx context.Context) error {
	c.reversed = map[string][]closing.Reversed{}
	for i := range c.decisions {
		d := &c.decisions[i]
		if d.Verdict != accounts.Accepted || d.Event.Type != billing.UsageVoided {
			continue
		}
		main := d.Event.AccountID
		taken, err := c.loop.Store.TakenBefore(ctx, main, d.Event.CallIDs, c.moment.At)
		if err != nil {
			return err
		}
		for _, t := range taken {
			same := func(r closing.Reversed) bool { return r.CallID == t.CallID }
			if !slices.ContainsFunc(c.reversed[main], same) {
				c.reversed[main] = append(c.reversed[main], t.TakenBackBy(d.Event))
			}
		}
	}
	return c.loop.Store.WriteReversed(ctx, c.moment.At, c.reversed)
}

// judge judges a copy by this closing's catalogue.
func (c *closer) judge(call *stored.Call) claim.Copy {
	return claim.Judge(c.loop.cat, c.loop.registry, &call.CallRecord)
}

// take judges an account's candidates and keeps those that count, in the order in which they are
// taken.
func (c *closer) take(m *made, calls []stored.Call) []closing.Call {
	taken := make([]closing.Call, 0, len(calls))
	for i := range calls {
		call := &calls[i]
		if c.losers[call.Arrival] {
			continue
		}
		copied := c.judge(call)
		if copied.Refusal != nil {
			m.requalified = append(m.requalified,
				Requalified{Arrival: call.Arrival, Refusal: copied.Refusal})
			continue
		}
		if c.loop.registry.Voided(copied.Main, call.CallID) {
			m.voided = append(m.voided, copied.Record)
			continue
		}
		taken = append(taken, copied.Call())
	}
	slices.SortFunc(taken, func(a, b closing.Call) int {
		return billing.CompareCalls(&a.CallRecord, &b.CallRecord)
	})
	return taken
}

package closing

import (
	"cmp"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// Outlook gives the status changes from FixedTo through an instant, as far as known now, and the
// next instant at which what is known now can change the status again, NeverDue if there is none.
// All of it is provisional: an event that arrives later can still change it (B24).
func (a *Account) Outlook(
	through, suspendAfter billing.Instant,
) (changes []billing.StatusChange, next billing.Instant) {
	ahead := a.ahead()
	changes = ahead.advance(through+1, suspendAfter)
	next, _ = ahead.nextInstant(NeverDue, suspendAfter)
	return changes, next
}

// ahead copies what the timeline changes, so that it can be walked without fixing anything.
func (a *Account) ahead() *Account {
	copied := *a
	copied.Moves = slices.Clone(a.Moves)
	copied.Suspensions = slices.Clone(a.Suspensions)
	return &copied
}

// Standing is status and balance right after an instant, as far as known now.
func (a *Account) Standing(
	at, suspendAfter billing.Instant,
) (billing.Status, decimal.Decimal) {
	ahead := a.ahead()
	ahead.advance(at+1, suspendAfter)
	return ahead.Status, ahead.Settled
}

// Restate gives the records that make what was said of the status from one instant through another
// agree with what is known now, and the next instant at which that can change (B24). Trigger names
// what brought the news: an account event, or the closing.
//
// From the first difference on, everything that holds is said again under an id of its own, so the
// last record of an account always tells its status. A change that was said and did not happen is
// withdrawn by a record with the status that holds at its instant instead.
func (a *Account) Restate(
	said []billing.StatusChange, since, through, suspendAfter billing.Instant, trigger string,
) (records []billing.StatusChange, next billing.Instant) {
	known, next := a.Outlook(through, suspendAfter)
	outside := func(c billing.StatusChange) bool {
		return c.EffectiveAt < since || c.EffectiveAt > through
	}
	known = slices.DeleteFunc(known, outside)
	said = slices.DeleteFunc(slices.Clone(said), outside)
	from := firstDifference(said, known)

	for _, c := range said {
		if c.EffectiveAt < from || slices.ContainsFunc(known, sameChange(c)) {
			continue
		}
		w := billing.StatusChange{
			EventID:   changeID(a.ID, c.EffectiveAt, c.Status) + "@" + trigger,
			AccountID: a.ID, EffectiveAt: c.EffectiveAt, Cause: "withdrawn: " + trigger,
			Provisional: true, Corrects: c.EventID, Withdraws: true,
		}
		w.Status, w.Balance = a.Standing(c.EffectiveAt, suspendAfter)
		records = append(records, w)
	}
	for _, c := range known {
		if c.EffectiveAt < from {
			continue
		}
		if i := slices.IndexFunc(said, sameChange(c)); i >= 0 {
			c.Corrects = said[i].EventID
		}
		c.EventID, c.Provisional = c.EventID+"@"+trigger, true
		records = append(records, c)
	}
	slices.SortStableFunc(records, func(x, y billing.StatusChange) int {
		return cmp.Compare(x.EffectiveAt, y.EffectiveAt)
	})
	return records, next
}

// sameChange tells whether a change is to the same status at the same instant.
func sameChange(c billing.StatusChange) func(billing.StatusChange) bool {
	return func(x billing.StatusChange) bool {
		return x.EffectiveAt == c.EffectiveAt && x.Status == c.Status
	}
}

// firstDifference is the earliest instant of a change that is only in one list or has another
// balance in the other; NeverDue if there is none.
func firstDifference(said, known []billing.StatusChange) billing.Instant {
	from := NeverDue
	for _, pair := range [][2][]billing.StatusChange{{said, known}, {known, said}} {
		for _, c := range pair[0] {
			i := slices.IndexFunc(pair[1], sameChange(c))
			if i < 0 || !pair[1][i].Balance.Equal(c.Balance) {
				from = min(from, c.EffectiveAt)
			}
		}
	}
	return from
}

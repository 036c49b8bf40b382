package closing

import (
	"fmt"

	"tollstream/pipeline/billing"
)

// advance fixes the status timeline up to, and without, the instant to. What happens at one
// instant happens in this order: top-ups, purchases, refunds and missed events together, then the
// 24-hour check, then a bill (B24).
func (a *Account) advance(to, suspendAfter billing.Instant) []billing.StatusChange {
	var changes []billing.StatusChange
	for {
		at, more := a.nextInstant(to, suspendAfter)
		if !more {
			break
		}
		changes = append(changes, a.atInstant(at, suspendAfter)...)
	}
	if to > a.FixedTo {
		a.FixedTo = to
	}
	return changes
}

// nextInstant is the next instant before to at which something can happen.
func (a *Account) nextInstant(to, suspendAfter billing.Instant) (billing.Instant, bool) {
	at, more := to, false
	if len(a.Moves) > 0 && a.Moves[0].At < at {
		at, more = a.Moves[0].At, true
	}
	if a.Status == billing.InArrears {
		if check := a.ArrearsFrom + suspendAfter; check < at {
			at, more = check, true
		}
	}
	return at, more
}

func (a *Account) atInstant(at, suspendAfter billing.Instant) []billing.StatusChange {
	var changes []billing.StatusChange
	cause := a.settle(at, false)
	if !a.Settled.IsNegative() && a.Status != billing.Active {
		changes = append(changes, a.become(billing.Active, at, cause))
	}
	if a.Settled.IsNegative() && a.Status == billing.Active {
		changes = append(changes, a.become(billing.InArrears, at, cause))
	}
	if a.Status == billing.InArrears && a.ArrearsFrom+suspendAfter <= at {
		changes = append(changes, a.become(billing.Suspended, at, "24 h in arrears"))
	}
	if cause = a.settle(at, true); cause == "" {
		return changes
	}
	if a.Settled.IsNegative() && a.Status == billing.Active {
		changes = append(changes, a.become(billing.InArrears, at, cause))
	}
	if !a.Settled.IsNegative() && a.Status != billing.Active {
		changes = append(changes, a.become(billing.Active, at, cause))
	}
	return changes
}

// settle moves the instant's money of one class into the settled balance and names its last cause.
func (a *Account) settle(at billing.Instant, bills bool) string {
	cause := ""
	for len(a.Moves) > 0 && a.Moves[0].At == at && a.Moves[0].Bill == bills {
		a.Settled = a.Settled.Add(a.Moves[0].Amount)
		cause = a.Moves[0].Kind + " " + a.Moves[0].Cause
		a.Moves = a.Moves[1:]
	}
	return cause
}

func (a *Account) become(s billing.Status, at billing.Instant, cause string) billing.StatusChange {
	switch {
	case s == billing.InArrears:
		a.ArrearsFrom = at
	case s == billing.Suspended:
		a.Suspensions = append(a.Suspensions, Span{From: at})
	case a.Status == billing.Suspended:
		a.Suspensions[len(a.Suspensions)-1].To = at
	}
	a.Status = s
	return billing.StatusChange{
		EventID: changeID(a.ID, at, s), AccountID: a.ID, Status: s, EffectiveAt: at,
		Balance: a.Settled, Cause: cause,
	}
}

// changeID is deterministic; one account takes one status at most once at one instant.
func changeID(account string, at billing.Instant, s billing.Status) string {
	return fmt.Sprintf("%s/status/%s/%s", account, at, s)
}

package closing

import (
	"cmp"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/tagging"
)

// Call is a call that this closing takes: the copy that counts (B4), with its judgement by this
// closing's catalogue (B26).
type Call struct {
	billing.CallRecord
	tagging.Judgement
}

// Outcome is what became of a call.
type Outcome string

// The outcomes of a call that a closing takes.
const (
	Free      Outcome = "free"
	Covered   Outcome = "covered"
	Postpaid  Outcome = "postpaid"
	Uncovered Outcome = "uncovered"
)

// Taken is what a closing decided about one call. It never changes afterwards (B10, B11), except
// that usage.voided takes it back (B27).
type Taken struct {
	Call      *Call
	Outcome   Outcome
	Tag       catalog.TagID // prepaid tag where covered, else postpaid tag
	PackageID string
}

// RefusedEvent is an event that this closing had to refuse, with its reason.
type RefusedEvent struct {
	Event   billing.AccountEvent
	Refusal billing.Refusal
}

// walker takes an account's calls one by one in their order.
type walker struct {
	cat     *catalog.Catalog
	account *Account
	moment  Moment
	taken   []Taken
	refused []RefusedEvent
	counts  Charged

	triedFrom int      // where this closing's part of Pending.Tried begins
	passed    []Passed // scratch of noteTried
}

// Charged counts what a closing did with an account's calls, for the invariant and the metrics.
type Charged struct{ Calls, Free, Covered, Postpaid, Uncovered, UnknownCodes int64 }

// take walks the calls in the order (occurred_at, call_id). A refund is decided in its turn among
// them by time, before a call of the same instant (B14).
func (w *walker) take(calls []Call) {
	zone := w.cat.Settings.Zone
	w.triedFrom = len(w.account.Pending.Tried)
	refunds := w.dueRefunds()
	for i := range calls {
		c := &calls[i]
		for len(refunds) > 0 && refunds[0].At <= c.OccurredAt {
			w.decide(refunds[0])
			refunds = refunds[1:]
		}
		w.takeOne(c, billing.DayOf(c.OccurredAt, zone))
	}
	for _, r := range refunds {
		w.decide(r)
	}
	w.account.Pending.sort()
}

// dueRefunds removes the refunds whose own day this closing closes from those that wait.
func (w *walker) dueRefunds() []Refund {
	end := (w.moment.Day + 1).Start(w.cat.Settings.Zone)
	a := w.account
	n := 0
	for n < len(a.Refunds) && a.Refunds[n].At < end {
		n++
	}
	due := a.Refunds[:n:n]
	a.Refunds = a.Refunds[n:]
	return due
}

func (w *walker) takeOne(c *Call, day billing.Day) {
	w.counts.Calls++
	if !c.CodeKnown {
		w.counts.UnknownCodes++
	}
	t := Taken{Call: c, Outcome: Free, Tag: c.Postpaid}
	if c.Charged {
		suspended := w.account.suspendedAt(c.OccurredAt)
		w.cover(&t, day, suspended)
		w.noteTried(&t, day, suspended)
	} else {
		w.counts.Free++
	}
	w.taken = append(w.taken, t)
}

// cover finds what pays for a charged call: the first live package that reaches it, else the
// account's balance, else nothing (B10, B12, B13).
func (w *walker) cover(t *Taken, day billing.Day, suspended bool) {
	a, c := w.account, t.Call
	if !suspended {
		if p := a.livePackage(w.cat, c, day); p != nil {
			p.Used++
			w.counts.Covered++
			t.Outcome, t.Tag, t.PackageID = Covered, c.Prepaid, p.ID
			a.Pending.cover(c.Prepaid, day, p.ID)
			a.Pending.bySub(a.ID, c.AccountID, billing.CoveredLine, c.Prepaid)
			return
		}
	}
	if a.postpaidOn(c.OccurredAt) {
		w.counts.Postpaid++
		t.Outcome = Postpaid
		countDay(&a.Pending.Postpaid, c.Postpaid, day)
		a.Pending.bySub(a.ID, c.AccountID, billing.UsageLine, c.Postpaid)
		return
	}
	w.counts.Uncovered++
	t.Outcome = Uncovered
	countDay(&a.Pending.Uncovered, c.Postpaid, day)
	a.Pending.bySub(a.ID, c.AccountID, billing.UncoveredLine, c.Postpaid)
}

// livePackage is the first package, in the catalogue's order, that lives on the day, has calls
// left and reaches the call (B8 to B10).
func (a *Account) livePackage(cat *catalog.Catalog, c *Call, day billing.Day) *Package {
	for i := range a.Packages {
		p := &a.Packages[i]
		if !p.Refunded && p.Used < p.Quota && p.First <= day && day < p.End &&
			cat.Reaches(p.Tag, c.Prepaid, c.Legacy) {
			return p
		}
	}
	return nil
}

// decide grants or refuses a refund by what was deducted up to its moment. The money acts at this
// closing's time (B14).
func (w *walker) decide(r Refund) {
	a := w.account
	i := slices.IndexFunc(a.Packages, func(p Package) bool { return p.ID == r.PackageID })
	if i < 0 {
		w.refuse(r, billing.UnknownPackage, "package "+r.PackageID+" was not delivered")
		return
	}
	p := &a.Packages[i]
	day := billing.DayOf(r.EffectiveAt, w.cat.Settings.Zone)
	switch {
	case p.Free:
		w.refuse(r, billing.RefundFree, "package "+p.ID+" is free")
	case p.Refunded:
		w.refuse(r, billing.RefundedTwice, "package "+p.ID+" was refunded before")
	case day < w.cat.Settings.RefundsSince:
		w.refuse(r, billing.RefundBeforeStart, "refund of "+day.String())
	case r.EffectiveAt < p.Delivered:
		w.refuse(r, billing.RefundTooEarly, "package "+p.ID+" is of "+p.First.String())
	case day > p.First+billing.Day(w.cat.Settings.RefundDays):
		w.refuse(r, billing.RefundTooLate, "package "+p.ID+" is of "+p.First.String())
	case p.Used > 0:
		w.refuse(r, billing.RefundUsed, "package "+p.ID+" has deducted calls")
	default:
		p.Refunded = true
		if !p.Price.IsZero() {
			a.move(Move{At: w.moment.At, Kind: "refund", Amount: p.Price, Cause: r.Event.EventID})
		}
	}
}

func (w *walker) refuse(r Refund, why billing.Reason, detail string) {
	w.refused = append(w.refused,
		RefusedEvent{Event: r.Event, Refusal: billing.Refusal{Reason: why, Detail: detail}})
}

func countDay(list *[]DayCount, tag catalog.TagID, day billing.Day) {
	for i := range *list {
		if x := &(*list)[i]; x.Tag == tag && x.Day == day {
			x.Quantity++
			return
		}
	}
	*list = append(*list, DayCount{Tag: tag, Day: day, Quantity: 1})
}

func (p *Pending) cover(tag catalog.TagID, day billing.Day, id string) {
	for i := range p.Covered {
		if x := &p.Covered[i]; x.Tag == tag && x.Day == day && x.PackageID == id {
			x.Quantity++
			return
		}
	}
	p.Covered = append(p.Covered, CoveredCount{Tag: tag, Day: day, PackageID: id, Quantity: 1})
}

// bySub counts a call for the sub-account split; the main account's own calls are counted too
// where the account has sub-accounts, which the bill decides.
func (p *Pending) bySub(main, caller string, k billing.LineKind, tag catalog.TagID) {
	if caller == main {
		return
	}
	for i := range p.BySub {
		if x := &p.BySub[i]; x.AccountID == caller && x.Kind == k && x.Tag == tag {
			x.Quantity++
			return
		}
	}
	p.BySub = append(p.BySub, SubCount{AccountID: caller, Kind: k, Tag: tag, Quantity: 1})
}

// sort brings the lists into the order of their keys, so that equal histories give equal bytes.
func (p *Pending) sort() {
	byDay := func(a, b DayCount) int {
		return cmp.Or(cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Day, b.Day))
	}
	slices.SortFunc(p.Postpaid, byDay)
	slices.SortFunc(p.Uncovered, byDay)
	slices.SortFunc(p.Covered, func(a, b CoveredCount) int {
		return cmp.Or(cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Day, b.Day),
			cmp.Compare(a.PackageID, b.PackageID))
	})
	slices.SortFunc(p.BySub, func(a, b SubCount) int {
		return cmp.Or(cmp.Compare(a.AccountID, b.AccountID), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Tag, b.Tag))
	})
}

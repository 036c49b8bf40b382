package naive

import (
	"cmp"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// take is what a closing decided about one call.
type take struct {
	call    *billing.CallRecord
	judged  judged
	account string
	day     billing.Day
	covered string // id of the package that paid, "" for none
	off     bool   // no package, and postpaid was off: uncovered
	billed  bool

	reversed bool // taken back after it was taken
	returned bool // and that stands on a bill
}

// decision is what a closing decided about one refund.
type decision struct {
	account string
	event   billing.AccountEvent
	price   decimal.Decimal
	at      billing.Instant  // the closing's time, when the money moves
	against []billing.Reason // why not; empty when it was granted
}

// pack is a package with what the history says about it.
type pack struct {
	id         string
	tag        catalog.TagID
	free       bool
	quota      int64
	price      decimal.Decimal
	delivered  billing.Instant
	first, end billing.Day
	used       int64
	refunded   bool
}

// stands says why a copy of a call may not be billed now, "" if it may.
func (b *biller) stands(w *who, c *billing.CallRecord) billing.Reason {
	a := w.resolve(c.AccountID)
	switch {
	case a == nil:
		return billing.UnknownAccount
	case !b.judge(a.cohort, c).tagged:
		return billing.NoBillingTag
	case b.closedOn(a, b.day(c.OccurredAt)):
		return billing.AccountIsClosed
	}
	return ""
}

// callsToTake finds, for every call id without a taken call, the copy that counts among those below
// the barrier: the one that arrived first of those that are not quarantined. It is taken if its day
// is closed and nobody took it back (B4, B27).
func (b *biller) callsToTake(
	w *who, day billing.Day, barrier billing.Instant,
) map[string][]*billing.CallRecord {
	counting := map[string]*billing.CallRecord{}
	for i := range b.copies {
		c := &b.copies[i]
		if c.Arrival.Appended >= barrier || b.stands(w, c) != "" {
			continue
		}
		if old := counting[c.CallID]; old == nil || c.Arrival.Compare(old.Arrival) < 0 {
			counting[c.CallID] = c
		}
	}
	for _, t := range b.taken {
		counting[t.call.CallID] = t.call
	}
	out := map[string][]*billing.CallRecord{}
	for id, c := range counting {
		a := w.resolve(c.AccountID)
		if b.day(c.OccurredAt) <= day && !b.isTaken(id) && !a.voided(id) {
			out[a.id] = append(out[a.id], c)
		}
	}
	b.settleCopies(w, counting, day, barrier, out)
	return out
}

func (b *biller) isTaken(id string) bool {
	for _, t := range b.taken {
		if t.call.CallID == id {
			return true
		}
	}
	return false
}

// settleCopies notes which copies have become duplicates for good. A copy whose call is taken is
// one as soon as it stands; until then it waits or stays in quarantine for its own reason.
func (b *biller) settleCopies(
	w *who, counting map[string]*billing.CallRecord, day billing.Day, barrier billing.Instant,
	now map[string][]*billing.CallRecord,
) {
	taken := map[string]bool{}
	for _, list := range now {
		for _, c := range list {
			taken[c.CallID] = true
		}
	}
	for i := range b.copies {
		c := &b.copies[i]
		if c.Arrival.Appended >= barrier || b.fates[c.Arrival] != "" || counting[c.CallID] == c {
			continue
		}
		if (taken[c.CallID] || b.isTaken(c.CallID)) && b.stands(w, c) == "" {
			b.fates[c.Arrival] = Duplicate
		}
	}
}

// leftOver says what has become of the copies that no closing settled.
func (b *biller) leftOver(w *who) {
	for i := range b.copies {
		c := &b.copies[i]
		if b.fates[c.Arrival] != "" {
			continue
		}
		b.fates[c.Arrival] = Waiting
		if why := b.stands(w, c); why != "" {
			b.why[c.Arrival] = why
			if why != billing.UnknownAccount {
				b.fates[c.Arrival] = Quarantined
			}
		}
	}
}

// walk takes an account's calls one by one, with the refunds in their turn before calls of the same
// instant (B10, B14).
func (b *biller) walk(a *account, calls []*billing.CallRecord, day billing.Day) {
	slices.SortFunc(calls, func(x, y *billing.CallRecord) int {
		return cmp.Or(cmp.Compare(x.OccurredAt, y.OccurredAt), cmp.Compare(x.CallID, y.CallID))
	})
	due := b.refundsDue(a, day)
	for _, c := range calls {
		for len(due) > 0 && b.actsAt(&due[0]) <= c.OccurredAt {
			b.decideRefund(a, due[0], day)
			due = due[1:]
		}
		b.takeOne(a, c)
	}
	for _, ev := range due {
		b.decideRefund(a, ev, day)
	}
}

func (b *biller) takeOne(a *account, c *billing.CallRecord) {
	t := &take{call: c, judged: b.judge(a.cohort, c), account: a.id, day: b.day(c.OccurredAt)}
	b.fates[c.Arrival] = Free
	if t.judged.charged {
		b.fates[c.Arrival] = Charged
		if b.statusAt(a, c.OccurredAt) != billing.Suspended {
			t.covered = b.firstPackage(a, t)
		}
		t.off = t.covered == "" && !b.postpaidOn(a, c.OccurredAt)
	}
	b.taken = append(b.taken, t)
}

// firstPackage is the package that pays: free before paid, then the earlier end, the earlier
// delivery, the smaller id, among those that live on the day, have calls left and reach the call.
func (b *biller) firstPackage(a *account, t *take) string {
	var best *pack
	for _, p := range b.packages(a) {
		if p.refunded || p.used >= p.quota || t.day < p.first || t.day >= p.end ||
			!b.reaches(p.tag, t.judged) {
			continue
		}
		if best == nil || p.before(best) {
			best = p
		}
	}
	if best == nil {
		return ""
	}
	return best.id
}

func (p *pack) before(o *pack) bool {
	switch {
	case p.free != o.free:
		return p.free
	case p.end != o.end:
		return p.end < o.end
	case p.delivered != o.delivered:
		return p.delivered < o.delivered
	}
	return p.id < o.id
}

// packages lists an account's packages and counts in the history what each has used.
func (b *biller) packages(a *account) []*pack {
	var list []*pack
	for _, ev := range a.events {
		if ev.Type != billing.PackageDelivered {
			continue
		}
		p := &pack{
			id: ev.PackageID, tag: b.tagNamed(ev.TagName), free: ev.Free, quota: ev.Quota,
			price: ev.Price, delivered: ev.DeliveredAt, first: b.day(ev.DeliveredAt),
		}
		p.end = sameDateNextYear(p.first)
		for _, t := range b.taken {
			if t.account == a.id && t.covered == p.id && !t.reversed {
				p.used++
			}
		}
		for _, d := range b.refunds {
			if d.account == a.id && d.event.PackageID == p.id && len(d.against) == 0 {
				p.refunded = true
			}
		}
		list = append(list, p)
	}
	return list
}

// sameDateNextYear counts days until the date comes round, which it does not before 365 days; 29
// February gives 1 March (B8).
func sameDateNextYear(first billing.Day) billing.Day {
	text := first.String()
	for d := first + 365; ; d++ {
		next := d.String()
		if next[:4] > text[:4] && next[5:] >= text[5:] {
			return d
		}
	}
}

// postpaidOn walks through the switches in the order in which they act (B13).
func (b *biller) postpaidOn(a *account, at billing.Instant) bool {
	var switches []billing.AccountEvent
	for _, ev := range a.events {
		off := ev.Type == billing.PostpaidDisabled
		if (off || ev.Type == billing.PostpaidEnabled) && b.actsAt(&ev) <= at {
			switches = append(switches, ev)
		}
	}
	b.sortByActing(switches)
	return len(switches) == 0 || switches[len(switches)-1].Type == billing.PostpaidEnabled
}

// sortByActing orders events by the moment at which they act, ties by arrival (B25).
func (b *biller) sortByActing(events []billing.AccountEvent) {
	slices.SortFunc(events, func(x, y billing.AccountEvent) int {
		return cmp.Or(cmp.Compare(b.actsAt(&x), b.actsAt(&y)), x.Arrival.Compare(y.Arrival))
	})
}

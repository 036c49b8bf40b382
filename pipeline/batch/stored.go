package batch

import (
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/claim"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/decode"
)

// AddCall takes in a call that was decoded before, as a store keeps it. Its bytes are not known, so
// a run over stored calls has no quarantine to speak of; its bills are those of the same records.
func (b *Biller) AddCall(rec *billing.CallRecord) {
	b.books(rec.Arrival).Read++
	b.addCopy(rec)
}

// AddEvent takes in an account event that was decoded before. The stream knows which closing an
// event missed from recorded barriers (B25), so missedBy says it here in place of the clock.
func (b *Biller) AddEvent(
	ev billing.AccountEvent, missedBy func(billing.Arrival) closing.Moment,
) {
	b.books(ev.Arrival).Read++
	b.admit(ev, missedBy)
}

// TakeBills gives the bills made since it was called last.
func (b *Biller) TakeBills() []*billing.Bill {
	bills := b.out.Bills
	b.out = Output{Books: b.out.Books}
	return bills
}

// UseCatalog goes on with another catalogue (B26), as the stream does when it starts again with
// one. What was decided stays: events that the catalogue before refused are refused, accounts are
// as they are, and copies of known accounts that were appended before oldest stay as they were
// judged, because the closings to come would no longer look at them.
func (b *Biller) UseCatalog(cat *catalog.Catalog, oldest billing.Instant) {
	b.leaveAll(func(c *billing.CallRecord) bool {
		_, known := b.registry.Main(c.AccountID)
		return known && c.Arrival.Appended < oldest
	})
	for _, p := range b.pool { // each call on its own; their order does not matter
		for _, c := range p.copies {
			c.Dims = moved(c.Dims, b.cat.Dimensions, cat.Dimensions)
		}
	}
	b.cat, b.calls, b.events = cat, decode.NewCalls(cat), decode.NewEvents(cat)
}

// KeepUntagged leaves copies of calls before a day that have no tag in quarantine for good, so that
// a catalogue that has a tag for them does not bill what lies before that day.
func (b *Biller) KeepUntagged(before billing.Day) {
	b.leaveAll(func(c *billing.CallRecord) bool {
		refusal := claim.Judge(b.cat, b.registry, c).Refusal
		return refusal != nil && refusal.Reason == billing.NoBillingTag &&
			billing.DayOf(c.OccurredAt, b.cat.Settings.Zone) < before
	})
}

// leaveAll leaves the copies for which over holds as they are judged now.
func (b *Biller) leaveAll(over func(*billing.CallRecord) bool) {
	for id, p := range b.pool { // each call on its own; their order does not matter
		p.copies = slices.DeleteFunc(p.copies, func(c *billing.CallRecord) bool {
			if !over(c) {
				return false
			}
			b.leave(c)
			return true
		})
		if len(p.copies) == 0 {
			delete(b.pool, id)
		}
	}
}

// Account is a main account as the last closing left it, nil if it is not open.
func (b *Biller) Account(id string) *closing.Account { return b.accounts[id] }

// moved puts a call's dimensions into the order of another catalogue's list.
func moved(values []string, from, to []catalog.Dimension) []string {
	out := make([]string, len(to))
	for i := range to {
		at := slices.IndexFunc(from, func(d catalog.Dimension) bool { return d.Name == to[i].Name })
		if at >= 0 {
			out[i] = values[at]
		}
	}
	return out
}

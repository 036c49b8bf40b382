package remake

import (
	"context"
	"fmt"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/decode"
)

// run makes the closings one after the other over some accounts.
type run struct {
	closings *Closings
	plan     Plan
	biller   *batch.Biller
	cat      *catalog.Catalog // that judges and prices
	mine     map[string]bool  // the accounts whose bills are asked for
	bills    map[string]Bill
}

// close makes a closing again: the records between its barriers and those of the closing before.
func (r *run) close(ctx context.Context, k int, records seen) error {
	s := &r.closings.done[k]
	own, err := r.closings.Catalog(ctx, s.CatalogDigest)
	if err != nil {
		return err
	}
	m := closing.MomentOf(own, s.Day)
	if m.At != s.ClosedAt {
		return fmt.Errorf("it is recorded at %s, and its catalogue closes that day at %s; the "+
			"settlement record or the catalogue was changed", s.ClosedAt, m.At)
	}
	other := r.plan.Other
	if other == nil || m.Day <= r.plan.From {
		r.use(own, closing.WindowStart(m.Day, own.Settings.Zone))
	}
	if other != nil && m.Day == r.plan.From {
		r.biller.KeepUntagged(m.Day)
		r.use(other, 0)
	}
	if err := r.add(k, own, records); err != nil {
		return err
	}
	if err := r.biller.Close(m); err != nil {
		return err
	}
	for _, b := range r.biller.TakeBills() {
		if r.mine[b.AccountID] {
			r.bills[b.BillID] = Bill{b, r.cat.Settings.Zone}
		}
	}
	return nil
}

// use lets a catalogue judge and price from now on. Copies of known accounts that arrived before
// oldest are not looked at again then.
func (r *run) use(cat *catalog.Catalog, oldest billing.Instant) {
	switch {
	case r.biller == nil:
		r.biller = batch.New(cat)
	case r.cat != cat:
		r.biller.UseCatalog(cat, oldest)
	}
	r.cat = cat
}

// add gives the biller the records that closing k was the first to see. Events are read by the
// closing's own catalogue, as on their arrival: another one does not undo what was accepted.
func (r *run) add(k int, own *catalog.Catalog, records seen) error {
	decoder := decode.NewEvents(own)
	for i := range records.events {
		e := &records.events[i]
		ev, refusal := decoder.Decode(e.Value, e.Arrival)
		if refusal != nil {
			return fmt.Errorf("the stored event at %s no longer decodes: %w", e.Arrival.Place(), refusal)
		}
		r.biller.AddEvent(ev, func(at billing.Arrival) closing.Moment {
			return r.closings.missedBy(own, k, at)
		})
	}
	for _, c := range records.calls {
		r.biller.AddCall(c.record(r.cat))
	}
	return nil
}

// accounts gives those of the ids that are open.
func (r *run) accounts(ids []string) map[string]*closing.Account {
	out := map[string]*closing.Account{}
	if r.biller == nil { // there was no closing
		return out
	}
	for _, id := range ids {
		if a := r.biller.Account(id); a != nil {
			out[id] = a
		}
	}
	return out
}

// record is the call with its dimensions in the order of a catalogue's list.
func (c *Call) record(cat *catalog.Catalog) *billing.CallRecord {
	c.Dims = make([]string, len(cat.Dimensions))
	for i := range cat.Dimensions {
		c.Dims[i] = c.Dimensions[cat.Dimensions[i].Name]
	}
	c.Dimensions = nil
	return &c.CallRecord
}

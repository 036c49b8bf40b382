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
	biller   *batch.Biller
	cat      *catalog.Catalog
	mine     map[string]bool // the accounts whose bills are asked for
	bills    map[string]Bill
}

// close makes a closing again: the records between its barriers and those of the closing before,
// with its own catalogue.
func (r *run) close(ctx context.Context, k int, records seen) error {
	s := &r.closings.done[k]
	cat, err := r.closings.catalog(ctx, s.CatalogDigest)
	if err != nil {
		return err
	}
	m := closing.MomentOf(cat, s.Day)
	if m.At != s.ClosedAt {
		return fmt.Errorf("it is recorded at %s, and its catalogue closes that day at %s; the "+
			"settlement record or the catalogue was changed", s.ClosedAt, m.At)
	}
	switch {
	case r.biller == nil:
		r.biller = batch.New(cat)
	case r.cat != cat:
		oldest := billing.InstantOf(m.At.Time().Add(-r.closings.window))
		r.biller.UseCatalog(cat, oldest)
	}
	r.cat = cat
	if err := r.add(k, records); err != nil {
		return err
	}
	if err := r.biller.Close(m); err != nil {
		return err
	}
	for _, b := range r.biller.TakeBills() {
		if r.mine[b.AccountID] {
			r.bills[b.BillID] = Bill{b, cat.Settings.Zone}
		}
	}
	return nil
}

// add gives the biller the records that closing k was the first to see.
func (r *run) add(k int, records seen) error {
	decoder := decode.NewEvents(r.cat)
	for i := range records.events {
		e := &records.events[i]
		ev, refusal := decoder.Decode(e.Value, e.Arrival)
		if refusal != nil {
			return fmt.Errorf("the stored event at %s no longer decodes: %w", e.Arrival.Place(), refusal)
		}
		r.biller.AddEvent(ev, func(at billing.Arrival) closing.Moment {
			return r.closings.missedBy(r.cat, k, at)
		})
	}
	for _, c := range records.calls {
		r.biller.AddCall(c.record(r.cat))
	}
	return nil
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

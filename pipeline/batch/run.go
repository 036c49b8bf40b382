package batch

import (
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
)

// Run closes every nominal close time up to and including until, over records in arrival order. A
// record that arrives at or after a close time is beyond that closing's barrier. Progress, which
// may be nil, hears how many records are behind the current barrier.
func Run(
	cat *catalog.Catalog, records []Record, until billing.Instant, progress func(int),
) (*Output, error) {
	always := func(billing.Instant) *catalog.Catalog { return cat }
	return RunChanging(always, records, until, progress)
}

// RunChanging is Run with a catalogue that changes: catalogAt says by which one a closing goes
// (B26).
func RunChanging(
	catalogAt func(billing.Instant) *catalog.Catalog, records []Record, until billing.Instant,
	progress func(int),
) (*Output, error) {
	first := until
	if len(records) > 0 {
		first = records[0].Arrival.Appended
	}
	cat := catalogAt(first)
	b, n := New(cat), 0
	m := closing.MomentOf(cat, closing.LastMomentBy(cat, first).Day+1)
	for ; m.At <= until; m = closing.MomentOf(cat, m.Day+1) {
		if now := catalogAt(m.At); now != cat {
			cat = now
			b.UseCatalog(cat, closing.WindowStart(m.Day, cat.Settings.Zone))
		}
		for n < len(records) && records[n].Arrival.Appended < m.At {
			b.Add(&records[n])
			n++
		}
		if progress != nil {
			progress(n)
		}
		if err := b.Close(m); err != nil {
			return nil, err
		}
	}
	for n < len(records) && records[n].Arrival.Appended <= until {
		b.Add(&records[n])
		n++
	}
	return b.finish(until), nil
}

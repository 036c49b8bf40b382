package clickhouse

import (
	"context"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// Loops is the store as the three loops see it, in the pipeline's own words.
type Loops struct{ *Store }

// WriteBatch implements ingest.Store and usage.Store.
func (l Loops) WriteBatch(ctx context.Context, b *stored.Batch) error {
	out := &Batch{
		Calls:       make([]CallRow, len(b.Calls)),
		Events:      make([]EventRow, len(b.Events)),
		Quarantined: make([]QuarantineRow, len(b.Quarantined)),
		Deliveries:  make([]DeliveryRow, len(b.Deliveries)),
	}
	for i := range b.Calls {
		c := &b.Calls[i]
		out.Calls[i] = CallRow{CallRecord: c.CallRecord, Main: c.Main, Cohort: c.Cohort,
			Channel: c.Judgement.Channel, Postpaid: string(c.Judgement.Postpaid),
			Prepaid: string(c.Judgement.Prepaid), Legacy: string(c.Judgement.Legacy),
			Charged: c.Judgement.Charged, CodeKnown: c.Judgement.CodeKnown,
			NoTag: c.Judgement.NoTag, CatalogDigest: c.CatalogDigest}
	}
	for i := range b.Events {
		out.Events[i] = EventRow{Event: b.Events[i].AccountEvent, Value: b.Events[i].Value}
	}
	for i := range b.Quarantined {
		out.Quarantined[i] = QuarantineRow(b.Quarantined[i])
	}
	for i := range b.Deliveries {
		out.Deliveries[i] = DeliveryRow(b.Deliveries[i])
	}
	return l.Store.WriteBatch(ctx, out)
}

// SweepOpenUsage implements usage.Store.
func (l Loops) SweepOpenUsage(
	ctx context.Context, asOf billing.Instant, openFrom billing.Day,
) error {
	_, err := l.Store.SweepOpenUsage(ctx, asOf, openFrom)
	return err
}

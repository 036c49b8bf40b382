package ingest

import (
	"context"
	"fmt"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// Looker reads single records of the log again, to say what they are. It stores nothing.
type Looker struct {
	log     Log
	builder builder
}

// NewLooker decodes as a loop of that catalogue would; events is the topic of account events.
func NewLooker(log Log, cat *catalog.Catalog, events string) *Looker {
	return &Looker{log: log, builder: newBuilder(cat, events, nil)}
}

// Look says what stands at a place. Whether its account is known is not looked at.
func (l *Looker) Look(ctx context.Context, at billing.Arrival) (stored.Delivery, error) {
	fetched, err := l.log.FetchMany(ctx, []kafkalog.Position{
		{Topic: stored.TopicOf(at.Topic), Partition: int(at.Partition), Offset: at.Offset}})
	if err != nil {
		return stored.Delivery{}, err
	}
	defer fetched[0].Release()
	fetched[0].CutAt(at.Offset + 1)
	var rows stored.Batch
	l.builder.begin(&rows)
	l.builder.add(&rows, fetched)
	if rows.Deliveries.Len() == 0 {
		return stored.Delivery{}, fmt.Errorf("nothing decided stands at %s yet", at.Place())
	}
	return rows.Deliveries.At(0), nil
}

package ingest

import (
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// count counts a batch that is committed.
func (l *Loop) count(batch *stored.Batch, r *round) {
	l.Metrics.Committed(r.next)
	for i := range batch.Deliveries {
		d := &batch.Deliveries[i]
		l.Metrics.Delivered(d.Arrival.Topic, d.Outcome)
	}
	for i := range batch.Quarantined {
		l.Metrics.Quarantined(string(batch.Quarantined[i].Refusal.Reason))
	}
	for i := range batch.Calls {
		c := &batch.Calls[i]
		if c.Main != "" && c.Judgement.NoTag == "" && !c.Judgement.FreeAction &&
			!c.Judgement.CodeKnown {
			l.Metrics.UnknownCode(c.Judgement.CodeTable)
		}
	}
	l.occurred(batch)
	if n := len(batch.Deliveries); n > 0 {
		last := batch.Deliveries[n-1].Arrival.Appended
		l.Metrics.Appended(last.Time())
	}
}

// occurred notes until when the calls of each partition were made.
func (l *Loop) occurred(batch *stored.Batch) {
	last := map[kafkalog.TopicPartition]*stored.Call{}
	for i := range batch.Calls {
		c := &batch.Calls[i]
		p := kafkalog.TopicPartition{Topic: stored.TopicOf(c.Arrival.Topic),
			Partition: int(c.Arrival.Partition)}
		if old := last[p]; old == nil || old.OccurredAt < c.OccurredAt {
			last[p] = c
		}
	}
	for p, c := range last { //nolint:maporder // each partition by itself
		l.Metrics.Occurred(p, c.OccurredAt.Time())
	}
}

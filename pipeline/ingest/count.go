package ingest

import (
	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// count counts a batch that is committed.
func (l *Loop) count(b *batch) {
	l.Metrics.Committed(b.next)
	rows := &b.rows
	d := &rows.Deliveries
	delivered := make([][len(stored.Outcomes)]int64, len(d.Topics))
	for i := range d.Topic {
		delivered[d.Topic[i]][d.Outcome[i]]++
	}
	for topic := range delivered {
		for outcome, n := range delivered[topic] {
			if n > 0 {
				l.Metrics.Delivered(d.Topics[topic], stored.Outcomes[outcome], n)
			}
		}
	}
	for i := range rows.Quarantined {
		l.Metrics.Quarantined(string(rows.Quarantined[i].Refusal.Reason))
	}
	l.unknownCodes(&rows.Calls)
	l.occurred(&rows.Calls)
	if n := d.Len(); n > 0 {
		l.Metrics.Appended(d.Appended[n-1].Time())
	}
}

// unknownCodes counts the calls, of known accounts, of whose result codes nobody has heard.
func (l *Loop) unknownCodes(c *stored.Calls) {
	counts := make([]int64, len(c.Shapes))
	for _, place := range c.Shape {
		counts[place]++
	}
	for place, s := range c.Shapes {
		if s.Cohort != "" && s.NoTag == "" && !s.FreeAction && !s.CodeKnown {
			l.Metrics.UnknownCodes(s.CodeTable, counts[place])
		}
	}
}

// occurred notes until when the calls of each partition were made.
func (l *Loop) occurred(c *stored.Calls) {
	last := map[kafkalog.TopicPartition]billing.Instant{}
	for i := 0; i < c.Len(); {
		topic, partition, latest := c.Shapes[c.Shape[i]].Topic, c.Partition[i], c.OccurredAt[i]
		for ; i < c.Len() && c.Partition[i] == partition &&
			c.Shapes[c.Shape[i]].Topic == topic; i++ {
			latest = max(latest, c.OccurredAt[i])
		}
		p := kafkalog.TopicPartition{Topic: stored.TopicOf(topic), Partition: int(partition)}
		if old, known := last[p]; !known || old < latest {
			last[p] = latest
		}
	}
	for p, latest := range last { //nolint:maporder // each partition by itself
		l.Metrics.Occurred(p, latest.Time())
	}
}

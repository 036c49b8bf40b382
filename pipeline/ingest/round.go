package ingest

import (
	"context"
	"time"

	"tollstream/pipeline/kafkalog"
)

// round is what was fetched together, and where each partition goes on after it. Offsets counts
// records and holes: a hole has to be stored too, or the books wait for it.
type round struct {
	fetched []kafkalog.Fetched
	next    map[kafkalog.TopicPartition]int64
	offsets int64
	bytes   int
}

// fetch reads ahead until the context ends.
func (l *Loop) fetch(ctx context.Context, at []kafkalog.Position, out chan<- round) error {
	for {
		fetched, err := l.Log.FetchMany(ctx, at)
		if err != nil {
			if err = l.goOnAbove(at, err); err != nil {
				return err
			}
			continue
		}
		r := round{fetched: fetched, next: map[kafkalog.TopicPartition]int64{}}
		for i := range fetched {
			f := &fetched[i]
			next := l.cutGap(f, at[i].Offset)
			r.offsets += f.Next - at[i].Offset
			r.bytes += f.Size()
			at[i].Offset = next
			r.next[kafkalog.TopicPartition{Topic: f.Topic, Partition: f.Partition}] = next
			l.lag.ends(kafkalog.TopicPartition{Topic: f.Topic, Partition: f.Partition},
				f.HighWatermark, f.LastStable)
		}
		select {
		case out <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gather collects rounds until the batch is large, or its first round is old enough, or the context
// ends.
func (l *Loop) gather(ctx context.Context, in <-chan round) round {
	all := round{next: map[kafkalog.TopicPartition]int64{}}
	var old <-chan time.Time // nil while there is no round
	for all.offsets < int64(l.RecordsMax) && all.bytes < l.BytesMax && ctx.Err() == nil {
		select {
		case r := <-in:
			if old == nil {
				timer := time.NewTimer(l.AgeMax)
				defer timer.Stop()
				old = timer.C
			}
			all.fetched = append(all.fetched, r.fetched...)
			all.offsets += r.offsets
			all.bytes += r.bytes
			for p, next := range r.next { //nolint:maporder // a merge of maps
				all.next[p] = next
			}
		case <-old:
			return all
		case <-ctx.Done():
			return all
		}
	}
	return all
}

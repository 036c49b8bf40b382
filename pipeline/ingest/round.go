package ingest

import (
	"context"

	"tollstream/pipeline/kafkalog"
)

// round is what was fetched together, and where each partition goes on after it. Offsets counts
// records and holes: a hole has to be stored too, or the books wait for it. A round may be empty
// and say something about those before it.
type round struct {
	fetched []kafkalog.Fetched
	next    map[kafkalog.TopicPartition]int64
	offsets int64
	bytes   int
	left    int64 // records that there were to read behind it; 0 at the ends of the logs
	awaited bool  // other members wait for what was read up to here
	learns  bool  // other members stored account events that may not be known yet
}

// fetch reads ahead until the context ends. What account events there are comes first: calls of
// accounts that are not known yet would have to wait in the quarantine.
func (l *Loop) fetch(ctx context.Context, at []kafkalog.Position, out chan<- round) error {
	if err := l.fetchEvents(ctx, at, out); err != nil {
		return err
	}
	if err := l.awaitEvents(ctx, at, out); err != nil {
		return err
	}
	for {
		if err := l.fetchRound(ctx, at, out); err != nil {
			return err
		}
	}
}

// fetchEvents reads the account events that there are now.
func (l *Loop) fetchEvents(ctx context.Context, at []kafkalog.Position, out chan<- round) error {
	ends, behind, err := l.eventsBehind(ctx, at)
	if err != nil || behind == 0 {
		return err
	}
	for behind > 0 {
		if err := l.fetchRound(ctx, at[:behind], out); err != nil {
			return err
		}
		for i := 0; i < behind; i++ {
			if at[i].Offset >= ends[at[i].Partition] {
				behind--
				at[i], at[behind] = at[behind], at[i]
				i--
			}
		}
	}
	return send(ctx, out, round{awaited: true})
}

// eventsBehind puts the partitions of account events of which there is something to read in front,
// and gives how many they are and, by partition, where their logs end now.
func (l *Loop) eventsBehind(
	ctx context.Context, at []kafkalog.Position,
) (ends map[int]int64, behind int, err error) {
	ends = map[int]int64{}
	for i, p := range at {
		if p.Topic != l.Events {
			continue
		}
		_, high, stable, err := l.Log.Offsets(ctx, p.Topic, p.Partition)
		if err != nil {
			return nil, 0, err
		}
		if ends[p.Partition] = min(high, stable); p.Offset < ends[p.Partition] {
			at[behind], at[i] = p, at[behind]
			behind++
		}
	}
	return ends, behind, nil
}

// fetchRound reads on from the positions, and moves them.
func (l *Loop) fetchRound(
	ctx context.Context, at []kafkalog.Position, out chan<- round,
) error {
	fetched, err := l.Log.FetchMany(ctx, at)
	if err != nil {
		return l.goOnAbove(at, err)
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
	r.left = l.lag.left(at)
	return send(ctx, out, r)
}

func send(ctx context.Context, out chan<- round, r round) error {
	select {
	case out <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

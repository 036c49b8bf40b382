package ingest

import (
	"context"

	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// Stretches reads stretches of the log, each from its Low to its High, and stores them by effects 1
// and 2 of the package comment. No group is joined, and nothing is published or committed, so that
// a database is made again beside a pipeline that runs (B22). Read hears how many offsets were
// stored. What comes back are the records that had been in quarantine before.
func (l *Loop) Stretches(
	ctx context.Context, list []stored.Barrier, read func(offsets int64),
) ([]stored.Requeued, error) {
	var requeued []stored.Requeued
	left := unreadOf(list)
	for len(left.at) > 0 {
		fetched, offsets, err := left.fetch(ctx, l.Log, int64(l.RecordsMax), l.BytesMax)
		if err != nil {
			return nil, err
		}
		batch, err := l.write(ctx, fetched)
		if err != nil {
			return nil, err
		}
		requeued = append(requeued, batch.Requeued...)
		for i := range fetched {
			fetched[i].Release() // the batch is stored; nothing holds its bytes any more
		}
		read(offsets)
	}
	return requeued, nil
}

// unread is what is left of stretches: where to read on, and where each partition ends.
type unread struct {
	at   []kafkalog.Position
	ends map[kafkalog.TopicPartition]int64
}

func unreadOf(list []stored.Barrier) *unread {
	u := &unread{ends: map[kafkalog.TopicPartition]int64{}}
	for _, b := range list {
		if b.Low < b.High {
			at := kafkalog.Position{Topic: b.Topic, Partition: int(b.Partition), Offset: b.Low}
			u.at = append(u.at, at)
			u.ends[partitionOf(at)] = b.High
		}
	}
	return u
}

func partitionOf(p kafkalog.Position) kafkalog.TopicPartition {
	return kafkalog.TopicPartition{Topic: p.Topic, Partition: p.Partition}
}

// fetch reads on until there are enough offsets or bytes for a batch, or nothing is left.
func (u *unread) fetch(
	ctx context.Context, log Log, enough int64, bytesMax int,
) (fetched []kafkalog.Fetched, offsets int64, err error) {
	for bytes := 0; len(u.at) > 0 && offsets < enough && bytes < bytesMax; {
		got, err := log.FetchMany(ctx, u.at)
		if err != nil {
			return nil, 0, err
		}
		left := u.at[:0]
		for i, p := range u.at {
			end := u.ends[partitionOf(p)]
			got[i].CutAt(end)
			offsets += got[i].Next - p.Offset
			bytes += got[i].Size()
			if p.Offset = got[i].Next; p.Offset < end {
				left = append(left, p)
			}
		}
		u.at, fetched = left, append(fetched, got...)
	}
	return fetched, offsets, nil
}

package ingest

import (
	"context"
	"slices"

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
	l.builder.logs = map[string]string{}
	for _, b := range list {
		l.builder.logs[stored.TopicOf(b.Topic)] = b.Topic
	}
	u, b := unreadOf(list), &batch{}
	for len(u.left) > 0 {
		fetched, offsets, err := u.fetch(ctx, l.Log, int64(l.RecordsMax), l.BytesMax)
		if err != nil {
			return nil, err
		}
		l.begin(b)
		if err := l.add(ctx, b, &round{fetched: fetched, offsets: offsets}); err != nil {
			return nil, err
		}
		if err := l.write(ctx, &b.rows); err != nil {
			return nil, err
		}
		requeued = append(requeued, b.rows.Requeued...)
		read(offsets)
	}
	return requeued, nil
}

// unread is what is left of stretches: each begins where it is to be read on.
type unread struct{ left []stored.Barrier }

func unreadOf(list []stored.Barrier) *unread {
	u := &unread{left: slices.Clone(list)}
	u.drop()
	return u
}

// drop forgets what is read.
func (u *unread) drop() {
	u.left = slices.DeleteFunc(u.left, func(b stored.Barrier) bool { return b.Low >= b.High })
}

// heads are the first stretches of each partition, and where to read on in them.
func (u *unread) heads() (heads []*stored.Barrier, at []kafkalog.Position) {
	seen := map[kafkalog.TopicPartition]bool{}
	for i := range u.left {
		b := &u.left[i]
		p := kafkalog.TopicPartition{Topic: stored.TopicOf(b.Topic), Partition: int(b.Partition)}
		if !seen[p] {
			seen[p], heads = true, append(heads, b)
			at = append(at, kafkalog.Position{Topic: p.Topic, Partition: p.Partition, Offset: b.Low})
		}
	}
	return heads, at
}

// fetch reads on until there are enough offsets or bytes for a batch, or nothing is left.
func (u *unread) fetch(
	ctx context.Context, log Log, enough int64, bytesMax int,
) (fetched []kafkalog.Fetched, offsets int64, err error) {
	for bytes := 0; len(u.left) > 0 && offsets < enough && bytes < bytesMax; u.drop() {
		heads, at := u.heads()
		got, err := log.FetchMany(ctx, at)
		if err != nil {
			return nil, 0, err
		}
		for i, b := range heads {
			got[i].CutAt(b.High)
			offsets += got[i].Next - b.Low
			bytes += got[i].Size()
			b.Low = got[i].Next
		}
		fetched = append(fetched, got...)
	}
	return fetched, offsets, nil
}

package ingest

import (
	"context"
	"errors"
	"time"

	"tollstream/pipeline/kafkalog"
)

// start gives the first positions: a little behind the commit, which costs nothing under set
// semantics and heals what a power loss took after an acknowledgement. The commit tells what was
// read, into whatever database; where this one lacks something before it, reading begins there.
func (l *Loop) start(
	ctx context.Context, assigned []kafkalog.Assignment,
) ([]kafkalog.Position, error) {
	positions := make([]kafkalog.Position, 0, len(assigned))
	for _, a := range assigned {
		first, missing, err := l.missing(ctx, a)
		if err != nil {
			return nil, err
		}
		at := first
		if a.Committed {
			at = max(first, min(missing, a.Offset-l.Rewind))
		}
		positions = append(positions,
			kafkalog.Position{Topic: a.Topic, Partition: a.Partition, Offset: at})
	}
	return positions, nil
}

// missing gives where a partition's log begins, and the first offset below the commit that is not
// stored.
func (l *Loop) missing(
	ctx context.Context, a kafkalog.Assignment,
) (first, missing int64, err error) {
	first, _, _, err = l.Log.Offsets(ctx, a.Topic, a.Partition)
	if err != nil || !a.Committed {
		return first, first, err
	}
	if a.Offset < first {
		return first, 0, &kafkalog.OffsetOutOfRange{Topic: a.Topic, Partition: a.Partition,
			Requested: a.Offset, LogStart: first}
	}
	err = l.retry(ctx, "look for records that are not stored", func() (err error) {
		missing, err = l.Store.FirstMissing(ctx, a.Topic, int32(a.Partition), first, a.Offset)
		return err
	})
	return first, missing, err
}

// The database is asked every lookEvery whether it still has what was committed. A look that takes
// long is done less often, so that looks take one part in lookShare of the time at most.
const (
	lookEvery = 10 * time.Second
	lookShare = 50
)

// errLacks ends the reading of partitions of which the database lost something.
var errLacks = errors.New("the database lacks records that it had acknowledged")

// look finds out whether the database lost what it acknowledged: one that crashed before its files
// reached the disk, or was set back to a backup, lacks the end, and nobody else would read it.
func (l *Loop) look(ctx context.Context, assigned []kafkalog.Assignment) error {
	for _, a := range assigned {
		_, missing, err := l.missing(ctx, a)
		if err != nil {
			return err
		}
		if a.Committed && missing < a.Offset {
			l.Metrics.Failed("keep what was stored")
			l.Logger.Error("ingest reads again what the database has lost", "topic", a.Topic,
				"partition", a.Partition, "from", missing, "committed", a.Offset)
			return errLacks
		}
	}
	return nil
}

package ingest

import (
	"context"
	"errors"
	"time"

	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// start gives the first positions: a little behind the commit, which costs nothing under set
// semantics and heals what a power loss took after an acknowledgement. The commit tells what was
// read, into whatever database; where this one lacks something before it, reading begins there.
func (l *Loop) start(
	ctx context.Context, assigned []kafkalog.Assignment,
) ([]kafkalog.Position, error) {
	if err := l.settled(ctx, assigned); err != nil {
		return nil, err
	}
	positions := make([]kafkalog.Position, 0, len(assigned))
	for i := range assigned {
		a := &assigned[i]
		first, missing, err := l.missing(ctx, *a)
		if err != nil {
			return nil, err
		}
		at := first
		switch {
		case a.Committed && a.Offset < first:
			l.skipped(a.Topic, a.Partition, a.Offset, first)
		case a.Committed:
			at = max(first, min(missing, a.Offset-l.Rewind))
		default:
			at = missing
		}
		positions = append(positions, kafkalog.Position{Topic: a.Topic, Partition: a.Partition,
			Offset: l.beyondGap(a.Topic, a.Partition, at)})
	}
	return positions, nil
}

// settled reads which log each topic is, and which gaps were accepted. Offsets that were committed
// of an earlier epoch are forgotten: they say nothing about this one.
func (l *Loop) settled(ctx context.Context, assigned []kafkalog.Assignment) error {
	var all stored.Epochs
	if err := l.retry(ctx, stepSettled, func() (err error) {
		if l.gaps, err = l.Settled.Gaps(ctx); err == nil {
			all, err = l.Settled.Epochs(ctx)
		}
		return err
	}); err != nil {
		return err
	}
	l.epochs, l.builder.logs = nil, map[string]string{}
	for i := range assigned {
		a := &assigned[i]
		epoch := all.Last(a.Topic)
		if _, known := l.builder.logs[a.Topic]; !known {
			l.epochs = append(l.epochs, epoch)
			l.builder.logs[a.Topic] = epoch.Log()
		}
		if epoch.Number > 1 {
			a.Committed = false
		}
	}
	events := all.Last(l.Events) // others may read it
	l.builder.logs[l.Events] = events.Log()
	return l.sameLogs(ctx)
}

// sameLogs makes sure that topics are still the logs that they were. It is asked after records were
// fetched and before they are stored, so that none of another log is taken for one of this.
func (l *Loop) sameLogs(ctx context.Context) error {
	for i := range l.epochs {
		cluster, id, err := l.Log.TopicID(ctx, l.epochs[i].Topic)
		if err == nil {
			err = l.epochs[i].Check(cluster, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// goOnAbove moves the positions to which the log no longer reaches down to where it begins. What
// lay between is lost; nothing is written about it here, so that no closing passes over it until a
// person has accepted the gap (B21). Any other error comes back.
func (l *Loop) goOnAbove(at []kafkalog.Position, err error) error {
	faults := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		faults = several.Unwrap()
	}
	for _, fault := range faults {
		var gone *kafkalog.OffsetOutOfRange
		if !errors.As(fault, &gone) || gone.Requested >= gone.LogStart {
			return err
		}
		for i := range at {
			if p := &at[i]; p.Topic == gone.Topic && p.Partition == gone.Partition {
				l.skipped(p.Topic, p.Partition, p.Offset, gone.LogStart)
				p.Offset = gone.LogStart
			}
		}
	}
	return nil
}

// skipped says that offsets [from, to) are lost.
func (l *Loop) skipped(topic string, partition int, from, to int64) {
	l.Metrics.Failed(stepBelow)
	l.Logger.Error("the log begins above what was read: records are lost, and closings wait until "+
		"that is accepted with tollstream settle accept-gap", "topic", topic, "partition", partition,
		"from", from, "to", to)
}

// beyondGap is where reading goes on at an offset: behind the accepted gap in which it lies.
func (l *Loop) beyondGap(topic string, partition int, offset int64) int64 {
	for _, g := range l.gaps {
		if g.Topic == l.builder.log(topic) && int(g.Partition) == partition &&
			g.From <= offset && offset < g.To {
			return l.beyondGap(topic, partition, g.To)
		}
	}
	return offset
}

// cutGap takes away what was fetched from the next accepted gap on. It gives where reading goes on.
func (l *Loop) cutGap(f *kafkalog.Fetched, from int64) int64 {
	for _, g := range l.gaps {
		if g.Topic == l.builder.log(f.Topic) && int(g.Partition) == f.Partition && from < g.From {
			f.CutAt(g.From)
		}
	}
	return l.beyondGap(f.Topic, f.Partition, f.Next)
}

// missing gives where a partition's log begins, and the first offset below the commit that is not
// stored. In a later epoch commits say nothing, and what is stored tells how far it was read.
func (l *Loop) missing(
	ctx context.Context, a kafkalog.Assignment,
) (first, missing int64, err error) {
	first, end, _, err := l.Log.Offsets(ctx, a.Topic, a.Partition)
	log := l.builder.log(a.Topic)
	switch {
	case err != nil:
		return 0, 0, err
	case a.Committed && a.Offset > end:
		return 0, 0, &kafkalog.OffsetOutOfRange{Topic: a.Topic, Partition: a.Partition,
			Requested: a.Offset, LogStart: first, HighWatermark: end}
	case a.Committed:
		end = a.Offset
	case log == a.Topic:
		return first, first, nil
	}
	missing, err = l.firstMissing(ctx, stored.Barrier{Topic: log, Partition: int32(a.Partition),
		Low: first, High: max(first, end)})
	return first, missing, err
}

// firstMissing gives the first offset of a stretch that is not stored and lies in no accepted gap,
// and its end where there is none.
func (l *Loop) firstMissing(ctx context.Context, whole stored.Barrier) (missing int64, err error) {
	missing = whole.High
	for _, r := range stored.Without([]stored.Barrier{whole}, l.gaps) {
		var at int64
		err = l.retry(ctx, stepProve, func() (err error) {
			at, err = l.Store.FirstMissing(ctx, r.Topic, r.Partition, r.Low, r.High)
			return err
		})
		if err != nil {
			return missing, err
		}
		if at < r.High {
			missing = min(missing, at)
		}
	}
	return missing, nil
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
			l.Metrics.Failed(stepKeep)
			l.Logger.Error("ingest reads again what the database has lost", "topic", a.Topic,
				"partition", a.Partition, "from", missing, "committed", a.Offset)
			return errLacks
		}
	}
	return nil
}

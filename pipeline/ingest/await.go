package ingest

import (
	"context"
	"fmt"
	"time"

	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// A member asks every awaitEvery whether the account events are stored that others read, or less
// often where an answer takes long: asking takes one part in awaitShare of the time at most. Nobody
// may be there to store them, so that it goes on without them after awaitMax without progress.
const (
	awaitEvery = 200 * time.Millisecond
	awaitShare = 5
	awaitMax   = 30 * time.Second
)

// awaitEvents waits until the account events are stored that were in the log when it began and that
// other members read: calls of accounts that are not known would have to wait in the quarantine. In
// a group that has run before they are there already. Its own events are read on meanwhile: the
// others may wait for these. Going on without theirs loses nothing, so that a partition that cannot
// be read holds up its own member alone.
func (l *Loop) awaitEvents(ctx context.Context, at []kafkalog.Position, out chan<- round) error {
	left, err := l.eventsOfOthers(ctx, at)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		l.goesOn(err.Error())
		return nil
	}
	if len(left) == 0 {
		return nil
	}
	for n, moved := offsetsOf(left), time.Now(); ; {
		asked := time.Now()
		if left, err = l.notStored(ctx, left); err != nil {
			return err
		}
		if now := offsetsOf(left); now < n {
			n, moved = now, time.Now()
			l.Progress.Moved()
		}
		if n == 0 {
			break
		}
		if time.Since(moved) >= awaitMax {
			l.goesOn(fmt.Sprintf("%d are not stored, and none was in %v", n, awaitMax))
			break
		}
		l.Progress.Waits(fmt.Sprintf("%d account events that other members read are not stored", n))
		select {
		case <-time.After(max(awaitEvery, (awaitShare-1)*time.Since(asked))):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := l.fetchEvents(ctx, at, out); err != nil {
			return err
		}
	}
	return send(ctx, out, round{learns: true})
}

// goesOn says that account events are not awaited any more, and why.
func (l *Loop) goesOn(why string) {
	l.Metrics.Failed(stepOthers)
	l.Progress.Moved()
	l.Logger.Warn("ingest reads on without account events of other members: until they are stored, "+
		"calls of their accounts go into quarantine", "why", why)
}

// eventsOfOthers gives what the log has of account events in partitions that are read elsewhere.
func (l *Loop) eventsOfOthers(
	ctx context.Context, at []kafkalog.Position,
) (others []stored.Barrier, err error) {
	info, err := l.Log.Topic(ctx, l.Events)
	if err != nil {
		return nil, err
	}
	own := map[int]bool{}
	for _, p := range at {
		if p.Topic == l.Events {
			own[p.Partition] = true
		}
	}
	for _, p := range info.Partitions {
		if own[p] {
			continue
		}
		first, high, stable, err := l.Log.Offsets(ctx, l.Events, p)
		if err != nil {
			return nil, err
		}
		others = append(others, stored.Barrier{Topic: l.builder.log(l.Events), Partition: int32(p),
			Low: first, High: max(first, min(high, stable))})
	}
	return others, nil
}

// notStored gives what of stretches of logs is not stored yet: each from its first hole on.
func (l *Loop) notStored(
	ctx context.Context, list []stored.Barrier,
) (left []stored.Barrier, err error) {
	for _, b := range list {
		if b.Low, err = l.firstMissing(ctx, b); err != nil {
			return nil, err
		}
		if b.Low < b.High {
			left = append(left, b)
		}
	}
	return left, nil
}

func offsetsOf(list []stored.Barrier) (n int64) {
	for _, b := range list {
		n += b.High - b.Low
	}
	return n
}

// Package ingest moves records from Kafka into the store: fetch, decode, enrich, write, and only
// then commit. It owns the order of these effects and the low-water mark of each partition. It
// decides no bill: what it writes are elements of sets, so that doing a batch again, in another
// cut, by another process, changes nothing.
//
// Effects of a batch, in order, and what a crash right after each means:
//
//  1. fetch, decode and enrich: nothing happened yet.
//  2. write the rows (facts first, deliveries last): the batch is read again and its rows are the
//     same elements.
//  3. publish quarantined records: the topic may repeat them; (topic, partition, offset) tells.
//  4. commit the offsets: done.
//
// Several batches are on their way at once: one is fetched, one built, some written. They are
// committed one after another, so a commit can never jump over a batch that failed: the loop stays
// at that batch until it is stored, whatever was written beyond it.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
)

// Log reads the input topics.
type Log interface {
	Ends
	FetchMany(ctx context.Context, at []kafkalog.Position) ([]kafkalog.Fetched, error)
	// TopicID gives the ids of the cluster and of a topic.
	TopicID(ctx context.Context, name string) (cluster, id string, err error)
	// Topic gives, among other things, the partitions of a topic.
	Topic(ctx context.Context, name string) (kafkalog.TopicInfo, error)
}

// Ends says where logs end.
type Ends interface {
	Offsets(ctx context.Context, topic string, partition int) (start, high, stable int64, err error)
}

// Group gives partitions to read, one generation after another, as kafkalog.Group.Run says.
type Group interface {
	Run(ctx context.Context, fn func(context.Context, *kafkalog.Generation) error) error
}

// Store takes batches. WriteBatch returns nil only when every row is acknowledged.
type Store interface {
	WriteBatch(ctx context.Context, batch *stored.Batch) error
	// FirstMissing gives the first offset in [from, below) of a partition that is not stored, and
	// below where there is none. What closings that are done have seen is not looked at again.
	FirstMissing(ctx context.Context, topic string, partition int32, from, below int64) (int64, error)
}

// Quarantine publishes quarantined records on the topic billing.quarantine.
type Quarantine interface {
	PublishQuarantined(ctx context.Context, records []stored.Quarantined) error
}

// Settled tells what was settled once for everyone.
type Settled interface {
	// Gaps gives the gaps that were accepted: nothing in them is read or stored.
	Gaps(ctx context.Context) ([]stored.Gap, error)
	// Epochs gives which log each topic is.
	Epochs(ctx context.Context) (stored.Epochs, error)
}

// Options connect the loop. All fields but BytesMax, WritesMax, Backoff, Ends and Partitions are
// required.
type Options struct {
	Log        Log
	Group      Group
	Store      Store
	Quarantine Quarantine
	Settled    Settled
	Roster     *roster.Roster
	Catalog    *catalog.Catalog
	Events     string        // the topic of account events
	RecordsMax int           // a batch is written when it holds this many records
	BytesMax   int           // or takes about this much memory; default 128 MiB
	AgeMax     time.Duration // or when its first record has waited this long
	WritesMax  int           // how many batches are written at once; default 2
	Rewind     int64         // records read again before the committed offset on start
	// Backoff makes the waits between tries of a step; nil grows them from 0.2 s to half a minute.
	Backoff  func() backoff.BackOff
	Metrics  *observe.Metrics
	Progress *observe.Progress
	// Ends is asked, beside the reading, where the logs end; nil leaves that to the fetches.
	Ends Ends
	// Partitions is ready while no single partition stands still.
	Partitions *observe.Progress
	Logger     *slog.Logger
}

// Loop is one member of the consumer group.
type Loop struct {
	Options
	builder   builder
	refreshed time.Time // when the roster last read what other members stored
	lag       lag
	backlog   bool // the batch before was full
	idBytes   int  // of a call's id in the batch before, on average
	// As of the start of reading:
	gaps   []stored.Gap   // accepted ones
	epochs []stored.Epoch // of the topics that are read
}

// rosterAgeMax bounds how old the knowledge of accounts may be that another member ingested. Older
// knowledge costs a provisional tag, never a bill.
const rosterAgeMax = 2 * time.Second

// rosterAgeStrangers is the same where there are calls of accounts that are not known: each of them
// goes into quarantine and back, and the member that reads account events may have stored theirs.
const rosterAgeStrangers = 200 * time.Millisecond

// New makes the loop.
func New(o Options) *Loop {
	if o.Backoff == nil {
		o.Backoff = growingWait
	}
	o.BytesMax, o.WritesMax = cmp.Or(o.BytesMax, 128<<20), cmp.Or(o.WritesMax, 2)
	o.Metrics.Steps(stepWrite, stepPublish, stepEvents, stepProve, stepBelow, stepKeep, stepEnds,
		stepOthers)
	return &Loop{Options: o, builder: newBuilder(o.Catalog, o.Events, o.Roster)}
}

// The steps that can fail, as logs, metrics and readiness name them.
const (
	stepSettled = "read accepted gaps and epochs"
	stepWrite   = "write to ClickHouse"
	stepPublish = "publish quarantined records"
	stepEvents  = "read account events"
	stepProve   = "look for records that are not stored"
	stepBelow   = "read what the log no longer has"
	stepKeep    = "keep what was stored"
	stepEnds    = "ask where the logs end"
	stepOthers  = "await account events of other members"
)

// Run reads until the context ends. A group that cannot be joined is joined again. So is one whose
// partitions cannot be read on: a batch is corrupt, the log ends below what was read, the topic is
// another one. Readiness says so until a person has done something about it.
func (l *Loop) Run(ctx context.Context) error {
	for {
		err := l.Group.Run(ctx, l.generation)
		if err == nil || ctx.Err() != nil {
			return ignoreEnd(ctx, err)
		}
		l.Progress.Waits("reading: " + err.Error())
		l.Logger.Error("ingest joins again", "error", err)
		select {
		case <-time.After(rejoinWait):
		case <-ctx.Done():
			return nil
		}
	}
}

// rejoinWait is the pause before a group is joined again that could not be kept.
const rejoinWait = 2 * time.Second

// generation reads the assigned partitions until the next rebalance. Where the database turns out
// to lack what it acknowledged, reading begins anew from there. How far the partitions are behind
// is shown from the start, which may wait for the database.
func (l *Loop) generation(ctx context.Context, gen *kafkalog.Generation) error {
	l.Metrics.Revoked()
	if len(gen.Assignments) == 0 { // other members read everything, until one of them is gone
		l.Progress.IdleUntil(time.Now().AddDate(100, 0, 0))
		l.Partitions.IdleUntil(time.Now().AddDate(100, 0, 0))
		<-ctx.Done()
		return nil
	}
	l.lag.begin(gen.Assignments)
	group, ctx := errgroup.WithContext(ctx)
	if l.Ends != nil {
		group.Go(func() error { return l.watchLag(ctx) })
	}
	group.Go(func() error {
		for {
			positions, err := l.start(ctx, gen.Assignments)
			if err == nil {
				l.Logger.Info("partitions assigned", "generation", gen.ID,
					"partitions", len(positions))
				err = l.read(ctx, gen, positions)
			}
			if !errors.Is(err, errLacks) {
				return err
			}
		}
	})
	return ignoreEnd(ctx, group.Wait())
}

// read reads on from the positions: one goroutine fetches, ahead by one round at most, one builds
// batches, one has them written, and one commits them.
func (l *Loop) read(
	ctx context.Context, gen *kafkalog.Generation, positions []kafkalog.Position,
) error {
	rounds, ready := make(chan round, 1), make(chan *batch)
	// One batch is built while others are written, so that there is one more of them.
	spare, order := make(chan *batch, l.WritesMax+1), make(chan *batch, l.WritesMax+1)
	for range cap(spare) {
		spare <- &batch{}
	}
	group, ctx := errgroup.WithContext(ctx)
	l.lag.from(positions, l.Rewind)
	group.Go(func() error { return l.fetch(ctx, positions, rounds) })
	group.Go(func() error { return l.build(ctx, rounds, spare, ready) })
	group.Go(func() error {
		var events chan struct{} // the last batch with account events is written
		for {
			b, err := next(ctx, ready)
			if err != nil {
				return err
			}
			if b.after = nil; len(b.rows.Events) > 0 {
				b.after, events = events, b.written
			}
			order <- b // it has room for all
			group.Go(func() error { return l.effect(ctx, b) })
		}
	})
	group.Go(func() error { return l.commits(ctx, gen, order, spare) })
	return group.Wait()
}

// ignoreEnd turns the errors of an ended context into a plain end.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
		return nil
	}
	return err
}

// effect is effect 2 of the package comment. Account events are stored in their order: who reads on
// behind the last one that is there would not come back for one that comes late.
func (l *Loop) effect(ctx context.Context, b *batch) error {
	if b.after != nil {
		if _, err := next(ctx, b.after); err != nil {
			return err
		}
	}
	if b.offsets > 0 {
		if err := l.write(ctx, &b.rows); err != nil {
			return err
		}
	}
	close(b.written)
	return nil
}

// write stores the rows of a batch.
func (l *Loop) write(ctx context.Context, rows *stored.Batch) error {
	started := time.Now()
	if err := l.retry(ctx, stepWrite, func() error {
		return l.Store.WriteBatch(ctx, rows)
	}); err != nil {
		return err
	}
	l.Metrics.Inserted(time.Since(started))
	return nil
}

// commits commits batches in their order, each once it is stored, and looks now and then whether
// the database still has what was committed.
func (l *Loop) commits(
	ctx context.Context, gen *kafkalog.Generation, order <-chan *batch, spare chan<- *batch,
) error {
	lookAt := time.Now().Add(lookEvery)
	for {
		b, err := next(ctx, order)
		if err != nil {
			return err
		}
		if _, err := next(ctx, b.written); err != nil {
			return err
		}
		if err := l.finish(ctx, gen, b); err != nil {
			return err
		}
		spare <- b // it has room for all
		started := time.Now()
		if started.Before(lookAt) {
			continue
		}
		if err := l.look(ctx, gen.Assignments); err != nil {
			return err
		}
		lookAt = time.Now().Add(max(lookEvery, lookShare*time.Since(started)))
	}
}

// next gives what comes next on a channel. A context that has ended goes first, so that how a
// generation ends does not depend on chance.
func next[T any](ctx context.Context, from <-chan T) (x T, err error) {
	if err := ctx.Err(); err != nil {
		return x, err
	}
	select {
	case x = <-from:
		return x, nil
	case <-ctx.Done():
		return x, ctx.Err()
	}
}

// finish brings a batch that is stored through what is left of its effects.
func (l *Loop) finish(ctx context.Context, gen *kafkalog.Generation, b *batch) error {
	if b.offsets == 0 {
		l.Progress.Idle()
		return nil
	}
	if err := l.publish(ctx, b); err != nil { // 3
		return err
	}
	if err := l.commit(gen, b); err != nil { // 4
		return err
	}
	l.Progress.Moved()
	return nil
}

// publish is effect 3 of the package comment.
func (l *Loop) publish(ctx context.Context, b *batch) error {
	if len(b.rows.Quarantined) == 0 {
		return nil
	}
	return l.retry(ctx, stepPublish, func() error {
		return l.Quarantine.PublishQuarantined(ctx, b.rows.Quarantined)
	})
}

// commit is effect 4 of the package comment.
func (l *Loop) commit(gen *kafkalog.Generation, b *batch) error {
	if err := gen.Commit(b.next); err != nil {
		if errors.Is(err, kafkalog.ErrFenced) {
			l.Logger.Warn("another member owns the partitions now; it reads this batch again")
			return nil
		}
		return fmt.Errorf("commit offsets: %w", err)
	}
	for i := range gen.Assignments {
		a := &gen.Assignments[i]
		p := kafkalog.TopicPartition{Topic: a.Topic, Partition: a.Partition}
		if next, ok := b.next[p]; ok {
			a.Offset, a.Committed = next, true
		}
	}
	l.lag.stored(b.next)
	l.Metrics.Batch(b.offsets, b.bytes, time.Since(b.made))
	l.count(b)
	return nil
}

// growingWait is the usual wait between tries.
func growingWait() backoff.BackOff {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 200*time.Millisecond, 30*time.Second
	return wait
}

// retry does a step again until it succeeds or the context ends: the world may be bad for long,
// and nothing may be skipped. Metrics and readiness show the wait.
func (l *Loop) retry(ctx context.Context, what string, step func() error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := step()
		if err != nil && ctx.Err() == nil { // else a rebalance or the end of the process cut it short
			l.Metrics.Failed(what)
			l.Progress.Waits(what + ": " + err.Error())
			l.Logger.Error("ingest waits", "step", what, "error", err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(l.Backoff()), backoff.WithMaxElapsedTime(0))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

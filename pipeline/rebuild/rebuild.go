// Package rebuild makes a database again from the topics: ClickHouse is disposable (rule B22). It
// reads the input topics from barrier to barrier by the code that ingests, lets the settle loop
// close each recorded closing with its own barriers and catalogue, and compares the bills and the
// status changes that come out with those on the output topics. It owns that order and the
// comparison; it publishes nothing, commits nothing, and decides no closing.
//
//	read closing 1 ─▶ read closing 2 ─▶ ...  ─▶ read what lies beyond the last barriers
//	             └─▶ close 1, compare ─▶ close 2, compare ─▶ ...
//
// Reading is one closing ahead at most, so that each closing finds about what it found the first
// time. What is written are elements of sets and closings that are marked when they are done, so
// a rebuild that was interrupted goes on after the last closing that is done.
//
// A closing that is recorded last may not have been published in full: the pipeline that decided it
// is at it, or was stopped. It is then left to `tollstream run`, which publishes it.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// Log reads topics.
type Log interface {
	settle.Log
	Fetch(ctx context.Context, topic string, partition int, offset int64) (kafkalog.Fetched, error)
}

// Settled is what the settlements topic says.
type Settled interface {
	Settlements(ctx context.Context) (map[billing.Day]*stored.Settlement, error)
	CatalogFile(ctx context.Context, digest string) ([]byte, error)
	Gaps(ctx context.Context) ([]stored.Gap, error)
	Epochs(ctx context.Context) (stored.Epochs, error)
}

// Store is the database that is made.
type Store interface {
	settle.Store
	ResolveRequeued(ctx context.Context, list []stored.Requeued) error
	KeepEpoch(ctx context.Context, e stored.Epoch) error
}

// Reader stores stretches of the log, as ingest.Loop.Stretches says.
type Reader interface {
	Stretches(ctx context.Context, list []stored.Barrier, read func(offsets int64)) (
		[]stored.Requeued, error)
}

// Options connect a rebuild. All fields are required.
type Options struct {
	Log     Log
	Settled Settled
	Store   Store
	// Reader makes a reader that knows the accounts by a catalogue.
	Reader  func(cat *catalog.Catalog) Reader
	Catalog *catalog.Catalog // the process's own
	Calls   []string         // call topics
	Events  string           // the topic of account events
	Bills   string           // the topics to compare with
	Status  string

	Now      func() time.Time
	Metrics  *observe.Metrics
	Progress *observe.Progress
	Logger   *slog.Logger

	Read    func(offsets int64)      // hears how many offsets were stored
	Closed  func(*stored.Settlement) // hears of each closing that is done
	Differs func(Difference)         // hears of each difference, in the order of the closings
}

// Result says what a rebuild did.
type Result struct {
	Closings, Bills, Statuses, Differences int
	Offsets                                int64
	// OtherWords counts published bills that explain the same amounts in other words, as another
	// version of the program does.
	OtherWords int
	// Open is the last closing where it was not published in full and is left to `tollstream run`.
	Open *stored.Settlement
}

// Run makes the database. Its error is that of the world, or of a broken sum; what differs from the
// output topics is in the result.
func (p *Plan) Run(ctx context.Context) (*Result, error) {
	r := &run{Plan: p, result: &Result{}}
	if n := len(p.recorded); n > 0 {
		r.last = &p.recorded[n-1]
	}
	if err := r.keepEpochs(ctx); err != nil {
		return nil, err
	}
	if err := r.listen(ctx); err != nil {
		return nil, err
	}
	if err := r.compareDone(ctx); err != nil {
		return nil, err
	}
	if err := r.closings(ctx); err != nil {
		return nil, err
	}
	if err := r.readTail(ctx); err != nil {
		return nil, err
	}
	r.compareLeft()
	return r.result, nil
}

// run is a rebuild under way.
type run struct {
	*Plan
	result *Result
	last   *stored.Settlement // the last closing that is recorded, nil if there is none
	bills  *said
	status *said
	open   []billing.StatusChange // provisional, since the closing before the last at least
	reader Reader
	cat    *catalog.Catalog // the reader's
}

// closings reads and closes what is recorded and not done, side by side.
func (r *run) closings(ctx context.Context) error {
	if r.Closings() == 0 {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	read := make(chan stretch)
	publisher := &publisher{run: r, read: read, known: map[billing.Day]*stored.Settlement{},
		stop: func() { stop(errUnpublished) }}
	group.Go(func() error {
		defer close(read)
		return r.read(ctx, read)
	})
	group.Go(func() error {
		loop := settle.New(settle.Options{
			Log: r.Log, Publisher: publisher, Store: r.Store, Catalog: r.Catalog, Calls: r.Calls,
			Events: r.Events, Simulated: true, Until: r.last.ClosedAt, First: &r.recorded[0].Day,
			Poll: time.Second, Now: r.Now, Metrics: r.Metrics, Progress: r.Progress,
			Logger: r.Logger, Silent: true, Closed: r.closed,
		})
		return loop.Run(ctx)
	})
	err := group.Wait()
	if errors.Is(context.Cause(ctx), errUnpublished) {
		r.result.Open = r.last
		return nil
	}
	return err
}

// errUnpublished ends the closings before one that was not published in full.
var errUnpublished = errors.New("the last closing was not published in full")

func (r *run) closed(s *stored.Settlement) {
	r.result.Closings++
	r.Closed(s)
}

// stretch is a closing whose records are stored, and those of them that were in quarantine before.
type stretch struct {
	settlement *stored.Settlement
	requeued   []stored.Requeued
}

// read stores what each closing saw and hands it over.
func (r *run) read(ctx context.Context, out chan<- stretch) error {
	for i := r.done; i < len(r.recorded); i++ {
		s := &r.recorded[i]
		requeued, err := r.readClosing(ctx, s)
		if err != nil {
			return fmt.Errorf("closing of %s: %w", s.Day, err)
		}
		select {
		case out <- stretch{s, requeued}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// readClosing stores the records between a closing's barriers and those of the closing before. They
// are enriched by its catalogue, account events first, so that its calls find their accounts.
func (r *run) readClosing(
	ctx context.Context, s *stored.Settlement,
) ([]stored.Requeued, error) {
	if r.cat == nil || r.cat.Digest != s.CatalogDigest {
		cat, err := settle.CatalogOf(ctx, r.Catalog, r.Settled, s)
		if err != nil {
			return nil, err
		}
		r.cat, r.reader = cat, r.Reader(cat)
	}
	return r.stretches(ctx, s.Barriers)
}

func (r *run) stretches(
	ctx context.Context, list []stored.Barrier,
) ([]stored.Requeued, error) {
	var events, calls []stored.Barrier
	for _, b := range r.toRead(list) {
		if stored.TopicOf(b.Topic) == r.Events {
			events = append(events, b)
		} else {
			calls = append(calls, b)
		}
	}
	var requeued []stored.Requeued
	for _, part := range [][]stored.Barrier{events, calls} {
		more, err := r.reader.Stretches(ctx, part, func(offsets int64) {
			r.result.Offsets += offsets
			r.Read(offsets)
		})
		if err != nil {
			return nil, err
		}
		requeued = append(requeued, more...)
	}
	return requeued, nil
}

// readTail stores what no closing has seen yet, as far as the logs went when the rebuild began, so
// that `tollstream run` goes on from there. What was said of statuses since the last closing is
// kept too, to be corrected where it does not come true.
func (r *run) readTail(ctx context.Context) error {
	r.cat, r.reader = r.Catalog, r.Reader(r.Catalog)
	requeued, err := r.stretches(ctx, r.tail)
	if err != nil {
		return err
	}
	if err := r.Store.ResolveRequeued(ctx, requeued); err != nil {
		return err
	}
	base := r.base()
	open := slices.DeleteFunc(r.open, func(c billing.StatusChange) bool {
		return c.EffectiveAt < base || c.BasedOn > base
	})
	if err := r.Store.WriteSaid(ctx, open); err != nil {
		return err
	}
	marked := map[billing.Instant]bool{}
	for _, c := range open {
		if marked[c.BasedOn] {
			continue
		}
		if err := r.Store.MarkSaid(ctx, c.BasedOn); err != nil {
			return err
		}
		marked[c.BasedOn] = true
	}
	return nil
}

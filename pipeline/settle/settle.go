// Package settle closes bills over the stream. For each closing moment, once a day, it waits until
// the moment is due, fixes how far each partition is read (the barriers), waits until everything
// below them is stored, and then runs the kernel over every account concerned and writes what it
// says. It owns that order; it decides no number.
//
// A closing is a pure function of what lies below its barriers and of the accounts as the closing
// before left them, so doing it again after a crash writes the same rows. Its effects, in order:
//
//  1. decide the barriers: the first record on billing.settlements counts for everyone.
//  2. wait: every offset below every barrier is stored.
//  3. fold the account events below the barriers.
//  4. close accounts, a chunk at a time: calls taken, bills, ledger, status and the accounts as
//     they are now are written. A crash here leaves rows of this closing; reading for it looks only
//     at closings before it, so they are written again.
//  5. count the books. A closing whose books do not balance goes no further.
//  6. publish bills and status changes. A crash here publishes them again; their ids tell.
//  7. mark the closing as done. From here on it is history, and the views show it.
package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
)

// Log asks Kafka where partitions end.
type Log interface {
	Offsets(ctx context.Context, topic string, partition int) (start, high, stable int64, err error)
	OffsetAt(ctx context.Context, topic string, partition int, t time.Time) (int64, bool, error)
	Topic(ctx context.Context, name string) (kafkalog.TopicInfo, error)
}

// Publisher writes the output topics.
type Publisher interface {
	Decide(ctx context.Context, s *stored.Settlement) (*stored.Settlement, error)
	// Settlements gives what is decided, by the day that closes.
	Settlements(ctx context.Context) (map[billing.Day]*stored.Settlement, error)
	// KeepCatalog appends a catalogue's file to the settlements, unless it is there.
	KeepCatalog(ctx context.Context, cat *catalog.Catalog) error
	Files // that are kept there
	// Gaps gives the gaps that were accepted so far, and Epochs which log each topic is (B21).
	Gaps(ctx context.Context) ([]stored.Gap, error)
	Epochs(ctx context.Context) (stored.Epochs, error)
	PublishBills(ctx context.Context, bills []stored.BillText) error
	PublishStatus(ctx context.Context, list []billing.StatusChange) error
}

// Options connect the loop. Fields without a comment are required.
type Options struct {
	Log       Log
	Publisher Publisher
	Store     Store
	Catalog   *catalog.Catalog // decides; closings that are decided keep theirs
	Calls     []string         // call topics
	Events    string           // the topic of account events
	// Simulated says that record times are the producers' (files, demo, tests). A closing is then
	// due when every partition has a record of its time or later, or when Until says that the log
	// is complete up to it; else it is due when the clock says so.
	Simulated bool
	// Until ends the run after the last closing at or before it; 0 runs for ever.
	Until billing.Instant
	// First is the day of the first closing; nil means the day of the oldest record.
	First  *billing.Day
	Margin time.Duration // after the close time, before the end of a log may be a barrier
	Poll   time.Duration // how often the world is looked at while waiting
	// RetryMin and RetryMax bound the pauses after errors, which double.
	RetryMin, RetryMax time.Duration
	// Now is the time of day; it may jump. How long something takes is not measured by it.
	Now      func() time.Time
	Metrics  *observe.Metrics
	Progress *observe.Progress
	Logger   *slog.Logger
	// Lease, if not nil, is asked before what other processes can see whether this one is still
	// the one that closes; see Lead.
	Lease func() error
	// Silent says nothing between closings.
	Silent bool
	// Look, if not nil, reads one record of a log again, to say what it is. Nothing is stored by it.
	Look func(ctx context.Context, at billing.Arrival) (stored.Delivery, error)
	// Closed, if not nil, hears of each closing that is done.
	Closed func(*stored.Settlement)
}

// Loop closes moment after moment.
type Loop struct {
	Options
	cat      *catalog.Catalog // judges the closing at hand
	upcoming closing.Moment   // the closing at hand; zero while the first one is not known
	registry *accounts.Registry
	history  []stored.Settlement // closings done, in order
	folded   roster.Position     // where the account events go on that are not folded yet
	gaps     []stored.Gap        // accepted ones, as of the last look
	epochs   stored.Epochs       // of topics, as of the last look
	missing  []Missing           // as of the last look
	named    []Missing           // the same, once each was looked at; nil before
	// notDueBefore is when the next closing is due; until then waiting for it is no trouble, unless
	// records are lost already.
	notDueBefore time.Time
	lost         string    // what is, as of the last look
	lookedLost   time.Time // when that was
	// undone are the decisions that a closing under way has folded.
	undone  []accounts.Decision
	between *watch // what is said of statuses meanwhile; nil until the history is read, or if Silent
}

// The steps that a closing can be held up at, as logs, metrics and readiness name them.
const (
	stepSettlements = "read the settlements"
	stepFirst       = "the first record"
	stepBarriers    = "barriers of the next closing"
	stepStored      = "records below the barriers"
	stepEvents      = "read account events"
	stepClose       = "close accounts"
	stepEnd         = "say what follows the last closing"
	stepJoin        = "membership"
	stepHalted      = "halted"
)

// New makes the loop.
func New(o Options) *Loop {
	return &Loop{Options: o}
}

// Run closes until the context ends, or until there is nothing left to close (Until).
func (l *Loop) Run(ctx context.Context) error {
	l.Metrics.Steps(stepSettlements, stepFirst, stepBarriers, stepStored, stepEvents, stepClose,
		stepEnd, stepJoin)
	if err := l.insist(ctx, stepSettlements, l.recover); err != nil {
		return err
	}
	if !l.Silent {
		l.between = &watch{loop: l}
	}
	for {
		m, err := l.next(ctx)
		if err != nil {
			return err
		}
		l.upcoming = m
		l.Metrics.NextClosing(m.At.Time())
		if l.Until != 0 && m.At > l.Until {
			return l.end(ctx)
		}
		s, err := l.decide(ctx, m)
		if err != nil {
			return err
		}
		if err := l.complete(ctx, s); err != nil {
			return err
		}
		back, err := l.setBack(ctx)
		if err != nil {
			return err
		}
		if back {
			continue
		}
		if err := l.close(ctx, closing.MomentOf(l.cat, s.Day), s); err != nil {
			return err
		}
	}
}

// end says what follows the last closing.
func (l *Loop) end(ctx context.Context) error {
	l.Logger.Info("every closing is done", "until", l.Until.In(l.Catalog.Settings.Zone))
	if l.between == nil {
		return nil
	}
	return l.insist(ctx, stepEnd, l.between.step)
}

// recover reads which closings are done and folds the account events that they saw, each closing's
// by its own catalogue: an event that was refused then would otherwise pass for a duplicate of
// itself when it is requeued after the catalogue has learnt its tag (B26).
func (l *Loop) recover(ctx context.Context) (err error) {
	if l.history, err = l.Store.ClosedSettlements(ctx); err != nil {
		return err
	}
	if err := l.use(ctx, l.Catalog); err != nil {
		return err
	}
	l.registry, l.folded = accounts.New(), roster.Position{}
	cat := l.Catalog
	var events []*billing.AccountEvent
	for i := range l.history {
		s := &l.history[i]
		if i%foldTogether == 0 {
			together := l.history[i:min(i+foldTogether, len(l.history))]
			if events, err = l.Store.AccountEvents(ctx, l.folded, ends(together...)); err != nil {
				return err
			}
		}
		if cat.Digest != s.CatalogDigest {
			if cat, err = CatalogOf(ctx, l.Catalog, l.Publisher, s); err != nil {
				return err
			}
		}
		_, events = l.fold(cat, s, events)
		l.Metrics.LastClosing(s.ClosedAt.Time())
	}
	return nil
}

// foldTogether is of how many closings that are done account events are in memory at once.
const foldTogether = 16

// setBack tells whether the database lacks closings that are done: it crashed before its files
// reached the disk, or was set back to a backup. They are history no more then, and closed again.
func (l *Loop) setBack(ctx context.Context) (back bool, err error) {
	err = l.insist(ctx, stepSettlements, func(ctx context.Context) error {
		stored, err := l.Store.ClosedSettlements(ctx)
		if err != nil || !back && len(stored) >= len(l.history) {
			return err
		}
		back = true
		l.Logger.Error("the database has lost closings, which are done again", "stored", len(stored))
		return l.recover(ctx)
	})
	return back, err
}

// next is the moment after the last closing that is done, or the first one.
func (l *Loop) next(ctx context.Context) (closing.Moment, error) {
	if n := len(l.history); n > 0 {
		return closing.MomentOf(l.Catalog, l.history[n-1].Day+1), nil
	}
	if l.First != nil {
		return closing.MomentOf(l.Catalog, *l.First), nil
	}
	return l.firstMoment(ctx)
}

// insist does a step until it succeeds or the context ends.
func (l *Loop) insist(ctx context.Context, what string, step func(context.Context) error) error {
	return l.await(ctx, what, func(ctx context.Context) (string, error) { return "", step(ctx) })
}

// await looks again and again until there is nothing to wait for. Errors of the world are waited
// out like anything else, with growing pauses; a broken sum (errHalt) ends the closing at once.
// Meanwhile changes of status are said as they come.
func (l *Loop) await(
	ctx context.Context, what string, look func(context.Context) (waitsFor string, err error),
) error {
	started := time.Now()
	after := backoff.ExponentialBackOff{InitialInterval: l.RetryMin, Multiplier: 2,
		MaxInterval: l.RetryMax}
	for {
		looked := time.Now()
		waitsFor, err := look(ctx)
		wait := l.Poll
		if err == nil && waitsFor == "" {
			l.Progress.Moved()
			l.Metrics.GoesOn()
			return nil
		}
		if errors.Is(err, errHalt) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			waitsFor, wait = err.Error(), max(wait, after.NextBackOff())
			l.Metrics.Failed(what)
			l.Logger.Error("settle waits", "step", what, "error", err)
		} else {
			after.Reset()
		}
		if wake := l.notDueBefore; err == nil && l.lost == "" && wake.After(l.Now()) {
			l.Progress.IdleUntil(wake)
			l.Metrics.GoesOn()
		} else {
			l.Progress.Waits(what + ": " + waitsFor)
			l.Metrics.Blocked(what, started)
		}
		if l.between != nil {
			if err := l.between.step(ctx); err != nil {
				l.Logger.Error("statuses are not said", "error", err)
			}
		}
		if !pause(ctx, max(wait, time.Since(looked))) { // a costly look is not done all the time
			return ctx.Err()
		}
	}
}

// errHalt marks a broken sum: the closing is halted and nothing of it is changed.
var errHalt = errors.New("closing halted")

// close runs effects 3 to 7 of a closing whose barriers are decided and complete.
func (l *Loop) close(ctx context.Context, m closing.Moment, s *stored.Settlement) error {
	started := time.Now()
	var events []*billing.AccountEvent
	if err := l.insist(ctx, stepEvents, func(ctx context.Context) (err error) {
		events, err = l.Store.AccountEvents(ctx, l.folded, ends(*s))
		return err
	}); err != nil {
		return err
	}
	l.undone, _ = l.fold(l.cat, s, events) // 3
	if l.between != nil {
		*l.between = watch{loop: l} // it goes on from what has changed now
	}
	run := closer{loop: l, moment: m, settlement: s, decisions: l.undone}
	again := false
	err := l.await(ctx, stepClose, func(ctx context.Context) (string, error) { // 4 to 7
		if again { // something may have gone since it was looked at
			if missing, err := l.unproven(ctx, s); missing != "" || err != nil {
				return missing, err
			}
		}
		again = true
		return run.run(ctx)
	})
	if err != nil {
		return fmt.Errorf("closing of %s: %w", m.Day, err)
	}
	l.history, l.undone = append(l.history, *s), nil
	run.made.Took = time.Since(started)
	l.Metrics.ClosingDone(run.made)
	l.Logger.Info("closed", "day", m.Day.String(), "bills", run.totals.Bills,
		"calls", run.totals.Calls, "seconds", time.Since(started).Seconds())
	if l.Closed != nil {
		l.Closed(s)
	}
	return nil
}

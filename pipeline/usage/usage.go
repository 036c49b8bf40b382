// Package usage keeps the usage of open days fresh. Closed days are written by the closing that
// took their calls and never change; open days are recomputed as a whole from the stored calls, as
// of a stated moment, every sweep. Nothing is ever added up from inserts, so a redelivered call
// cannot be counted twice.
package usage

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
)

// Store is what the usage loop asks of ClickHouse.
type Store interface {
	// LastClosedDay gives the day of the last closing that is done.
	LastClosedDay(ctx context.Context) (billing.Day, bool, error)
	// Unenriched gives calls of open days whose account was unknown when they arrived.
	Unenriched(ctx context.Context, openFrom billing.Day, limit int) ([]stored.Call, error)
	WriteBatch(ctx context.Context, batch *stored.Batch) error
	// SweepOpenUsage recomputes the usage of the days from openFrom on.
	SweepOpenUsage(ctx context.Context, asOf billing.Instant, openFrom billing.Day) (
		*stored.Sweep, error)
}

// Counter counts, for metrics.
type Counter interface {
	// Survey counts what stands in the database.
	Survey(ctx context.Context) (*observe.Survey, error)
	// Packages counts the packages as of the closing of a day.
	Packages(ctx context.Context, closed billing.Day) (map[string]int64, error)
}

// Options connect the loop. All fields but Counter and Kick are required.
type Options struct {
	Store    Store
	Counter  Counter // nil counts nothing
	Roster   *roster.Roster
	Interval time.Duration
	// Kick asks for a sweep before its time: a closing was done, and its calls are not open any more.
	Kick     <-chan struct{}
	Now      func() time.Time
	Metrics  *observe.Metrics
	Progress *observe.Progress
	Logger   *slog.Logger
}

// enrichedPerSweepMax bounds the memory of one sweep; what is left over waits for the next.
const enrichedPerSweepMax = 100_000

// The steps that can fail, as logs, metrics and readiness name them.
const (
	stepSweep  = "sweep the open usage"
	stepSurvey = "count accounts and quarantine"
)

// kickGap is the least time between sweeps that were asked for.
const kickGap = 5 * time.Second

// Run sweeps until the context ends. A sweep that fails is told and tried again at the next tick:
// the numbers shown stay those of the last complete sweep, with its moment beside them.
func Run(ctx context.Context, o Options) error {
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	o.Metrics.Steps(stepSweep, stepSurvey)
	failed := func(step string, err error) {
		if ctx.Err() == nil {
			o.Metrics.Failed(step)
			o.Progress.Waits(step + ": " + err.Error())
			o.Logger.Error("usage waits", "step", step, "error", err)
		}
	}
	s := surveyor{Options: o}
	for {
		started := time.Now()
		if err := Sweep(ctx, o); err != nil {
			failed(stepSweep, err)
		} else {
			o.Metrics.Swept(started, time.Since(started))
			if err := s.survey(ctx); err != nil {
				failed(stepSurvey, err)
			} else {
				o.Progress.Moved()
			}
		}
		select {
		case <-tick.C:
			continue
		case <-o.Kick:
		case <-ctx.Done():
			return nil
		}
		select { // while many closings are caught up on, one sweep serves several
		case <-time.After(kickGap - time.Since(started)):
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep is one round: learn of new accounts, enrich the calls that waited for them, recompute.
func Sweep(ctx context.Context, o Options) error {
	asOf := o.Now()
	more, err := o.Roster.Refresh(ctx)
	if err != nil {
		return err
	}
	open := billing.Day(0)
	if last, any, err := o.Store.LastClosedDay(ctx); err != nil {
		return fmt.Errorf("read the last closing: %w", err)
	} else if any {
		open = last + 1
	}
	if more {
		if err := enrich(ctx, o, open); err != nil {
			return err
		}
	}
	if _, err := o.Store.SweepOpenUsage(ctx, billing.InstantOf(asOf), open); err != nil {
		return fmt.Errorf("recompute open days: %w", err)
	}
	return nil
}

// enrich gives calls that came before their account's event their tags. The rows keep their keys
// and replace themselves.
func enrich(ctx context.Context, o Options, open billing.Day) error {
	calls, err := o.Store.Unenriched(ctx, open, enrichedPerSweepMax)
	if err != nil {
		return fmt.Errorf("read calls that waited: %w", err)
	}
	batch, shapes := &stored.Batch{}, o.Roster.Shapes()
	for i := range calls {
		if o.Roster.Enrich(&calls[i]); calls[i].Main != "" {
			shapes.Add(&batch.Calls, &calls[i])
		}
	}
	if batch.Calls.Len() == 0 {
		return nil
	}
	if err := o.Store.WriteBatch(ctx, batch); err != nil {
		return fmt.Errorf("write calls that waited: %w", err)
	}
	return nil
}

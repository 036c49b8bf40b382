package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollstream/pipeline/kafkalog"
)

// Group is the membership that decides which process closes.
type Group interface {
	Run(ctx context.Context, fn func(context.Context, *kafkalog.Generation) error) error
}

// haltedFor is how long a halted closing is left alone before it is tried again.
const haltedFor = time.Minute

// Lead runs the loop while this process is the one of its group that closes: the one to which the
// group gives the only partition of topic. Any number of processes may run it; the others stand by
// and take over when it dies or is cut off.
//
// Safety does not rest on that. A process that was paused and thinks it still closes writes rows
// that are there already, since a closing is a pure function of what it reads, and barriers that
// were decided stay (B21). The group keeps it from doing the work twice, and from saying statuses
// that are out of date: before those the broker is asked whether the membership still holds.
//
// Lead returns when the context ends, or when everything up to Until is closed. A halted closing
// ends it only with Until; else the process goes on serving, says what is wrong and tries again.
func Lead(ctx context.Context, group Group, topic string, o Options) error {
	var result error
	for {
		err := group.Run(ctx, func(ctx context.Context, gen *kafkalog.Generation) error {
			leads := slices.ContainsFunc(gen.Assignments,
				func(a kafkalog.Assignment) bool { return a.Topic == topic })
			o.Metrics.Leads(leads)
			if !leads {
				o.Progress.IdleUntil(o.Now().AddDate(100, 0, 0))
				<-ctx.Done()
				return ctx.Err()
			}
			o.Lease = func() error {
				return gen.Commit(map[kafkalog.TopicPartition]int64{{Topic: topic}: 0})
			}
			result = closeOn(ctx, o)
			if ctx.Err() != nil {
				return ctx.Err() // this generation is over; the next one may give it back
			}
			return nil
		})
		if err == nil || ctx.Err() != nil {
			return result
		}
		o.Logger.Error("settle cannot join its group", "error", err)
		o.Progress.Waits(stepJoin + ": " + err.Error())
		o.Metrics.Failed(stepJoin)
		if !pause(ctx, o.Poll) {
			return nil
		}
	}
}

// closeOn runs the loop, again after each halt unless the run is to end.
func closeOn(ctx context.Context, o Options) error {
	since := time.Now()
	for {
		err := New(o).Run(ctx)
		if err == nil || !errors.Is(err, errHalt) || o.Until != 0 {
			return err
		}
		o.Logger.Error("a closing is halted", "error", err)
		o.Progress.Waits(stepHalted + ": " + err.Error())
		o.Metrics.Blocked(stepHalted, since)
		if !pause(ctx, haltedFor) {
			return ctx.Err()
		}
	}
}

// pause waits; false means that the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// leads asks whether this process is still the one that closes.
func (l *Loop) leads() error {
	if l.Lease == nil {
		return nil
	}
	if err := l.Lease(); err != nil {
		return fmt.Errorf("another process closes: %w", err)
	}
	return nil
}

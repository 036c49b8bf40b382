// Package retention takes the bytes of quarantined records away when they have been kept for as
// long as the operator wants them kept. Places, reasons and hashes stay, so that the books, which
// count each record, and the bills do not change.
package retention

import (
	"context"
	"log/slog"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/observe"
)

// Store is what the loop asks of ClickHouse.
type Store interface {
	// RedactOlder takes the bytes of at most so many records away that were appended before a time,
	// oldest first, and tells of how many.
	RedactOlder(ctx context.Context, before billing.Instant, most int, by, why string) (int, error)
}

// Options connect the loop. All fields are required.
type Options struct {
	Store    Store
	Keep     time.Duration // from a record's append time on
	Now      func() time.Time
	Progress *observe.Progress
	Logger   *slog.Logger
}

// Every is the pause between two looks at the table, so bytes stay for at most so much longer.
const Every = time.Hour

const (
	retryAfter = time.Minute
	together   = 5_000 // records in one rewrite of the table
	redactedBy = "tollstream: quarantine.keep_bytes"
)

// Run redacts what is old enough until the context ends. An error of the world is shown and the
// next try is a minute later. Several processes may do it at once: the second finds nothing left.
func Run(ctx context.Context, o Options) error {
	for {
		pause := o.round(ctx)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// round redacts the oldest records that are due and tells after which pause to look again.
func (o *Options) round(ctx context.Context) time.Duration {
	before := billing.InstantOf(o.Now().Add(-o.Keep))
	n, err := o.Store.RedactOlder(ctx, before, together, redactedBy, "kept for "+o.Keep.String())
	if ctx.Err() != nil {
		return Every
	}
	if err != nil {
		o.Progress.Waits("take old bytes out of the quarantine: " + err.Error())
		o.Logger.Error("bytes in quarantine are kept too long", "error", err)
		return retryAfter
	}
	if n > 0 {
		o.Logger.Info("bytes of old quarantined records are gone", "records", n, "before", before)
	}
	o.Progress.Moved()
	if n == together {
		return 0 // there may be more
	}
	o.Progress.IdleUntil(o.Now().Add(Every))
	return Every
}

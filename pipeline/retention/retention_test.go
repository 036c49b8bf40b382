package retention

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/observe"
)

// answers is a store that finds so many records, or fails.
type answers struct {
	found  int
	err    error
	before billing.Instant
}

func (a *answers) RedactOlder(
	_ context.Context, before billing.Instant, most int, _, _ string,
) (int, error) {
	a.before = before
	return min(a.found, most), a.err
}

func TestRound(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		store answers
		pause time.Duration
		ready bool
	}{
		{"nothing is old enough", answers{}, Every, true},
		{"some are", answers{found: 7}, Every, true},
		{"as many as fit: there may be more", answers{found: 9_999}, 0, true},
		{"ClickHouse is away", answers{err: errors.New("not reachable")}, retryAfter, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := now
			health := observe.NewHealth(func() time.Time { return at })
			o := Options{Store: &test.store, Keep: 90 * 24 * time.Hour,
				Now: func() time.Time { return at }, Progress: health.Loop("retention", 90*time.Second),
				Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
			if pause := o.round(t.Context()); pause != test.pause {
				t.Errorf("pause %s, want %s", pause, test.pause)
			}
			if want := billing.InstantOf(now.AddDate(0, 0, -90)); test.store.before != want {
				t.Errorf("redacted before %s, want %s", test.store.before.In(time.UTC),
					want.In(time.UTC))
			}
			at = at.Add(test.pause + time.Minute)
			if r := health.Report(); r.Ready != test.ready {
				t.Errorf("a minute after the pause ready is %t: %s", r.Ready, r.Why)
			}
		})
	}
}

package ingest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
	"tollstream/schemas"
)

// slowStore answers when it is told to, or when nobody waits any more.
type slowStore struct {
	fakeStore
	answers chan struct{}
	asked   int
}

func (s *slowStore) Openings(
	ctx context.Context, _ roster.Position, _ func([]stored.Event) error,
) error {
	s.asked++
	select {
	case <-s.answers:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestRefreshCutShort: a rebalance ends a generation while it asks for account events. The next one
// asks again, however soon it begins: calls of accounts that are stored would go into quarantine.
func TestRefreshCutShort(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{answers: make(chan struct{}, 1)}
		loop := New(Options{Store: store, Roster: roster.New(cat, store), Catalog: cat,
			Metrics:  observe.NewMetrics(observe.Build{}, time.Now),
			Progress: observe.NewHealth(time.Now).Loop("ingest", time.Minute),
			Logger:   slog.New(slog.DiscardHandler)})
		generation, rebalance := context.WithTimeout(t.Context(), time.Second)
		defer rebalance()
		if err := loop.refresh(generation); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut short: %v", err)
		}
		store.answers <- struct{}{}
		for range 2 { // the second finds all known
			if err := loop.refresh(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if store.asked != 2 {
			t.Errorf("asked %d times", store.asked)
		}
	})
}

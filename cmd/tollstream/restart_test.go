package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/stored"
)

// TestRestartGoesOn stops the pipeline again and again while it works, the ClickHouse process once
// by kill -9, and compares the bills with those of an undisturbed run in memory.
func TestRestartGoesOn(t *testing.T) {
	dir := t.TempDir()
	w := newTestWorld(t, dir)
	g, err := generate.New(generate.Options{
		Seed: 11, Catalog: w.cat, From: billing.DateOf(2023, 1, 2), To: billing.DateOf(2023, 1, 8),
		Accounts: 6, Calls: 4_000, CallPartitions: callPartitions,
		Rates: generate.Rates{Duplicates: 0.05, Conflicts: 0.3, Late: 0.1, Malformed: 0.01,
			Unknown: 0.01},
	})
	if err != nil {
		t.Fatal(err)
	}
	records := w.generated(t, g)
	w.cfg.Settle.FirstClosing = g.FirstClosing()
	want, err := batch.Run(w.cat, records, g.Until(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 5 {
		w.interrupt(t, g.Until(), time.Duration(200+r.IntN(1500))*time.Millisecond)
		if i == 2 {
			w.servers.clickhouse.Kill()
			w.servers.Close()
			if w.servers, err = startEmbedded(t.Context(), w.cfg, w.cat); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.runUntil(t, g.Until())
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ after restarts: %s", firstDifference(got, want))
	}
	w.checkBooks(t, want, g.Ledger())
}

// TestTwoProcessesShareTheWork runs two pipelines side by side: the partitions are shared between
// them and one of them closes. When that one stops the other takes over, and the bills are those of
// one process.
func TestTwoProcessesShareTheWork(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	g, err := generate.New(generate.Options{
		Seed: 12, Catalog: w.cat, From: billing.DateOf(2023, 1, 2), To: billing.DateOf(2023, 1, 8),
		Accounts: 6, Calls: 2_000, CallPartitions: callPartitions,
		Rates: generate.Rates{Duplicates: 0.05, Late: 0.1},
	})
	if err != nil {
		t.Fatal(err)
	}
	records := w.generated(t, g)
	w.cfg.Settle.FirstClosing, w.cfg.Settle.Until = g.FirstClosing(), g.Until()
	want, err := batch.Run(w.cat, records, g.Until(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	first, stopFirst := context.WithCancel(ctx)
	defer stopFirst()
	var byFirst, bySecond int
	ended := make(chan error, 2)
	run := func(ctx context.Context, closed func()) {
		s, err := build(ctx, w.cfg, w.logger)
		if err != nil {
			ended <- err
			return
		}
		defer s.Close()
		s.closed = func(*stored.Settlement) { closed() }
		ended <- s.Run(ctx)
	}
	go run(first, func() {
		if byFirst++; byFirst == 2 {
			go run(ctx, func() { bySecond++ })
		}
		if byFirst == 4 {
			stopFirst()
		}
	})
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if byFirst+bySecond < 8 || bySecond == 0 {
		t.Errorf("%d closings by the first process, %d by the second", byFirst, bySecond)
	}
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ: %s", firstDifference(got, want))
	}
	w.checkBooks(t, want, g.Ledger())
}

// interrupt runs the pipeline and stops it after a while, wherever it is.
func (w *testWorld) interrupt(t *testing.T, until billing.Instant, after time.Duration) {
	t.Helper()
	w.cfg.Settle.Until = until
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	s, err := build(t.Context(), w.cfg, w.logger)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Run(ctx); err != nil {
		t.Errorf("an interrupted run ends without an error, got %v", err)
	}
}

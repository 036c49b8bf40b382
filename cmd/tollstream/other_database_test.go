package main

import (
	"bytes"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/sinks/clickhouse"
)

// useDatabase points the world at another database of its server, which is created if need be.
func (w *testWorld) useDatabase(t *testing.T, name string) {
	t.Helper()
	w.cfg.ClickHouse.Database = name
	if _, err := clickhouse.Migrate(t.Context(), storeOptions(w.cfg, w.cat), false); err != nil {
		t.Fatal(err)
	}
}

// TestRunReadsWhatItsDatabaseLacks: the consumer group has committed everything, into another
// database. The run into an empty one reads from the start, repeats the closings by their recorded
// barriers, and goes on.
func TestRunReadsWhatItsDatabaseLacks(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	g, err := generate.New(generate.Options{
		Seed: 31, Catalog: w.cat, From: billing.DateOf(2023, 1, 2), To: billing.DateOf(2023, 1, 6),
		Accounts: 5, Calls: 1_500, CallPartitions: callPartitions,
		Rates: generate.Rates{Duplicates: 0.05, Late: 0.1, Malformed: 0.01, Unknown: 0.01},
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
	w.runUntil(t, g.Until()-2*24*billing.Hour)
	w.useDatabase(t, "second")
	w.runUntil(t, g.Until())
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ: %s", firstDifference(got, want))
	}
	w.checkBooks(t, want, g.Ledger())
}

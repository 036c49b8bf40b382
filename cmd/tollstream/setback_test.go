package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/sinks/clickhouse"
)

// TestDatabaseSetBack has ClickHouse, under a pipeline that runs on, come back with the folder of
// some closings before: what it had acknowledged since is gone, as after a loss of power or a
// restored backup. The records are read again and the closings done again, with the same bills.
func TestDatabaseSetBack(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	w.cfg.Embedded.ClickHouseListen = w.cfg.ClickHouse.Addr // the port is kept
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.event(f.at(0, 1), "account.opened", "e1", "acme",
		fmt.Sprintf(`,"opened_at":%q`, f.at(0, 0)), f.at(0, 1))
	calls := func(from, to int) {
		for day := from; day < to; day++ {
			for i := range 40 {
				f.call(f.at(day, 12), fmt.Sprint("call-", day, "-", i), "acme", f.at(day, 11))
			}
			f.tick(f.at(day+1, 9), "acme")
		}
	}
	stop := w.start(t)
	calls(0, 2)
	w.closed(t, 2)

	backup := filepath.Join(t.TempDir(), "backup")
	w.servers.clickhouse.Kill()
	if err := os.CopyFS(backup, os.DirFS(w.clickHouseFolder())); err != nil {
		t.Fatal(err)
	}
	w.clickHouseAgain(t)
	calls(2, 4)
	w.closed(t, 4)

	w.servers.clickhouse.Kill()
	if err := os.RemoveAll(w.clickHouseFolder()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, w.clickHouseFolder()); err != nil {
		t.Fatal(err)
	}
	w.clickHouseAgain(t)
	calls(4, 6)
	w.closed(t, 6)
	stop()

	want, err := batch.Run(w.cat, f.records, f.at(6, 8), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ: %s", firstDifference(got, want))
	}
}

func (w *testWorld) clickHouseFolder() string {
	return filepath.Join(w.cfg.Embedded.DataDir, "clickhouse")
}

// clickHouseAgain starts ClickHouse on the folder and port that it had.
func (w *testWorld) clickHouseAgain(t *testing.T) {
	t.Helper()
	if err := w.servers.startClickHouse(t.Context(), w.cfg, w.cat); err != nil {
		t.Fatal(err)
	}
}

// closed waits until so many closings are done.
func (w *testWorld) closed(t *testing.T, n int) {
	t.Helper()
	store, err := clickhouse.Open(t.Context(), storeOptions(w.cfg, w.cat))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		done, err := store.ClosedSettlements(t.Context())
		if err == nil && len(done) >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d closings are done, not %d: %v", len(done), n, err)
		}
	}
}

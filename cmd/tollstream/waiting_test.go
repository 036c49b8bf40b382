package main

import (
	"bytes"
	"fmt"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/sinks/clickhouse"
)

// TestWaitingCallsThroughTheStream sends calls of an account that opens days later, each of them
// twice, one of them also as another account's, and a void of a taken call. Over the stream they
// become what they become in memory: late usage, duplicates that leave the quarantine, a reversal.
func TestWaitingCallsThroughTheStream(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	at := f.at
	opened := fmt.Sprintf(`,"opened_at":%q`, at(0, 0))
	f.event(at(0, 1), "account.opened", "e1", "acme", opened, at(0, 1))
	f.event(at(0, 2), "balance.topped_up", "e2", "bolt", `,"amount":"5"`, at(0, 2))
	for i := range 5 {
		f.call(at(1, 9), fmt.Sprint("w", i), "bolt", at(1, 9))
		f.call(at(1, 10), fmt.Sprint("w", i), "bolt", at(1, 9))
	}
	f.call(at(1, 11), "w0", "acme", at(1, 9))
	f.call(at(1, 12), "a1", "acme", at(1, 12))
	f.event(at(4, 12), "account.opened", "e3", "bolt", opened, at(0, 1))
	f.event(at(5, 12), "usage.voided", "e4", "acme", `,"call_ids":["a1","w1"],"reason":"test"`,
		at(5, 12))
	f.call(at(6, 12), "a2", "acme", at(6, 12))

	until := at(8, 8)
	want, err := batch.Run(w.cat, f.records, until, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.cfg.Settle.FirstClosing = f.day
	w.runUntil(t, until)
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ: %s", firstDifference(got, want))
	}
	if len(want.Bills) < 4 || len(want.Quarantined) != 0 {
		t.Errorf("%d bills and %d in quarantine in memory", len(want.Bills), len(want.Quarantined))
	}
	store, err := openStore(t.Context(), w.cfg, w.cat)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	left, err := store.Quarantine(t.Context(), clickhouse.QuarantineFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range left {
		t.Errorf("still in quarantine: %s %s %s", q.Arrival.Place(), q.Refusal.Reason, q.ID)
	}
}

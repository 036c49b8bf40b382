package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
)

// waits is what a loop says that it waits for.
func (s *system) waits(loop string) string {
	for _, l := range s.health.Report().Loops {
		if l.Loop == loop {
			return l.WaitsFor
		}
	}
	return ""
}

// saysWait waits until a loop says that it waits for something.
func (s *system) saysWait(t *testing.T, loop, what string) {
	t.Helper()
	eventually(t, "the loop "+loop+" waits: "+what, func() (bool, string) {
		text := s.waits(loop)
		return strings.Contains(text, what), text
	})
}

// stores waits until so many records are stored.
func (w *testWorld) stores(t *testing.T, records int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d records are stored", records), func() (bool, string) {
		n := w.sql(t, "SELECT count() FROM deliveries FINAL")
		return n == fmt.Sprint(records), n
	})
}

// metric is the line of a metric and its labels, as Prometheus would read it.
func (s *system) metric(name string) string {
	answer := httptest.NewRecorder()
	s.metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "tollstream_"+name) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// gone is one row that someone deletes by hand, and how the books name the record.
type gone struct{ table, where, place, kind string }

// TestClosingWaitsForWhatIsGone deletes one row a day, each of another kind, before the day's
// closing; ingest is not running then, which would read the record again. The closing names the
// record by topic, partition, offset and kind, in readiness and in metrics, and does not happen;
// once the row is there again it goes through by itself, with the bills that the same records have
// in memory.
func TestClosingWaitsForWhatIsGone(t *testing.T) {
	const calls = "topic = 'faceid.calls' AND "
	rows := []gone{
		{"call_copies", "partition = 0 AND offset = {0}", "faceid.calls/0 offset {0}", "call"},
		{"call_copies", "partition = 2 AND offset = {2}", "faceid.calls/2 offset {2}", "duplicate"},
		{"quarantined_records", "partition = 2 AND offset = {3}", "faceid.calls/2 offset {3}",
			"quarantined"},
		{"account_events", "event_id = 'pay-{day}'", "billing.account-events/0 offset {event}",
			"event"},
		{"deliveries", calls + "partition = 0 AND offset = {0}", "faceid.calls/0 offset {0}", "call"},
		{"deliveries", calls + "partition = 1 AND offset = {1}", "faceid.calls/1 offset {1}",
			"duplicate"},
		{"deliveries", calls + "partition = 2 AND offset = {3}", "faceid.calls/2 offset {3}",
			"quarantined"},
	}
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.open("acme")
	for day := range rows {
		next := func(log string) string { return fmt.Sprint(f.next[log]) }
		fill := strings.NewReplacer("{0}", next("faceid.calls/0"), "{1}", next("faceid.calls/1"),
			"{2}", next("faceid.calls/2"), "{3}", fmt.Sprint(f.next["faceid.calls/2"]+1),
			"{event}", next("billing.account-events/0"), "{day}", fmt.Sprint(day))
		rows[day].where, rows[day].place = fill.Replace(rows[day].where), fill.Replace(rows[day].place)
		f.someDay(day)
	}
	w.ingestAll(t, f)
	w.cfg.Roles = []string{roleSettle}
	store := w.openedStore(t)
	for day, g := range rows {
		restore := w.takeAway(t, g)
		w.cfg.Settle.Until = f.at(day+1, 8)
		s, wait := w.running(t)
		says := fmt.Sprintf("1 records are not stored: %s (%s, no row in %s)", g.place, g.kind, g.table)
		eventually(t, "the closing waits: "+says, func() (bool, string) {
			text := s.waits("settle")
			return strings.HasSuffix(text, ": "+says), text
		})
		line := s.metric("closing_missing_records")
		if !strings.Contains(line, fmt.Sprintf("kind=%q", g.kind)) || !strings.HasSuffix(line, " 1") {
			t.Errorf("%s: metrics say %q", says, line)
		}
		done, err := store.ClosedSettlements(t.Context())
		if err != nil || len(done) != day {
			t.Errorf("%s: %d closings happened, %v, want %d", says, len(done), err, day)
		}
		restore()
		wait()
		if line := s.metric("closing_missing_records"); line != "" {
			t.Errorf("%s: after the closing metrics say %q", says, line)
		}
	}
	w.sameBills(t, f.records, f.at(len(rows), 8))
}

// TestClosingWaitsForTakenCalls deletes what a closing took. The next one would bill these calls
// again; it waits, and says what for.
func TestClosingWaitsForTakenCalls(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.open("acme")
	for day := range 2 {
		f.someDay(day)
	}
	w.runUntil(t, f.at(1, 8))
	restore := w.takeAway(t, gone{table: "taken_calls", where: "call_id = 'n-0'"})
	w.cfg.Settle.Until = f.at(2, 8)
	s, wait := w.running(t)
	const says = "the closing of 2023-02-01 took 2 calls, and 1 of its calls stand in taken_calls"
	s.saysWait(t, roleSettle, says)
	restore()
	wait()
	w.sameBills(t, f.records, f.at(2, 8))
}

// open opens an account on the first day.
func (f *feed) open(account string) {
	f.event(f.at(0, 1), "account.opened", "open-"+account, account,
		fmt.Sprintf(`,"opened_at":%q`, f.at(0, 0)), f.at(0, 1))
}

// ingestAll stores what was fed.
func (w *testWorld) ingestAll(t *testing.T, f *feed) {
	t.Helper()
	roles := w.cfg.Roles
	w.cfg.Roles = []string{roleIngest}
	stop := w.start(t)
	w.stores(t, len(f.records))
	stop()
	w.cfg.Roles = roles
}

// running runs the pipeline up to settle.until, for which wait waits.
func (w *testWorld) running(t *testing.T) (s *system, wait func()) {
	t.Helper()
	s, err := build(t.Context(), w.cfg, w.logger)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		t.Helper()
		defer cancel()
		if err := <-done; err != nil || ctx.Err() != nil {
			t.Fatalf("the pipeline ended with %v: %+v", err, s.health.Report())
		}
		s.Close()
	}
}

// sameBills compares the bills with those that records have in memory.
func (w *testWorld) sameBills(t *testing.T, records []batch.Record, until billing.Instant) {
	t.Helper()
	want, err := batch.Run(w.cat, records, until, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Bills) == 0 {
		t.Error("there are no bills to compare")
	}
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ: %s", firstDifference(got, want))
	}
}

// someDay sends a day's records: on partition 0 two calls that count, on 1 the second again, and on
// 2 once more with another result code, and a record that is malformed.
func (f *feed) someDay(day int) {
	call := callText(fmt.Sprint("c-", day), "acme", f.at(day, 10))
	f.event(f.at(day, 9), "balance.topped_up", fmt.Sprint("pay-", day), "acme", `,"amount":"1"`,
		f.at(day, 9))
	f.call(f.at(day, 10), fmt.Sprint("n-", day), "acme", f.at(day, 10))
	f.send(f.at(day, 10), batch.CallRecord, 0, call)
	f.send(f.at(day, 11), batch.CallRecord, 1, call)
	f.send(f.at(day, 12), batch.CallRecord, 2, strings.Replace(call, `"0"`, `"-1"`, 1))
	f.send(f.at(day, 13), batch.CallRecord, 2, "{")
}

// takeAway deletes the row and gives what puts it back.
func (w *testWorld) takeAway(t *testing.T, g gone) (restore func()) {
	t.Helper()
	w.sql(t, "CREATE TABLE kept ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM "+g.table+
		" FINAL WHERE "+g.where)
	if n := w.sql(t, "SELECT count() FROM kept"); n != "1" {
		t.Fatalf("%s rows of %s are where %s", n, g.table, g.where)
	}
	w.sql(t, "ALTER TABLE "+g.table+" DELETE WHERE "+g.where+" SETTINGS mutations_sync = 2")
	return func() {
		w.sql(t, "INSERT INTO "+g.table+" SELECT * FROM kept")
		w.sql(t, "DROP TABLE kept SYNC")
	}
}

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
// closing. The closing names the record by topic, partition, offset and kind, in readiness and in
// metrics, and does not happen; once the row is there again, it goes through by itself, with the
// bills that the same records have in memory.
func TestClosingWaitsForWhatIsGone(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.event(f.at(0, 1), "account.opened", "open", "acme",
		fmt.Sprintf(`,"opened_at":%q`, f.at(0, 0)), f.at(0, 1))
	s, stop := w.started(t)
	store := w.openedStore(t)
	closed := func() int {
		done, err := store.ClosedSettlements(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(done)
	}
	const calls = "topic = 'faceid.calls' AND "
	for day, g := range []gone{
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
	} {
		next := func(log string) string { return fmt.Sprint(f.next[log]) }
		fill := strings.NewReplacer("{0}", next("faceid.calls/0"), "{1}", next("faceid.calls/1"),
			"{2}", next("faceid.calls/2"), "{3}", fmt.Sprint(f.next["faceid.calls/2"]+1),
			"{event}", next("billing.account-events/0"), "{day}", fmt.Sprint(day))
		g.where = fill.Replace(g.where)
		says := fmt.Sprintf("1 records are not stored: %s (%s, no row in %s)",
			fill.Replace(g.place), g.kind, g.table)
		f.someDay(day)
		eventually(t, "the day's records are stored", func() (bool, string) {
			n := w.sql(t, "SELECT count() FROM deliveries FINAL")
			return n == fmt.Sprint(len(f.records)), n
		})
		restore := w.takeAway(t, g)
		f.tick(f.at(day+1, 8), "acme")
		eventually(t, "the closing waits: "+says, func() (bool, string) {
			text := s.waits("settle")
			return strings.HasSuffix(text, ": "+says), text
		})
		line := s.metric("closing_missing_records")
		if !strings.Contains(line, fmt.Sprintf("kind=%q", g.kind)) || !strings.HasSuffix(line, " 1") {
			t.Errorf("%s: metrics say %q", says, line)
		}
		if n := closed(); n != day {
			t.Errorf("%s: %d closings happened, want %d", says, n, day)
		}
		restore()
		eventually(t, "the closing happens", func() (bool, string) {
			return closed() == day+1, s.waits("settle")
		})
		if line := s.metric("closing_missing_records"); line != "" {
			t.Errorf("%s: after the closing metrics say %q", says, line)
		}
	}
	stop()
	want, err := batch.Run(w.cat, f.records, f.at(7, 8), nil)
	if err != nil {
		t.Fatal(err)
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

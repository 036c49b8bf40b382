package observe

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"tollstream/pipeline/kafkalog"
)

// clock is a clock that tests turn by hand.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2023, 1, 5, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }
func (c *clock) build() *Metrics      { return NewMetrics(Build{"v1", "abc", "go1.26"}, c.now) }
func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// use sets every metric at least once.
func use(m *Metrics, at time.Time) {
	m.Expect(Known{Topics: []string{"faceid.calls"}, Reasons: []string{"not_json"},
		CodeTables: []string{"face_wechat"}})
	m.Steps("write to ClickHouse")
	m.ServerFailed(Kafka)(true)
	m.Delivered("faceid.calls", "data", 1)
	m.Delivered("faceid.calls", "aborted", 1)
	m.Quarantined("not_json")
	m.UnknownCodes("face_wechat", 1)
	m.Inserted(20 * time.Millisecond)
	m.Batch(500, 100_000, 30*time.Millisecond)
	m.Failed("write to ClickHouse")
	p := kafkalog.TopicPartition{Topic: "faceid.calls", Partition: 1}
	m.Committed(map[kafkalog.TopicPartition]int64{p: 42})
	m.Lag(p, 7, 3*time.Second)
	m.Occurred(p, at.Add(-time.Minute))
	m.Appended(at.Add(-3 * time.Second))
	m.Appended(at.Add(-time.Hour)) // another partition is behind; the watermark stays
	m.Swept(at.Add(-20*time.Second), time.Second)
	m.Surveyed(Survey{Accounts: map[string]int64{"in_arrears": 2},
		Packages:   map[string]int64{"expiring": 1},
		Quarantine: map[string]Held{"unknown_account": {Records: 3, Oldest: at.Add(-time.Hour)}}})
	m.Leads(true)
	m.LastClosing(at.AddDate(0, 0, -1))
	m.NextClosing(at.AddDate(0, 0, 1))
	m.ClosingDone(Closing{At: at, Took: 2 * time.Second, Bills: 3, Late: 4, Conflicts: 1,
		Calls:    map[string]int64{"postpaid": 9},
		Books:    []BookTerm{{"faceid.calls", "duplicate", 2}},
		Billed:   []Amount{{"CNY", 12.5}, {"CNY", -2.5}},
		Statuses: []string{"suspended"}})
	m.Missing([]Missing{{Topic: "faceid.calls", Partition: 1, Kind: "call", From: 5, To: 9}})
	m.Unbalanced("faceid.calls", 1)
	m.Blocked("records below the barriers", at.Add(-time.Minute))
}

// gathered are our metrics as a scrape would have them, all in use.
func gathered(t *testing.T) ([]*dto.MetricFamily, *Metrics) {
	t.Helper()
	c := newClock()
	m := c.build()
	health := NewHealth(c.now)
	health.Loop("ingest", time.Minute)
	Mux(m, health)
	use(m, c.at)
	families, err := prometheus.Gatherers{m.Registry(), newRebuildMetrics().registry}.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool {
		return !strings.HasPrefix(f.GetName(), namespace+"_")
	}), m
}

// labelsAllowed are all that there are: none can hold an account or a call.
var labelsAllowed = []string{"currency", "goversion", "kind", "loop", "outcome", "partition",
	"reason", "revision", "server", "sign", "state", "status", "step", "table", "term", "topic",
	"version"}

func TestMetricsFollowTheConventions(t *testing.T) {
	families, _ := gathered(t)
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				if !slices.Contains(labelsAllowed, l.GetName()) {
					t.Errorf("%s has the label %s; what it holds has to be a bounded set", f.GetName(),
						l.GetName())
				}
			}
		}
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsSayWhatHappened(t *testing.T) {
	c := newClock()
	m := c.build()
	mux := Mux(m, NewHealth(c.now))
	use(m, c.at)
	body := get(mux, "/metrics").Body.String()
	for _, line := range []string{
		`tollstream_records_read_total{outcome="aborted",topic="faceid.calls"} 1`,
		`tollstream_records_read_total{outcome="compacted",topic="faceid.calls"} 0`,
		`tollstream_records_decoded_total{topic="faceid.calls"} 1`,
		`tollstream_records_quarantined_total{reason="not_json"} 1`,
		`tollstream_unknown_result_codes_total{table="face_wechat"} 1`,
		`tollstream_insert_duration_seconds_count 1`,
		`tollstream_batch_records_sum 500`,
		`tollstream_failures_total{step="write to ClickHouse"} 1`,
		`tollstream_server_errors_total{kind="unavailable",server="kafka"} 1`,
		`tollstream_server_errors_total{kind="refused",server="clickhouse"} 0`,
		`tollstream_committed_offset{partition="1",topic="faceid.calls"} 42`,
		`tollstream_lag_records{partition="1",topic="faceid.calls"} 7`,
		`tollstream_lag_seconds{partition="1",topic="faceid.calls"} 3`,
		`tollstream_event_watermark_timestamp_seconds{partition="1",topic="faceid.calls"} 1.67287674e+09`,
		`tollstream_append_lag_seconds 3`,
		`tollstream_usage_sweep_age_seconds 20`,
		`tollstream_accounts{status="in_arrears"} 2`,
		`tollstream_packages{state="expiring"} 1`,
		`tollstream_quarantine_records{reason="not_json"} 0`,
		`tollstream_quarantine_records{reason="unknown_account"} 3`,
		`tollstream_closings_total 1`,
		`tollstream_last_closing_timestamp_seconds 1.6728768e+09`,
		`tollstream_books_records_total{term="duplicate",topic="faceid.calls"} 2`,
		`tollstream_calls_closed_total{outcome="postpaid"} 9`,
		`tollstream_calls_closed_total{outcome="uncovered"} 0`,
		`tollstream_calls_late_total 4`,
		`tollstream_conflicts_total 1`,
		`tollstream_closing_blocked_since_timestamp_seconds{step="records below the barriers"} ` +
			`1.67287674e+09`,
		`tollstream_closing_missing_records{kind="call",partition="1",topic="faceid.calls"} 4`,
		`tollstream_books_unbalanced{partition="1",topic="faceid.calls"} 1`,
		`tollstream_bills_total 3`,
		`tollstream_billed_amount_total{currency="CNY",sign="positive"} 12.5`,
		`tollstream_billed_amount_total{currency="CNY",sign="negative"} 2.5`,
		`tollstream_status_changes_total{status="suspended"} 1`,
		`tollstream_build_info{goversion="go1.26",revision="abc",version="v1"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
}

// TestBlockedEnds: only the last step is shown as blocked, and none once the closing goes on, is
// done, or is another process's.
func TestBlockedEnds(t *testing.T) {
	c := newClock()
	m := c.build()
	shown := func() string {
		var steps []string
		for line := range strings.Lines(get(m.Handler(), "/metrics").Body.String()) {
			if strings.HasPrefix(line, "tollstream_closing_blocked_since_timestamp_seconds{") {
				steps = append(steps, strings.Split(line, `"`)[1])
			}
		}
		return strings.Join(steps, " ")
	}
	for _, end := range []func(){m.GoesOn, func() { m.ClosingDone(Closing{At: c.at}) },
		func() { m.Leads(false) }} {
		m.Blocked("barriers", c.at)
		m.Blocked("books", c.at)
		if got := shown(); got != "books" {
			t.Errorf("blocked are %q", got)
		}
		end()
		if got := shown(); got != "" {
			t.Errorf("still blocked: %q", got)
		}
	}
}

// TestReadiness walks a loop through its life; each step says what is done, how long passes after
// it, and whether the process is ready then.
func TestReadiness(t *testing.T) {
	c := newClock()
	h := NewHealth(c.now)
	p := h.Loop("ingest", time.Minute)
	h.Loop("usage", time.Hour).Moved()
	for _, s := range []struct {
		name  string
		do    func()
		pass  time.Duration
		ready bool
		why   string
	}{
		{"starting", func() {}, 60 * time.Second, true, "starting"},
		{"never got going", func() {}, time.Second, false, "starting"},
		{"got going", p.Moved, 60 * time.Second, true, ""},
		{"silent", func() {}, time.Second, false, "nothing was heard"},
		{"idle for long, and saying so", p.Idle, 59 * time.Second, true, ""},
		{"still idle", p.Idle, 59 * time.Second, true, ""},
		{"waits", func() { p.Waits("ClickHouse: connection refused") }, 50 * time.Second, true,
			"ClickHouse"},
		{"waits on, for something else", func() { p.Waits("Kafka: no leader") }, 11 * time.Second,
			false, "Kafka"},
		{"moves again", p.Moved, time.Second, true, ""},
		{"waits anew", func() { p.Waits("ClickHouse") }, 60 * time.Second, true, "ClickHouse"},
		{"sleeps", func() { p.IdleUntil(c.at.Add(10 * time.Minute)) }, 11 * time.Minute, true, ""},
		{"overslept", func() {}, time.Second, false, "nothing was heard"},
		{"says why at last", func() { p.Waits("Kafka") }, time.Second, false, "Kafka"},
	} {
		s.do()
		c.pass(s.pass)
		r := h.Report()
		if r.Ready != s.ready || r.Loops[0].Ready != s.ready ||
			!strings.Contains(r.Loops[0].WaitsFor, s.why) {
			t.Errorf("%s: %+v", s.name, r)
		}
	}
}

func TestReadyzNamesTheLoop(t *testing.T) {
	c := newClock()
	h := NewHealth(c.now)
	mux := Mux(c.build(), h)
	ingest, settle := h.Loop("ingest", time.Minute), h.Loop("settle", time.Minute)
	ingest.Moved()
	settle.Moved()
	if w := get(mux, "/readyz"); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	c.pass(5 * time.Second)
	settle.Waits("barriers of 2023-01-04: faceid.calls/3 is 512 records behind")
	c.pass(61 * time.Second)
	ingest.Moved()
	w := get(mux, "/readyz")
	var got Report
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusServiceUnavailable || got.Ready || !strings.Contains(got.Why, "settle") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	l := got.Loops[1]
	if l.Loop != "settle" || l.StuckSeconds != 61 || l.BoundSeconds != 60 ||
		!strings.Contains(l.WaitsFor, "512 records behind") ||
		l.Since.Format(time.RFC3339) != "2023-01-05T00:00:05Z" {
		t.Errorf("%s", w.Body)
	}
	body := get(mux, "/metrics").Body.String()
	for _, line := range []string{
		`tollstream_loop_ready{loop="settle"} 0`, `tollstream_loop_ready{loop="ingest"} 1`,
		`tollstream_loop_stuck_seconds{loop="settle"} 61`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	settle.Moved()
	h.Stopping()
	if w := get(mux, "/readyz"); w.Code != http.StatusServiceUnavailable ||
		!strings.Contains(w.Body.String(), "stopping") {
		t.Errorf("stopping: %d %s", w.Code, w.Body)
	}
	if w := get(mux, "/healthz"); w.Code != http.StatusOK {
		t.Errorf("healthz: %d", w.Code)
	}
}

func TestNilProgress(*testing.T) {
	var p *Progress
	p.Moved()
	p.Waits("x")
}

// TestNoServer: an empty address means no port at all, and not every address.
func TestNoServer(t *testing.T) {
	s, err := Listen(ServerOptions{})
	if err != nil || s.Addr() != "" {
		t.Fatal(err, s.Addr())
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

// TestServer: a request under way ends before the server does, and a port that is taken is a clear
// error.
func TestServer(t *testing.T) {
	entered, finish := make(chan bool), make(chan bool)
	s, err := Listen(ServerOptions{Listen: "127.0.0.1:0", ShutdownTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			entered <- true
			<-finish
			_, _ = io.WriteString(w, "whole")
		})})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Listen(ServerOptions{Listen: s.Addr()})
	if err == nil || !strings.Contains(err.Error(), "another process has that port") {
		t.Errorf("port in use: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	answer := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + s.Addr())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close() //nolint:errcheck // a test
		b, _ := io.ReadAll(r.Body)
		answer <- string(b)
	}()
	<-entered
	stop()
	select {
	case err := <-ran:
		t.Fatalf("ended before its request: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(finish)
	if got := <-answer; got != "whole" {
		t.Errorf("answer %q", got)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

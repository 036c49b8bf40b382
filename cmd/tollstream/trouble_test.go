package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
)

var scrapesFolder = flag.String("scrapes", "",
	"keep scrapes in this folder, and each trouble for a minute, so that alerts can be tried on them")

// troubled is a pipeline of two processes whose servers are taken away: one stores, one closes.
// The brokers' clock is the test's, near the machine's, since alerts compare with that.
type troubled struct {
	*testWorld
	t      *testing.T
	feed   *feed
	now    atomic.Int64
	sent   int // records on trouble.calls
	stores *system
	closes *system
}

// TestTroubleShows: for each trouble that an operator can have, metrics and readiness show the
// cause, and everything clears by itself once the trouble is over. With -scrapes the alerts of
// deploy/prometheus are tried on what this leaves: make alerts-test.
func TestTroubleShows(t *testing.T) {
	w := &troubled{testWorld: newTestWorld(t, t.TempDir()), t: t}
	w.begin()
	defer w.run(w.stores)()
	defer w.run(w.closes)()
	defer w.scrape()()
	w.waits("everything is well", w.stores, true, "",
		`tollstream_lag_records{partition="0",topic="trouble.calls"} 0`)
	w.waits("everything is well", w.closes, true, "", "tollstream_settle_leads 1")
	w.malformed()
	w.clickHouseAway()
	w.brokerAway()
	w.partitionFrozen()
	w.partitionWithheld()
}

// begin has topics with append times, and an account with some calls.
func (w *troubled) begin() {
	w.t.Helper()
	w.cfg.Time.Mode = modeLogAppendTime
	w.cfg.HTTP.StallAfter = 5 * time.Second
	w.cfg.Settle.ClockMargin = time.Second
	w.cfg.Usage.SweepInterval = 2 * time.Second
	w.cfg.Embedded.ClickHouseListen, w.cfg.Embedded.KafkaListen =
		w.cfg.ClickHouse.Addr, w.cfg.Kafka.Brokers[0]
	w.cfg.Kafka.Topics.AccountEvents = "trouble.events"
	w.cfg.Kafka.Topics.Calls = []string{"trouble.calls"}
	log, err := kafkalog.New(kafkalog.Options{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	var topics []kafkalog.TopicSpec
	for name, partitions := range map[string]int{"trouble.events": 1, "trouble.calls": 2,
		"withheld.calls": 1} {
		topics = append(topics, kafkalog.TopicSpec{Name: name, Partitions: partitions,
			TimestampType: kafkalog.LogAppendTime, Retention: kafkalog.RetentionForever})
	}
	if err := log.EnsureTopics(w.t.Context(), topics); err != nil {
		w.t.Fatal(err)
	}
	today := billing.DayOf(billing.InstantOf(time.Now()), w.cat.Settings.Zone)
	w.feed = newFeed(w.t, w.testWorld, today-2)
	w.cfg.Settle.FirstClosing = w.feed.day
	w.now.Store(int64(w.feed.at(1, 7)))
	w.feed.event(w.feed.at(0, 1), "account.opened", "e1", "acme",
		fmt.Sprintf(`,"opened_at":%q`, w.feed.at(0, 0)), w.feed.at(0, 1))
	w.feed.event(w.feed.at(0, 1), "balance.topped_up", "e2", "acme", `,"amount":"1000"`,
		w.feed.at(0, 1))
	w.call("first")
	w.stores = w.system([]string{roleIngest, roleUsage}, "trouble.calls")
	w.closes = w.system([]string{roleSettle}, "trouble.calls", "withheld.calls")
}

func (w *troubled) call(id string) {
	w.feed.call(w.feed.at(0, 2), id, "acme", w.feed.at(0, 2))
	w.sent++
}

// system builds a process with some roles and call topics.
func (w *troubled) system(roles []string, calls ...string) *system {
	w.t.Helper()
	cfg := *w.cfg
	cfg.Roles, cfg.Kafka.Topics.Calls = roles, calls
	s, err := build(w.t.Context(), &cfg, w.logger)
	if err != nil {
		w.t.Fatal(err)
	}
	s.now = func() time.Time { return billing.Instant(w.now.Load()).Time() }
	return s
}

// run runs a process until the function that it gives is called.
func (w *troubled) run(s *system) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		s.Close()
	}
}

// get asks a process by HTTP.
func (w *troubled) get(s *system, path string) (status int, body string) {
	answer, err := http.Get("http://" + s.server.Addr() + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// waits waits until a process is ready or not, says why, and has a line in its metrics: a series
// with a value, or a series alone, which then must not be zero.
func (w *troubled) waits(what string, s *system, ready bool, why, line string) {
	w.t.Helper()
	eventually(w.t, what, func() (bool, string) {
		status, body := w.get(s, "/readyz")
		if (status == http.StatusOK) != ready || !strings.Contains(body, why) {
			return false, body
		}
		_, metrics := w.get(s, "/metrics")
		series, _, _ := strings.Cut(line, " ")
		said := "no " + line
		for have := range strings.Lines(metrics) {
			have = strings.TrimSpace(have)
			if have == line || strings.HasPrefix(have, line+" ") && !strings.HasSuffix(have, " 0") {
				return true, ""
			}
			if strings.HasPrefix(have, series) {
				said = "not " + line + " but " + have
			}
		}
		return line == "", said
	})
	if status, _ := w.get(s, "/healthz"); status != http.StatusOK {
		w.t.Errorf("%s: /healthz says %d; a restart cures nothing", what, status)
	}
}

// malformed sends one record in twenty that is not JSON. The process stays ready.
func (w *troubled) malformed() {
	w.phase("malformed TollstreamQuarantineRising")
	for i := range 200 {
		if i%20 == 0 {
			w.feed.send(w.feed.at(0, 2), batch.CallRecord, 0, "{")
			w.sent++
		}
		w.call(fmt.Sprint("call-", i))
	}
	w.waits("malformed records are counted", w.stores, true, "",
		`tollstream_records_quarantined_total{reason="not_json"} 10`)
	w.hold(time.Minute)
	w.well()
}

// clickHouseAway stops ClickHouse while records come.
func (w *troubled) clickHouseAway() {
	w.phase("clickhouse-away TollstreamServerUnavailable=clickhouse TollstreamStandsStill=ingest " +
		"TollstreamLagGrowing=trouble.calls")
	w.servers.clickhouse.Kill()
	w.call("while ClickHouse is away")
	w.waits("a process without ClickHouse says so", w.stores, false, "ClickHouse at",
		`tollstream_lag_records{partition="0",topic="trouble.calls"} 1`)
	w.waits("its errors are counted", w.stores, false, "",
		`tollstream_server_errors_total{kind="unavailable",server="clickhouse"}`)
	w.hold(time.Minute)
	w.clickHouseAgain(w.t)
	w.well()
}

// brokerAway stops the broker.
func (w *troubled) brokerAway() {
	w.phase("broker-away TollstreamServerUnavailable=kafka TollstreamStandsStill=ingest")
	if err := w.servers.broker.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.waits("a process without a broker says so", w.stores, false, "no broker reachable",
		`tollstream_loop_ready{loop="ingest"} 0`)
	w.hold(time.Minute)
	var err error
	w.servers.broker, err = embedded.StartBroker(embedded.BrokerOptions{
		Listen: w.cfg.Embedded.KafkaListen, DataDir: filepath.Join(w.cfg.Embedded.DataDir, "kafka")})
	if err != nil {
		w.t.Fatal(err)
	}
	w.well()
}

// partitionFrozen has the broker answer no more who reads one of two partitions.
func (w *troubled) partitionFrozen() {
	w.phase("partition-frozen TollstreamStandsStill=ingest TollstreamLagGrowing=trouble.calls")
	thaw, err := w.servers.broker.Freeze(w.t.Context(), "trouble.calls", 1)
	if err != nil {
		w.t.Fatal(err)
	}
	w.feed.send(w.feed.at(0, 2), batch.CallRecord, 1, callText("frozen", "acme", w.feed.at(0, 2)))
	w.waits("a process says which partition stands still", w.stores, false, "trouble.calls/1",
		`tollstream_lag_records{partition="1",topic="trouble.calls"} 1`)
	w.hold(time.Minute)
	thaw()
	w.waits("what was frozen is stored", w.stores, true, "",
		`tollstream_lag_records{partition="1",topic="trouble.calls"} 0`)
	w.well()
}

// partitionWithheld has a closing fall due while nobody stores one of its partitions.
func (w *troubled) partitionWithheld() {
	w.phase("withheld TollstreamClosingBlocked TollstreamClosingMissesRecords=withheld.calls")
	err := w.feed.producer.Produce(w.t.Context(), kafkalog.Outgoing{Topic: "withheld.calls",
		Time: w.feed.at(0, 3).Time(), Value: []byte(callText("held", "acme", w.feed.at(0, 3)))})
	if err != nil {
		w.t.Fatal(err)
	}
	w.now.Store(int64(w.feed.at(1, 9)))
	w.waits("the closing says what it waits for", w.closes, false, "withheld.calls/0 offset 0",
		`tollstream_closing_missing_records{kind="call",partition="0",topic="withheld.calls"} 1`)
	w.waits("and since when", w.closes, false, "",
		`tollstream_closing_blocked_since_timestamp_seconds{step="records below the barriers"}`)
	w.hold(time.Minute)
	w.cfg.Kafka.Group = "who reads it after all"
	defer w.run(w.system([]string{roleIngest}, "withheld.calls"))()
	w.waits("the closing is done", w.closes, true, "", "tollstream_closings_total 1")
	w.well()
}

// well waits until both processes have nothing to complain about.
func (w *troubled) well() {
	w.t.Helper()
	w.waits("all is stored", w.stores, true, "", fmt.Sprintf(
		`tollstream_committed_offset{partition="0",topic="trouble.calls"} %d`, w.sent))
	w.waits("the lag says so", w.stores, true, "",
		`tollstream_lag_records{partition="0",topic="trouble.calls"} 0`)
	w.waits("the process that closes is well", w.closes, true, "", "tollstream_settle_leads 1")
	w.phase("well")
	w.hold(20 * time.Second) // what shows at once is gone then
}

// hold keeps a trouble for as long as an alert may need.
func (w *troubled) hold(d time.Duration) {
	if *scrapesFolder != "" {
		time.Sleep(d)
	}
}

// phase notes what begins now, for those who read the scrapes: its name, and the alerts that it has
// to raise.
func (w *troubled) phase(what string) {
	w.keep(fmt.Sprintf("%d.phase", time.Now().UnixMilli()), what)
}

func (w *troubled) keep(name, text string) {
	if *scrapesFolder == "" {
		return
	}
	err := os.WriteFile(filepath.Join(*scrapesFolder, name), []byte(text), 0o644)
	if err != nil {
		w.t.Error(err)
	}
}

// scrape keeps what both processes show, every 15 s, until it is told to stop.
func (w *troubled) scrape() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for *scrapesFolder != "" {
			at := time.Now().UnixMilli()
			for instance, s := range map[string]*system{"stores": w.stores, "closes": w.closes} {
				if status, body := w.get(s, "/metrics"); status == http.StatusOK {
					w.keep(fmt.Sprintf("%d.%s", at, instance), body)
				}
			}
			select {
			case <-time.After(15 * time.Second): // as deploy/prometheus/prometheus.yml says
			case <-ended:
				return
			}
		}
	}()
	return func() { close(ended); <-done }
}

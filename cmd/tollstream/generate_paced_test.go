package main

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/observe"
)

// fewFlags makes a short story, in which calls come late and twice.
func fewFlags(t *testing.T, send string) *generateFlags {
	t.Helper()
	cat, err := loadCatalog("")
	if err != nil {
		t.Fatal(err)
	}
	return &generateFlags{send: send, partitions: 3, options: generate.Options{Seed: 5, Catalog: cat,
		From: billing.DateOf(2023, 2, 1), To: billing.DateOf(2023, 2, 3), Accounts: 5, Calls: 300,
		CallsTopic: "calls", EventsTopic: "events", Rates: generate.DefaultRates()}}
}

// clockedSink notes what it gets, and when by the test's clock.
type clockedSink struct {
	t    *testing.T
	now  time.Time
	kept []generate.Record
}

func (s *clockedSink) Send(_ context.Context, records []generate.Record) error {
	for _, r := range records {
		if r.Arrived.Time().After(s.now) {
			s.t.Errorf("sent at %s what arrives at %s", s.now, r.Arrived)
		}
	}
	s.kept = append(s.kept, records...)
	return nil
}

func (s *clockedSink) Finish(*generate.Generator) error { return nil }
func (s *clockedSink) Close() error                     { return nil }

// TestPacer: nothing is sent before it arrives, --send past ends there, and --send live sends all.
func TestPacer(t *testing.T) {
	for _, send := range []string{sendPast, sendLive} {
		t.Run(send, func(t *testing.T) {
			f := fewFlags(t, send)
			g, err := generate.New(f.options)
			if err != nil {
				t.Fatal(err)
			}
			all := slices.Collect(g.Records())
			sink := &clockedSink{t: t, now: all[len(all)/2].Arrived.Time()}
			p := &pacer{to: sink, now: func() time.Time { return sink.now },
				pause: func(until time.Time) { sink.now = until }}
			if err := f.pace(t.Context(), p, g, io.Discard); err != nil {
				t.Fatal(err)
			}
			want := all
			if send == sendPast {
				later := slices.IndexFunc(all, func(r generate.Record) bool {
					return r.Arrived.Time().After(sink.now)
				})
				want = all[:later]
			}
			if !slices.EqualFunc(sink.kept, want, sameRecord) {
				t.Errorf("%d records were sent, want %d of %d", len(sink.kept), len(want), len(all))
			}
		})
	}
}

func sameRecord(a, b generate.Record) bool {
	return a.Arrived == b.Arrived && a.Topic == b.Topic && string(a.Value) == string(b.Value)
}

// TestGenerateGoesOn sends the past three times, each time up to a later moment: every record then
// stands in the topics once, save the last one of each partition, which is sent again.
func TestGenerateGoesOn(t *testing.T) {
	broker, err := embedded.StartBroker(embedded.BrokerOptions{Listen: "127.0.0.1:0",
		DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close() //nolint:errcheck // the test is over
	cfg := DefaultConfig()
	cfg.Kafka.Brokers = []string{broker.Addr()}
	var want []generate.Record
	for part := range 3 {
		f := fewFlags(t, sendPast)
		to, err := openKafkaSink(t.Context(), cfg, f, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		g, err := generate.New(f.options)
		if err != nil {
			t.Fatal(err)
		}
		want = slices.Collect(g.Records())
		now := want[(part+1)*len(want)/3-1].Arrived.Time()
		err = f.pace(t.Context(), &pacer{to: to, now: func() time.Time { return now }}, g, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, records := readTopics(t, cfg.Kafka.Brokers, "events", "calls")
	for i := range want {
		if !got[string(want[i].Value)] {
			t.Errorf("%s is not in the topics", want[i].Value)
		}
	}
	again := records - len(want)
	if again > 2*(1+3) { // it went on twice, with a partition of events and three of calls
		t.Errorf("%d of %d records were sent again", again, len(want))
	}
}

// readTopics gives the values in topics and the number of records; their times may not decrease.
func readTopics(t *testing.T, brokers []string, topics ...string) (map[string]bool, int) {
	t.Helper()
	client, err := kafkalog.New(kafkalog.Options{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	values, records := map[string]bool{}, 0
	for _, topic := range topics {
		info, err := client.Topic(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, partition := range info.Partitions {
			_, end, _, err := client.Offsets(t.Context(), topic, partition)
			if err != nil {
				t.Fatal(err)
			}
			last := time.Time{}
			for next := int64(0); next < end; {
				got, err := client.Fetch(t.Context(), topic, partition, next)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range got.Records {
					if r.AppendTime.Before(last) {
						t.Errorf("%s/%d: times decrease at offset %d", topic, partition, r.Offset)
					}
					values[string(r.Value)], last = true, r.AppendTime
					records++
				}
				next = got.Next
			}
		}
	}
	return values, records
}

// TestReady: a live generator tells that it gets on, and a stuck process, or none, is no ready one.
func TestReady(t *testing.T) {
	broker, err := embedded.StartBroker(embedded.BrokerOptions{Listen: "127.0.0.1:0",
		DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close() //nolint:errcheck // the test is over
	listen := freeAddress(t)
	status, says := runLine(t, "ready", "--http.listen", listen)
	checkLine(t, status, says, exitFailed, "connection refused")

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	tomorrow := time.Now().AddDate(0, 0, 2).Format(time.DateOnly)
	go func() {
		ended <- run(ctx, []string{"generate", "--kafka", "--send", "live", "--kafka.brokers",
			broker.Addr(), "--http.listen", listen, "--calls", "500", "--to", tomorrow,
			"--from", time.Now().AddDate(0, 0, -2).Format(time.DateOnly)}, io.Discard, io.Discard)
	}()
	port := listen[strings.LastIndex(listen, ":"):]
	eventually(t, "the generator is ready", func() (bool, string) {
		status, says := runLine(t, "ready", "--http.listen", "0.0.0.0"+port)
		return status == exitDone, says
	})
	stop()
	if status := <-ended; status != exitDone {
		t.Errorf("the generator ended with status %d", status)
	}

	health := observe.NewHealth(time.Now)
	health.Stopping()
	server, err := observe.Listen(observe.ServerOptions{Listen: "127.0.0.1:0",
		Handler: observe.HealthMux(health)})
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = server.Run(serving) }()
	status, says = runLine(t, "ready", "--http.listen", server.Addr())
	checkLine(t, status, says, exitFailed, `not ready: {"ready":false,"why":"stopping"`)
	status, says = runLine(t, "ready", "--http.listen=")
	checkLine(t, status, says, exitUsage, "http.listen is empty")
}

// freeAddress is an address on loopback that nothing listened at a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only opened for its number
	return l.Addr().String()
}

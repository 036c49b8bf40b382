package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tollstream/deploy/apachekafka"
	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// apacheWorld is a real Apache Kafka with topics in LogAppendTime, an embedded ClickHouse, and a
// configuration that points at both. Records get the broker's own times; the broker's clock plays
// the months that the records tell of, and the pipeline's closings go by that clock.
type apacheWorld struct {
	*testWorld
	broker *apachekafka.Broker
	// client is another implementation of Kafka's protocol than the product's.
	client *kgo.Client
	// past says that the topics hold records from before they took the broker's times.
	past bool
}

func newApacheWorld(t *testing.T, o apachekafka.Options) *apacheWorld {
	t.Helper()
	o.Clock = time.Date(2022, 12, 1, 0, 0, 0, 0, time.UTC) // before every story
	broker := apachekafka.ForTest(t, o)
	w := &apacheWorld{testWorld: testWorldWithout(t, t.TempDir(), ""), broker: broker}
	w.servers = &servers{}
	t.Cleanup(func() { w.servers.Close() })
	if err := w.servers.startClickHouse(t.Context(), w.cfg, w.cat); err != nil {
		t.Fatal(err)
	}
	w.cfg.Kafka.Brokers = []string{broker.Plaintext()}
	w.cfg.HTTP.StallAfter = 5 * time.Second
	w.createTopics(t)
	w.client = w.connect(t)
	return w
}

// connect makes a client that writes each record to the partition it names.
func (w *apacheWorld) connect(t *testing.T, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.broker.Plaintext()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted())}, o...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// log is the product's view of the logs, for what the other client does not tell.
func (w *apacheWorld) log(t *testing.T) *kafkalog.Client {
	t.Helper()
	c, err := kafkalog.New(kafkalog.Options{Brokers: []string{w.broker.Plaintext()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// createTopics creates the input topics; the product creates the others.
func (w *apacheWorld) createTopics(t *testing.T) {
	t.Helper()
	specs := (&system{cfg: w.cfg}).inputTopics()
	for i := range specs {
		if specs[i].Name != w.cfg.Kafka.Topics.AccountEvents {
			specs[i].Partitions = callPartitions
		}
	}
	if err := w.log(t).EnsureTopics(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
}

// play produces records in the order of their arrival, hour by hour, moving the broker's clock to
// each hour. The producer's own clock is right for one record, and a year off for the next two.
func (w *apacheWorld) play(t *testing.T, records []generate.Record) {
	t.Helper()
	for start := 0; start < len(records); {
		hour := records[start].Arrived - records[start].Arrived%billing.Hour
		end := start
		for ; end < len(records) && records[end].Arrived < hour+billing.Hour; end++ {
		}
		if at := hour.Time(); at.After(w.broker.Now()) {
			w.setClock(t, at)
		}
		w.produce(t, records[start:end])
		start = end
	}
}

func (w *apacheWorld) setClock(t *testing.T, to time.Time) {
	t.Helper()
	if err := w.broker.SetClock(to); err != nil {
		t.Fatal(err)
	}
}

func (w *apacheWorld) produce(t *testing.T, records []generate.Record) {
	t.Helper()
	out := make([]*kgo.Record, len(records))
	for i := range records {
		r := &records[i]
		out[i] = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value,
			Timestamp: w.broker.Now().AddDate(i%3-1, 0, 0)}
	}
	if err := w.client.ProduceSync(t.Context(), out...).FirstErr(); err != nil {
		t.Error(err)
	}
}

// stream is the pipeline at work in this process.
type stream struct {
	*system
	t       *testing.T
	reached chan struct{} // closed when the closing that is waited for is done
	stop    context.CancelFunc
	ended   chan error
}

// stream starts the pipeline; it ends with the test, or when wait returns.
func (w *apacheWorld) stream(t *testing.T, until billing.Instant) *stream {
	t.Helper()
	s, err := build(t.Context(), w.cfg, w.logger)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	run := &stream{system: s, t: t, reached: make(chan struct{}), stop: stop,
		ended: make(chan error, 1)}
	s.now = w.broker.Now
	s.closed = func(done *stored.Settlement) {
		if done.ClosedAt == until {
			close(run.reached)
		}
	}
	go func() { run.ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		run.end()
		s.Close()
	})
	return run
}

// wait waits until the last closing is done and ends the pipeline.
func (s *stream) wait() {
	s.t.Helper()
	select {
	case <-s.reached:
		s.end()
	case err := <-s.ended:
		s.t.Fatalf("the pipeline ended before the last closing: %v", err)
	case <-time.After(limit):
		s.t.Fatalf("the last closing did not come: %+v", s.health.Report())
	}
}

func (s *stream) end() {
	s.stop()
	if err := <-s.ended; err != nil {
		s.t.Error(err)
	}
	s.ended <- nil // for whoever ends it again
}

// readyz asks as a load balancer does.
func (s *stream) readyz() (ready bool, body string) {
	answer, err := http.Get("http://" + s.server.Addr() + "/readyz")
	if err != nil {
		return false, err.Error()
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode == http.StatusOK, string(text) + errorText(err)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// records reads back what the broker holds, with its own append times, as another client sees it:
// committed records only, in the order of arrival.
func (w *apacheWorld) records(t *testing.T) []batch.Record {
	t.Helper()
	topics := append([]string{w.cfg.Kafka.Topics.AccountEvents}, w.cfg.Kafka.Topics.Calls...)
	ends, from := map[string]int64{}, map[string]map[int32]kgo.Offset{}
	log := w.log(t)
	for _, topic := range topics {
		info, err := log.Topic(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		from[topic] = map[int32]kgo.Offset{}
		for _, p := range info.Partitions {
			_, high, _, err := log.Offsets(t.Context(), topic, p)
			if err != nil {
				t.Fatal(err)
			}
			if high > 0 {
				at := billing.Arrival{Topic: topic, Partition: int32(p)}
				ends[at.Log()] = high
				from[topic][int32(p)] = kgo.NewOffset().AtStart()
			}
		}
	}
	records := w.readTo(t, ends, w.connect(t, kgo.ConsumePartitions(from)))
	slices.SortFunc(records, func(a, b batch.Record) int {
		return cmp.Or(cmp.Compare(a.Arrival.Appended, b.Arrival.Appended),
			cmp.Compare(a.Arrival.Topic, b.Arrival.Topic),
			cmp.Compare(a.Arrival.Partition, b.Arrival.Partition),
			cmp.Compare(a.Arrival.Offset, b.Arrival.Offset))
	})
	return records
}

func (w *apacheWorld) readTo(
	t *testing.T, ends map[string]int64, client *kgo.Client,
) []batch.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var records []batch.Record
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at := billing.Arrival{Appended: billing.InstantOf(r.Timestamp), Topic: r.Topic,
				Partition: r.Partition, Offset: r.Offset}
			if r.Offset == ends[at.Log()]-1 {
				delete(ends, at.Log())
			}
			if r.Attrs.IsControl() {
				return
			}
			if r.Attrs.TimestampType() != 1 && !w.past {
				t.Errorf("%s has the producer's time", at.Place())
			}
			kind := batch.CallRecord
			if r.Topic == w.cfg.Kafka.Topics.AccountEvents {
				kind = batch.EventRecord
			}
			records = append(records, batch.Record{Kind: kind, Value: r.Value, Arrival: at})
		})
	}
	return records
}

// billsOfFiles writes records into files, each with the broker's append time, and gives the bills
// that `tollstream bill` makes of them, in the order of testWorld.bills.
func (w *apacheWorld) billsOfFiles(
	t *testing.T, records []batch.Record, until billing.Instant,
) []byte {
	t.Helper()
	dir := t.TempDir()
	paths := map[batch.Kind]string{batch.CallRecord: filepath.Join(dir, "calls.jsonl"),
		batch.EventRecord: filepath.Join(dir, "events.jsonl")}
	for kind, path := range paths {
		f, err := createLines(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if records[i].Kind == kind {
				err = errors.Join(err, f.line(records[i].Value, records[i].Arrival.Appended.String()))
			}
		}
		if err := errors.Join(err, f.finish()); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "bills.jsonl")
	status, stderr := runLine(t, "bill", "--calls", paths[batch.CallRecord], "--events",
		paths[batch.EventRecord], "--until", until.String(), "--out", out)
	if status != exitDone {
		t.Fatal(stderr)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	slices.SortFunc(lines, bytes.Compare)
	return bytes.Join(lines, []byte("\n"))
}

// checkBills reads everything back from the broker, has `tollstream bill` make the bills of it, and
// compares them with those of the stream, byte for byte; and the books with those of the records in
// memory. It gives the records and the bills in memory.
func (w *apacheWorld) checkBills(
	t *testing.T, until billing.Instant, ledger *generate.Ledger,
) ([]batch.Record, *batch.Output) {
	t.Helper()
	records := w.records(t)
	got, want := w.bills(t), w.billsOfFiles(t, records, until)
	if len(got) == 0 || !bytes.Equal(got, want) {
		t.Errorf("the stream's %d bytes of bills differ from the %d of tollstream bill: %s",
			len(got), len(want), firstDifference(got, want))
	}
	out, err := batch.Run(w.cat, records, until, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.checkBooks(t, out, ledger)
	t.Logf("%d records, %d bills, %d bytes of bills are equal", len(records), len(out.Bills),
		len(got))
	return records, out
}

// onTopic reads the values of an output topic, each once, as SQL users of the topic would.
func (w *apacheWorld) onTopic(t *testing.T, topic string) []byte {
	t.Helper()
	_, high, _, err := w.log(t).Offsets(t.Context(), topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	client := w.connect(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {0: kgo.NewOffset().AtStart()}}))
	var values []string
	for next := int64(0); next < high; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			values, next = append(values, string(r.Value)), r.Offset+1
		}
	}
	slices.Sort(values)
	return []byte(strings.Join(slices.Compact(values), "\n"))
}

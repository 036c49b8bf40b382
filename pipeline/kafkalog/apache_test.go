package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tollstream/deploy/apachekafka"
)

// TestApache shows what kfake cannot: the append time, real compaction, the broker's own list of
// aborted transactions. It needs a real broker: make test-kafka.
func TestApache(t *testing.T) {
	broker := apachekafka.ForTest(t, apachekafka.Options{
		Settings: map[string]string{"log.cleaner.backoff.ms": "200"}})
	for name, test := range map[string]func(*testing.T, *apachekafka.Broker){
		"AppendTime":       testAppendTime,
		"Transactions":     testTransactions,
		"DeletedAndGroups": testDeletedRecordsAndGroups,
		"Compaction":       testCompaction,
	} {
		t.Run(name, func(t *testing.T) { test(t, broker) })
	}
}

type apache struct {
	brokers []string
	c       *Client
	topic   string
}

// newApache makes a topic on the broker and a client for it.
func newApache(t *testing.T, broker *apachekafka.Broker, spec TopicSpec) apache {
	t.Helper()
	a := apache{brokers: []string{broker.Plaintext()}, topic: fmt.Sprintf("kafkalog-%s",
		strings.ReplaceAll(t.Name(), "/", "-"))}
	c, err := New(Options{Brokers: a.brokers, MaxWait: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	a.c = c
	spec.Name = a.topic
	if err := c.EnsureTopics(t.Context(), []TopicSpec{spec}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CheckTopic(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a apache) producer(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	p, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(a.brokers...),
		kgo.DefaultProduceTopic(a.topic)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func testAppendTime(t *testing.T, broker *apachekafka.Broker) {
	a := newApache(t, broker, TopicSpec{TimestampType: LogAppendTime})
	before := time.Now().Truncate(time.Millisecond)
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(),
		kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		// The producer's clock is wrong by years; nobody may notice.
		r := &kgo.Record{Value: []byte(fmtOffset(int64(i))), Timestamp: time.Unix(1e9, 0)}
		p := a.producer(t, kgo.ProducerBatchCompression(codec))
		if err := p.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	got := readAll(t, a.c, a.topic, 0, 0)
	if len(got) != 5 {
		t.Fatal(story(got))
	}
	last := before
	for i, r := range got {
		if r.TimestampType != LogAppendTime || !r.AppendTime.After(last.Add(-1)) ||
			r.AppendTime.After(time.Now()) || string(r.Value) != fmtOffset(int64(i)) {
			t.Fatalf("%+v", r)
		}
		last = r.AppendTime
		at, found, err := a.c.OffsetAt(t.Context(), a.topic, 0, r.AppendTime)
		if at != r.Offset || !found || err != nil {
			t.Fatal(at, found, err)
		}
	}
	_, found, err := a.c.OffsetAt(t.Context(), a.topic, 0, last.Add(time.Millisecond))
	if found || err != nil {
		t.Fatal(found, err)
	}
}

func testTransactions(t *testing.T, broker *apachekafka.Broker) {
	a := newApache(t, broker, TopicSpec{TimestampType: LogAppendTime})
	ctx := context.Background()
	txn := func(id string) *kgo.Client { return a.producer(t, kgo.TransactionalID(a.topic+id)) }
	good, bad, plain := txn("good"), txn("bad"), a.producer(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	say := func(p *kgo.Client, v string) {
		must(p.ProduceSync(ctx, &kgo.Record{Value: []byte(v)}).FirstErr())
	}
	// A broker answers the end of a transaction before it writes the marker.
	end := func(p *kgo.Client, how kgo.TransactionEndTry, marker int64) {
		t.Helper()
		must(p.EndTransaction(ctx, how))
		eventually(t, "the marker is written", func() bool {
			_, high, _, err := a.c.Offsets(ctx, a.topic, 0)
			return err == nil && high == marker+1
		})
	}
	must(good.BeginTransaction())
	must(bad.BeginTransaction())
	say(good, "a")
	say(bad, "x")
	say(plain, "p")
	end(good, kgo.TryCommit, 3)
	say(bad, "y")
	if _, high, stable, err := a.c.Offsets(t.Context(), a.topic, 0); high != 5 || stable != 1 ||
		err != nil {
		t.Fatal(high, stable, err)
	}
	end(bad, kgo.TryAbort, 5)
	must(bad.BeginTransaction())
	say(bad, "b")
	end(bad, kgo.TryCommit, 7)
	want := []string{"0:data:a", "1:aborted:x", "2:data:p", "3:control", "4:aborted:y",
		"5:control", "6:data:b", "7:control"}
	for from := range want {
		if got := story(readAll(t, a.c, a.topic, 0, int64(from))); !slices.Equal(got, want[from:]) {
			t.Errorf("from %d: %v", from, got)
		}
	}
}

func testDeletedRecordsAndGroups(t *testing.T, broker *apachekafka.Broker) {
	a := newApache(t, broker, TopicSpec{Partitions: 2})
	p, err := NewProducer(ProducerOptions{Brokers: a.brokers, Compression: kafka.Snappy})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	at := time.UnixMilli(1_700_000_000_000).UTC()
	for range 5 {
		if err := p.Produce(t.Context(), Outgoing{Topic: a.topic, Fixed: true, Partition: 1,
			Value: []byte("v"), Time: at}); err != nil {
			t.Fatal(err)
		}
	}
	cut := kmsg.NewPtrDeleteRecordsRequest()
	cut.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: a.topic,
		Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 1, Offset: 3}}}}
	if _, err := cut.RequestWith(t.Context(), a.producer(t)); err != nil {
		t.Fatal(err)
	}
	var gone *OffsetOutOfRange
	if _, err := a.c.Fetch(t.Context(), a.topic, 1, 2); !errors.As(err, &gone) ||
		gone.LogStart != 3 || gone.HighWatermark != 5 {
		t.Fatal(err)
	}
	got := readAll(t, a.c, a.topic, 1, 3)
	if len(got) != 2 || !got[0].AppendTime.Equal(at) || got[0].TimestampType != CreateTime {
		t.Fatalf("%+v", got)
	}
	g, err := NewGroup(GroupOptions{Brokers: a.brokers, GroupID: a.topic,
		Topics: []string{a.topic}})
	if err != nil {
		t.Fatal(err)
	}
	err = g.Run(t.Context(), func(_ context.Context, gen *Generation) error {
		if len(gen.Assignments) != 2 {
			t.Errorf("%+v", gen.Assignments)
		}
		return gen.Commit(map[TopicPartition]int64{{a.topic, 1}: 4})
	})
	if err != nil {
		t.Fatal(err)
	}
	committed, err := a.c.Committed(t.Context(), a.topic, a.topic)
	if err != nil || len(committed) != 1 || committed[1] != 4 {
		t.Fatal(committed, err)
	}
}

func testCompaction(t *testing.T, broker *apachekafka.Broker) {
	a := newApache(t, broker, TopicSpec{CleanupPolicy: "compact", Config: map[string]string{
		"min.cleanable.dirty.ratio": "0.01", "segment.bytes": "1048576", "segment.ms": "100"}})
	p := a.producer(t)
	for i := range 30 {
		r := &kgo.Record{Key: []byte{byte(i % 3)}, Value: []byte(fmtOffset(int64(i)))}
		if err := p.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(time.Second) {
		got, err := a.c.Fetch(t.Context(), a.topic, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		checkAccounted(t, &got, 0)
		if len(got.Compacted) > 0 {
			t.Logf("%d records, holes %v, next %d of %d", len(got.Records), got.Compacted, got.Next,
				got.HighWatermark)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the cleaner did not run")
		}
	}
}

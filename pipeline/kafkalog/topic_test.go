package kafkalog

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

func TestEnsureDescribeAndCheckTopics(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.ClusterID("books"))
	c := newClient(t, cluster)
	spec := TopicSpec{Name: "calls", Partitions: 3, TimestampType: LogAppendTime,
		Retention: 36 * time.Hour, Config: map[string]string{"max.message.bytes": "2000000"}}
	for range 2 { // the second time there is nothing to do
		if err := c.EnsureTopics(t.Context(), []TopicSpec{spec, {Name: "files"}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.CheckTopic(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.ID) != 32 || !slices.Equal(got.Partitions, []int{0, 1, 2}) ||
		got.TimestampType != LogAppendTime || got.CleanupPolicy != "delete" ||
		got.Retention != 36*time.Hour || got.MaxMessageBytes != 2000000 {
		t.Fatalf("%+v", got)
	}
	spec.Name, spec.CleanupPolicy = "files", "compact"
	var mismatch *TopicMismatch
	if _, err = c.CheckTopic(t.Context(), spec); !errors.As(err, &mismatch) ||
		len(mismatch.Faults) != 3 || strings.Contains(err.Error(), "\n") {
		t.Fatal(err)
	}
	var unknown *UnknownTopic
	if _, err = c.Topic(t.Context(), "nowhere"); !errors.As(err, &unknown) {
		t.Fatal(err)
	}
	if id, err := c.ClusterID(t.Context()); id != "books" || err != nil {
		t.Fatal(id, err)
	}
}

func TestATopicMadeAnewHasAnotherID(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	c := newClient(t, cluster)
	before, err := c.Topic(t.Context(), "calls")
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.DeleteTopic("calls"); err != nil {
		t.Fatal(err)
	}
	if err := cluster.CreateTopic("calls", 1, nil); err != nil {
		t.Fatal(err)
	}
	if after, err := c.Topic(t.Context(), "calls"); err != nil || after.ID == before.ID {
		t.Fatal(before, after, err)
	}
}

// TestOldBroker speaks Fetch v4 and Metadata without topic ids, as Apache Kafka 0.11 did.
func TestOldBroker(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "calls"),
		kfake.MaxVersions(kversion.V0_11_0()))
	put(t, newProducer(t, cluster), "calls", 1, "a")
	c := newClient(t, cluster)
	if got := story(readAll(t, c, "calls", 1, 0)); !slices.Equal(got, []string{"0:data:a"}) {
		t.Fatal(got)
	}
	got, err := c.Topic(t.Context(), "calls")
	if err != nil || got.ID != "" || !slices.Equal(got.Partitions, []int{0, 1}) {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestProducerKeepsTimesOrderAndPlaces(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(4, "calls"))
	p, err := NewProducer(ProducerOptions{Brokers: cluster.ListenAddrs(), Compression: kafka.Lz4})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out []Outgoing
	for i := range 40 {
		out = append(out, Outgoing{Topic: "calls", Fixed: true, Partition: 3,
			Key: []byte("acme"), Value: []byte(fmtOffset(int64(i))),
			Time: at.Add(time.Duration(i) * time.Second), Headers: []Header{{"k", []byte("v")}}})
	}
	if err := p.Produce(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	got := readAll(t, newClient(t, cluster), "calls", 3, 0)
	for i, r := range got {
		if string(r.Value) != fmtOffset(int64(i)) || r.Headers[0].Key != "k" ||
			!r.AppendTime.Equal(at.Add(time.Duration(i)*time.Second)) {
			t.Fatalf("offset %d: %+v", i, r)
		}
	}
	if len(got) != 40 {
		t.Fatalf("%d records", len(got))
	}
}

func TestProducerErrorsAreByRecord(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	p, err := NewProducer(ProducerOptions{Brokers: cluster.ListenAddrs(), BatchBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var faults RecordErrors
	err = p.Produce(t.Context(), Outgoing{Topic: "calls", Value: []byte("small")},
		Outgoing{Topic: "calls", Value: make([]byte, 2000)})
	if !errors.As(err, &faults) || faults[0] != ErrNotSent || faults[1] == nil ||
		!strings.Contains(err.Error(), "larger than BatchBytes") {
		t.Fatal(err)
	}
	var unknown *UnknownTopic
	if err = p.Produce(t.Context(), Outgoing{Topic: "new"}); !errors.As(err, &unknown) {
		t.Fatal(err)
	}
	if err := cluster.CreateTopic("new", 1, nil); err != nil { // the producer's cache is stale
		t.Fatal(err)
	}
	if err := p.Produce(t.Context(), Outgoing{Topic: "new"}); err != nil {
		t.Fatal(err)
	}
}

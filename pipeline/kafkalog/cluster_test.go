package kafkalog

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// newCluster starts brokers on loopback that end with the test.
func newCluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// newClient reads from a test cluster, with short waits.
func newClient(t testing.TB, cluster *kfake.Cluster, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{Brokers: cluster.ListenAddrs(), MaxWait: 100 * time.Millisecond,
		RetryFor: 5 * time.Second}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// newProducer is franz-go's, so that the log's bytes do not come from the library under test.
func newProducer(t testing.TB, cluster *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)
	p, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// put appends values one batch each, in order.
func put(t testing.TB, p *kgo.Client, topic string, partition int32, values ...string) {
	t.Helper()
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)}
		if err := p.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// readAll fetches from offset until the last stable offset and checks the package's first
// invariant on every fetch.
func readAll(t testing.TB, c *Client, topic string, partition int, offset int64) []Record {
	t.Helper()
	var out []Record
	for deadline := time.Now().Add(20 * time.Second); ; {
		got, err := c.Fetch(t.Context(), topic, partition, offset)
		if err != nil {
			t.Fatal(err)
		}
		checkAccounted(t, &got, offset)
		out = append(out, got.Records...)
		offset = got.Next
		if offset >= got.LastStable {
			return out
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s/%d: stuck at %d of %d", topic, partition, offset, got.LastStable)
		}
	}
}

// checkAccounted fails unless every offset of the fetch is a record or a hole, once.
func checkAccounted(t testing.TB, f *Fetched, requested int64) {
	t.Helper()
	if f.Next-requested != f.count() {
		t.Fatalf("%s/%d: from %d to %d, but %d offsets accounted for", f.Topic, f.Partition,
			requested, f.Next, f.count())
	}
	last := requested - 1
	for _, r := range f.Records {
		if r.Offset <= last || r.Offset >= f.Next {
			t.Fatalf("%s/%d: offset %d after %d, next %d", f.Topic, f.Partition, r.Offset, last,
				f.Next)
		}
		last = r.Offset
	}
}

// story writes records as "offset:outcome:value", which is how expectations below are written.
func story(records []Record) []string {
	var out []string
	for _, r := range records {
		line := fmtOffset(r.Offset) + ":" + r.Outcome.String()
		if r.Outcome != Control {
			line += ":" + string(r.Value)
		}
		out = append(out, line)
	}
	return out
}

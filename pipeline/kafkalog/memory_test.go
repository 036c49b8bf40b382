package kafkalog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestReleasedMemoryIsNotShared reads two partitions of one answer again and again, releases one,
// twice and through a copy, and looks whether the other keeps its values.
func TestReleasedMemoryIsNotShared(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "calls"))
	for partition, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.Lz4Compression()} {
		p := newProducer(t, cluster, kgo.ProducerBatchCompression(codec))
		var batch []*kgo.Record
		for i := range 1000 {
			batch = append(batch, &kgo.Record{Topic: "calls", Partition: int32(partition),
				Value: fmt.Appendf(nil, "%d/%d %s", partition, i, strings.Repeat("x", 100))})
		}
		if err := p.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c := newClient(t, cluster)
	for round := range 50 {
		got, err := c.FetchMany(t.Context(), []Position{{"calls", 0, 0}, {"calls", 1, 0}})
		if err != nil {
			t.Fatal(err)
		}
		released, kept := &got[round%2], &got[1-round%2]
		again := *released
		released.Release()
		again.Release()
		released.Release()
		other, err := c.Fetch(t.Context(), "calls", round%2, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []*Fetched{kept, &other} {
			if len(f.Records) != 1000 {
				t.Fatalf("%d records", len(f.Records))
			}
			for _, r := range f.Records {
				if want := fmt.Sprintf("%d/%d ", f.Partition, r.Offset); !strings.HasPrefix(
					string(r.Value), want) {
					t.Fatalf("round %d: offset %d has %.20q", round, r.Offset, r.Value)
				}
			}
			f.Release()
		}
	}
}

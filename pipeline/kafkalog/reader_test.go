package kafkalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func fmtOffset(n int64) string { return strconv.FormatInt(n, 10) }

// TestFetchOfFullAnswers: a broker may leave out the partitions for which an answer has no room.
// They come with nothing, and no error, until their turn.
func TestFetchOfFullAnswers(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(4, "calls"))
	p := newProducer(t, cluster, kgo.ProducerBatchCompression(kgo.NoCompression()))
	const perPartition = 20
	for i := range 4 * perPartition {
		err := p.ProduceSync(t.Context(), &kgo.Record{Topic: "calls", Partition: int32(i % 4),
			Value: bytes.Repeat([]byte{byte(i)}, 10_000)}).FirstErr()
		if err != nil {
			t.Fatal(err)
		}
	}
	c := newClient(t, cluster, func(o *Options) { o.MaxBytes = 50_000 })
	left := 0
	readFour(t, c, 4*perPartition, func(_ int, f *Fetched) {
		if f.HighWatermark < 0 {
			left++
		}
	})
	if left == 0 {
		t.Error("the broker never left a partition out: the test shows nothing")
	}
}

func TestFetchOrderOfSeveralPartitions(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(4, "calls"))
	p := newProducer(t, cluster)
	var records []*kgo.Record
	const perPartition = 500
	for i := range 4 * perPartition {
		records = append(records, &kgo.Record{Topic: "calls", Partition: int32(i % 4),
			Key: []byte{byte(i)}, Value: fmt.Appendf(nil, "%d", i/4),
			Headers: []kgo.RecordHeader{{Key: "n", Value: []byte{byte(i % 4)}}}})
	}
	if err := p.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, cluster)
	readFour(t, c, 4*perPartition, func(i int, f *Fetched) {
		if f.Partition != i || f.HighWatermark != perPartition || f.LogStart != 0 {
			t.Fatalf("partition %d, want %d; %+v", f.Partition, i, f)
		}
		for _, r := range f.Records {
			if string(r.Value) != fmt.Sprint(r.Offset) || r.Headers[0].Key != "n" ||
				r.Headers[0].Value[0] != byte(i) || len(r.Key) != 1 {
				t.Fatalf("partition %d offset %d: %+v", i, r.Offset, r)
			}
		}
	})
}

// readFour reads the four partitions of a topic side by side until there were so many records.
func readFour(t *testing.T, c *Client, records int, each func(i int, f *Fetched)) {
	t.Helper()
	next := make([]int64, 4)
	for read := 0; read < records; {
		var positions []Position
		for i, offset := range next {
			positions = append(positions, Position{"calls", i, offset})
		}
		got, err := c.FetchMany(t.Context(), positions)
		if err != nil || len(got) != 4 {
			t.Fatal(len(got), err)
		}
		for i := range got {
			checkAccounted(t, &got[i], next[i])
			each(i, &got[i])
			read += len(got[i].Records)
			next[i] = got[i].Next
		}
	}
}

func TestFetchBeginsInsideABatch(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	p := newProducer(t, cluster)
	var batch []*kgo.Record
	for i := range 10 {
		batch = append(batch, &kgo.Record{Topic: "calls", Value: []byte{byte('0' + i)}})
	}
	if err := p.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := story(readAll(t, newClient(t, cluster), "calls", 0, 7))
	if want := []string{"7:data:7", "8:data:8", "9:data:9"}; !slices.Equal(got, want) {
		t.Fatal(got)
	}
}

func TestFetchEveryCompression(t *testing.T) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(),
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	cluster := newCluster(t, kfake.NumBrokers(1))
	c := newClient(t, cluster)
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			if err := cluster.CreateTopic(name, 1, nil); err != nil {
				t.Fatal(err)
			}
			p := newProducer(t, cluster, kgo.ProducerBatchCompression(codec))
			value := strings.Repeat("tokens ", 60)
			var batch []*kgo.Record
			for range 300 {
				batch = append(batch, &kgo.Record{Topic: name, Value: []byte(value)})
			}
			if err := p.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			got := readAll(t, c, name, 0, 0)
			if len(got) != 300 {
				t.Fatalf("%d records", len(got))
			}
			for _, r := range got {
				if string(r.Value) != value || r.AppendTime.IsZero() {
					t.Fatalf("offset %d: %q at %v", r.Offset, r.Value, r.AppendTime)
				}
			}
		})
	}
}

func TestFetchAtTheEndWaitsAndGivesNothing(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	c := newClient(t, cluster)
	put(t, newProducer(t, cluster), "calls", 0, "a")
	got, err := c.Fetch(t.Context(), "calls", 0, 1)
	if err != nil || len(got.Records) != 0 || got.Next != 1 || got.HighWatermark != 1 {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestOutOfRangeIsATypedError(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	p := newProducer(t, cluster)
	put(t, p, "calls", 0, "a", "b", "c", "d")
	if err := cluster.DeleteRecords("calls", 0, 2); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, cluster)
	for _, offset := range []int64{0, 1, 5, 900} {
		_, err := c.Fetch(t.Context(), "calls", 0, offset)
		var gone *OffsetOutOfRange
		if !errors.As(err, &gone) || gone.Requested != offset || gone.LogStart != 2 ||
			gone.HighWatermark != 4 {
			t.Fatalf("offset %d: %v", offset, err)
		}
	}
	if got := story(readAll(t, c, "calls", 0, 2)); !slices.Equal(got,
		[]string{"2:data:c", "3:data:d"}) {
		t.Fatal(got)
	}
}

func TestOneBadPositionDoesNotHideTheOthers(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(2, "calls"))
	put(t, newProducer(t, cluster), "calls", 1, "a")
	got, err := newClient(t, cluster).FetchMany(t.Context(), []Position{
		{"calls", 0, 77}, {"calls", 1, 0}, {"nowhere", 0, 0}, {"calls", 9, 0}})
	var gone *OffsetOutOfRange
	var unknown *UnknownTopic
	if !errors.As(err, &gone) || !errors.As(err, &unknown) {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Partition != 1 || len(got[0].Records) != 1 {
		t.Fatalf("%+v", got)
	}
}

func TestOffsetsAndTimes(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	p := newProducer(t, cluster)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := range 5 {
		r := &kgo.Record{Topic: "calls", Timestamp: at.Add(time.Duration(i) * time.Minute)}
		if err := p.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c := newClient(t, cluster)
	for _, x := range []struct {
		after time.Duration
		want  int64
		found bool
	}{{-time.Hour, 0, true}, {0, 0, true}, {time.Nanosecond, 1, true}, {time.Minute, 1, true},
		{4 * time.Minute, 4, true}, {4*time.Minute + time.Microsecond, 0, false}} {
		offset, found, err := c.OffsetAt(t.Context(), "calls", 0, at.Add(x.after))
		if offset != x.want || found != x.found || err != nil {
			t.Errorf("%v after: %d %v %v, want %d %v", x.after, offset, found, err, x.want, x.found)
		}
	}
	start, high, stable, err := c.Offsets(t.Context(), "calls", 0)
	if start != 0 || high != 5 || stable != 5 || err != nil {
		t.Fatal(start, high, stable, err)
	}
	var unknown *UnknownTopic
	if _, _, _, err := c.Offsets(t.Context(), "nowhere", 0); !errors.As(err, &unknown) {
		t.Fatal(err)
	}
	if got := readAll(t, c, "calls", 0, 0); !got[3].AppendTime.Equal(at.Add(3*time.Minute)) ||
		got[3].TimestampType != CreateTime {
		t.Fatalf("%+v", got[3])
	}
}

func TestCompactedOffsetsAreBooked(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1))
	if err := cluster.CreateTopic("latest", 1, map[string]string{
		"cleanup.policy": "compact", "min.compaction.lag.ms": "0"}); err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, cluster)
	for i := range 12 {
		// Offset 0 has a key of its own and stays; kfake moves the log's start up to what stays.
		r := &kgo.Record{Topic: "latest", Key: []byte{byte(min(i, 1+i%3))}, Value: []byte{byte(i)}}
		if err := p.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cluster.Compact()
	got, err := newClient(t, cluster).Fetch(t.Context(), "latest", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	checkAccounted(t, &got, 0)
	if len(got.Records) >= 12 || len(got.Compacted) == 0 || got.Next != 12 {
		t.Fatalf("compaction left %d records, holes %v, next %d", len(got.Records), got.Compacted,
			got.Next)
	}
}

func TestNoBrokerIsOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, err := New(Options{Brokers: []string{addr}, RetryFor: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	calls := map[string]func() error{
		"fetch":   func() error { _, err := c.Fetch(t.Context(), "calls", 0, 0); return err },
		"offsets": func() error { _, _, _, err := c.Offsets(t.Context(), "calls", 0); return err },
		"topic":   func() error { _, err := c.Topic(t.Context(), "calls"); return err },
		"cluster": func() error { _, err := c.ClusterID(t.Context()); return err },
	}
	for name, call := range calls {
		err := call()
		var gone *Unavailable
		if !errors.As(err, &gone) || strings.Contains(err.Error(), "\n") ||
			!strings.Contains(err.Error(), "no broker reachable at "+addr) ||
			!strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	c := newClient(t, cluster, func(o *Options) { o.MaxWait = 20 * time.Second })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := c.Fetch(ctx, "calls", 0, 0)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 5*time.Second {
		t.Fatal(err, time.Since(begin))
	}
}

func TestOptionsReportEveryFault(t *testing.T) {
	_, err := New(Options{Brokers: []string{"kafka"}, MaxBytes: -1, MaxWait: -1})
	for _, word := range []string{"host:port", "byte limit", "MaxWait"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
}

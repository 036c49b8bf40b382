package kafkalog

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLeaderMoves(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(1, "calls"))
	p := newProducer(t, cluster)
	c := newClient(t, cluster)
	var offset int64
	for round := range 6 {
		put(t, p, "calls", 0, fmt.Sprint(round))
		if err := cluster.MoveTopicPartition("calls", 0, int32(round%3)); err != nil {
			t.Fatal(err)
		}
		got := story(readAll(t, c, "calls", 0, offset))
		if want := []string{fmt.Sprintf("%d:data:%d", round, round)}; !slices.Equal(got, want) {
			t.Fatalf("round %d: %v", round, got)
		}
		offset++
		if _, high, _, err := c.Offsets(t.Context(), "calls", 0); high != offset || err != nil {
			t.Fatal(high, err)
		}
	}
}

func TestBrokerRestartsInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	first := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"), kfake.DataDir(dir))
	port := portOf(t, first)
	put(t, newProducer(t, first), "calls", 0, "a", "b")
	c := newClient(t, first, func(o *Options) { o.RetryFor = 20 * time.Second })
	if got := story(readAll(t, c, "calls", 0, 0)); len(got) != 2 {
		t.Fatal(got)
	}
	first.Close()
	type answer struct {
		fetched Fetched
		err     error
	}
	answers := make(chan answer, 1)
	go func() { // asked while the broker is down
		got, err := c.Fetch(t.Context(), "calls", 0, 1)
		answers <- answer{got, err}
	}()
	time.Sleep(300 * time.Millisecond)
	second := newCluster(t, kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
	got := <-answers
	if got.err != nil || !slices.Equal(story(got.fetched.Records), []string{"1:data:b"}) {
		t.Fatalf("%v %v", story(got.fetched.Records), got.err)
	}
	put(t, newProducer(t, second), "calls", 0, "c")
	if got := story(readAll(t, c, "calls", 0, 2)); !slices.Equal(got, []string{"2:data:c"}) {
		t.Fatal(got)
	}
}

func TestBrokerStaysAway(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	c := newClient(t, cluster, func(o *Options) { o.RetryFor = 500 * time.Millisecond })
	readAll(t, c, "calls", 0, 0)
	cluster.Close()
	_, err := c.Fetch(t.Context(), "calls", 0, 0)
	var gone *Unavailable
	if !errors.As(err, &gone) {
		t.Fatal(err)
	}
}

// TestPassingRefusals gives each retriable code twice: the third answer must come through.
func TestPassingRefusals(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownLeaderEpoch,
		kerr.FencedLeaderEpoch, kerr.LeaderNotAvailable, kerr.KafkaStorageError,
		kerr.OffsetNotAvailable, kerr.UnknownTopicOrPartition} {
		t.Run(refusal.Message, func(t *testing.T) {
			cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
			put(t, newProducer(t, cluster), "calls", 0, "a")
			left := 2
			refuse(cluster, func() *kerr.Error {
				if left--; left < 0 {
					return nil
				}
				return refusal
			})
			if got := readAll(t, newClient(t, cluster), "calls", 0, 0); len(got) != 1 || left >= 0 {
				t.Fatal(got, left)
			}
		})
	}
}

func TestLastingRefusals(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	c := newClient(t, cluster, func(o *Options) { o.RetryFor = 400 * time.Millisecond })
	refusal := kerr.TopicAuthorizationFailed
	refuse(cluster, func() *kerr.Error { return refusal })
	var refused *PartitionError
	if _, err := c.Fetch(t.Context(), "calls", 0, 0); !errors.As(err, &refused) {
		t.Fatal(err)
	}
	refusal = kerr.NotLeaderForPartition
	var gone *Unavailable
	if _, err := c.Fetch(t.Context(), "calls", 0, 0); !errors.As(err, &gone) {
		t.Fatal(err)
	}
}

// refuse answers fetches of calls/0 with a code for as long as there is one.
func refuse(cluster *kfake.Cluster, next func() *kerr.Error) {
	cluster.ControlKey(int16(kmsg.Fetch), func(k kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		code := next()
		if code == nil {
			return nil, nil, false
		}
		answer := k.ResponseKind().(*kmsg.FetchResponse)
		answer.Topics = []kmsg.FetchResponseTopic{{Topic: "calls",
			Partitions: []kmsg.FetchResponseTopicPartition{{ErrorCode: code.Code,
				HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1}}}}
		return answer, nil, true
	})
}

func portOf(t *testing.T, cluster *kfake.Cluster) int {
	t.Helper()
	_, text, err := net.SplitHostPort(cluster.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

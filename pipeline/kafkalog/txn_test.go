package kafkalog

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// script runs a transactional producer step by step. Steps of one letter are records, "commit"
// and "abort" end the transaction.
type script struct {
	t *testing.T
	p *kgo.Client
}

func newScript(t *testing.T, cluster *kfake.Cluster, id string) *script {
	t.Helper()
	return &script{t, newProducer(t, cluster, kgo.TransactionalID(id))}
}

func (s *script) do(steps ...string) {
	s.t.Helper()
	ctx := context.Background()
	for _, step := range steps {
		var err error
		switch step {
		case "begin":
			err = s.p.BeginTransaction()
		case "commit":
			err = s.p.EndTransaction(ctx, kgo.TryCommit)
		case "abort":
			err = s.p.EndTransaction(ctx, kgo.TryAbort)
		default:
			r := &kgo.Record{Topic: "calls", Value: []byte(step)}
			err = s.p.ProduceSync(ctx, r).FirstErr()
		}
		if err != nil {
			s.t.Fatalf("%s: %v", step, err)
		}
	}
}

func TestTransactionsInterleaved(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	good, bad := newScript(t, cluster, "good"), newScript(t, cluster, "bad")
	plain := newProducer(t, cluster)

	good.do("begin", "a")
	bad.do("begin", "x")
	good.do("b")
	put(t, plain, "calls", 0, "p")
	bad.do("y")
	good.do("commit")
	bad.do("z", "abort")
	bad.do("begin", "c", "commit")
	good.do("begin", "w", "abort")
	put(t, plain, "calls", 0, "q")

	want := []string{"0:data:a", "1:aborted:x", "2:data:b", "3:data:p", "4:aborted:y",
		"5:control", "6:aborted:z", "7:control", "8:data:c", "9:control", "10:aborted:w",
		"11:control", "12:data:q"}
	c := newClient(t, cluster)
	// The outcome must not depend on where a reader begins, inside a transaction included.
	for from := range want {
		if got := story(readAll(t, c, "calls", 0, int64(from))); !slices.Equal(got, want[from:]) {
			t.Errorf("from %d: %v", from, got)
		}
	}
	// Nor on how the log is cut: MaxPartitionBytes of 1 gives a batch at a time.
	single := newClient(t, cluster, func(o *Options) { o.MaxPartitionBytes = 1 })
	if got := story(readAll(t, single, "calls", 0, 0)); !slices.Equal(got, want) {
		t.Errorf("a batch at a time: %v", got)
	}
}

func TestHangingTransactionHoldsTheStableOffset(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	plain := newProducer(t, cluster)
	put(t, plain, "calls", 0, "p")
	hanging := newScript(t, cluster, "hanging")
	hanging.do("begin", "h")
	put(t, plain, "calls", 0, "q")

	c := newClient(t, cluster)
	got, err := c.Fetch(t.Context(), "calls", 0, 0)
	if err != nil || !slices.Equal(story(got.Records), []string{"0:data:p"}) || got.Next != 1 ||
		got.LastStable != 1 || got.HighWatermark != 3 {
		t.Fatalf("%+v %v", got, err)
	}
	if got, err = c.Fetch(t.Context(), "calls", 0, 1); err != nil || len(got.Records) != 0 ||
		got.Next != 1 {
		t.Fatalf("%+v %v", got, err)
	}
	if _, high, stable, err := c.Offsets(t.Context(), "calls", 0); high != 3 || stable != 1 ||
		err != nil {
		t.Fatal(high, stable, err)
	}
	// A barrier is sought in the log, decided or not.
	if at, found, err := c.OffsetAt(t.Context(), "calls", 0, time.UnixMilli(0)); at != 0 ||
		!found || err != nil {
		t.Fatal(at, found, err)
	}
	hanging.do("abort")
	want := []string{"1:aborted:h", "2:data:q", "3:control"}
	if got := story(readAll(t, c, "calls", 0, 1)); !slices.Equal(got, want) {
		t.Fatal(got)
	}
}

package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// newGroup makes a member that notices rebalances fast.
func newGroup(t *testing.T, cluster *kfake.Cluster) *Group {
	t.Helper()
	g, err := NewGroup(GroupOptions{Brokers: cluster.ListenAddrs(), GroupID: "billing",
		Topics: []string{"calls"}, SessionTimeout: 6 * time.Second,
		HeartbeatInterval: 50 * time.Millisecond, JoinBackoff: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ledger is what both members' work comes to: how often each record was counted before a commit
// that was taken, and who works on which partition now.
type ledger struct {
	mu      sync.Mutex
	counted map[string]int
	owner   map[int]string
	faults  []string
}

// work reads the assigned partitions, commits after each fetch, and books what was committed.
func (l *ledger) work(t *testing.T, name string, c *Client) func(context.Context,
	*Generation) error {
	return func(ctx context.Context, g *Generation) error {
		l.claim(name, g.Assignments)
		defer l.release(name)
		var positions []Position
		for _, a := range g.Assignments {
			positions = append(positions, Position{a.Topic, a.Partition, max(a.Offset, 0)})
		}
		for ctx.Err() == nil {
			if len(positions) == 0 {
				<-ctx.Done()
				continue
			}
			got, err := c.FetchMany(ctx, positions)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			next := map[TopicPartition]int64{}
			for i, f := range got {
				positions[i].Offset = f.Next
				next[TopicPartition{f.Topic, f.Partition}] = f.Next
			}
			switch err := g.Commit(next); {
			case errors.Is(err, ErrFenced):
				return nil
			case err != nil:
				return err
			}
			l.book(got)
		}
		return nil
	}
}

func (l *ledger) claim(name string, assigned []Assignment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range assigned {
		if other, ok := l.owner[a.Partition]; ok {
			l.faults = append(l.faults, fmt.Sprintf("%s got %d from %s", name, a.Partition, other))
		}
		l.owner[a.Partition] = name
	}
}

func (l *ledger) release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, owner := range l.owner {
		if owner == name {
			delete(l.owner, p)
		}
	}
}

func (l *ledger) book(got []Fetched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range got {
		for _, r := range f.Records {
			l.counted[string(r.Value)]++
		}
	}
}

// owners counts the partitions that each member works on.
func (l *ledger) owners() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]int{}
	for _, name := range l.owner {
		out[name]++
	}
	return out
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.counted)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to pass that %s", what)
		}
	}
}

func TestTwoMembersShareAndLoseNothing(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(4, "calls"))
	c := newClient(t, cluster, func(o *Options) { o.MaxWait = 30 * time.Millisecond })
	p := newProducer(t, cluster)
	sent := 0
	send := func(n int) {
		for range n {
			put(t, p, "calls", int32(sent%4), fmt.Sprint(sent))
			sent++
		}
	}
	l := &ledger{counted: map[string]int{}, owner: map[int]string{}}
	var running sync.WaitGroup
	join := func(name string) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		running.Go(func() {
			if err := newGroup(t, cluster).Run(ctx, l.work(t, name, c)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		return cancel
	}
	leaveA := join("a")
	eventually(t, "a has all", func() bool { return l.owners()["a"] == 4 })
	send(40)
	leaveB := join("b")
	eventually(t, "they share", func() bool { o := l.owners(); return o["a"] == 2 && o["b"] == 2 })
	send(40)
	leaveA()
	eventually(t, "b has all", func() bool { return l.owners()["b"] == 4 })
	send(40)
	eventually(t, "all is counted", func() bool { return l.total() == sent })
	leaveB()
	running.Wait()
	for value, n := range l.counted {
		if n != 1 {
			t.Errorf("record %s was committed %d times", value, n)
		}
	}
	for _, fault := range l.faults {
		t.Error(fault)
	}
	committed, err := c.Committed(t.Context(), "billing", "calls")
	if err != nil || len(committed) != 4 {
		t.Fatal(committed, err)
	}
	for partition, offset := range committed {
		if offset != int64(sent/4) {
			t.Errorf("partition %d is committed up to %d, want %d", partition, offset, sent/4)
		}
	}
}

// TestLateCommitIsFenced keeps a generation past its end: the new owner's offset must stand.
func TestLateCommitIsFenced(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	generations := make(chan *Generation, 2)
	done := make(chan error, 1)
	go func() {
		done <- newGroup(t, cluster).Run(ctx, func(ctx context.Context, g *Generation) error {
			if err := g.Commit(map[TopicPartition]int64{{"calls", 0}: 5}); err != nil {
				return err
			}
			generations <- g
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	old := <-generations
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := old.Commit(map[TopicPartition]int64{{"calls", 0}: 1}); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	// The same from the broker's side: the connection lives, the generation does not.
	old.ended = false
	if err := old.Commit(map[TopicPartition]int64{{"calls", 0}: 1}); err == nil {
		t.Fatal("a commit of a generation that is over was taken")
	}
	got, err := newClient(t, cluster).Committed(t.Context(), "billing", "calls")
	if err != nil || got[0] != 5 {
		t.Fatal(got, err)
	}
}

// TestBrokerFencesAZombie commits with a live connection and a generation that the brokers have
// replaced, as a member does that slept through its session.
func TestBrokerFencesAZombie(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "calls"))
	first, second := make(chan *Generation, 9), make(chan *Generation, 9)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	zombie := make(chan error, 1)
	awake := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		g := newGroup(t, cluster)
		g.opts.RebalanceTimeout = 500 * time.Millisecond // the others wait no longer than this
		_ = g.Run(ctx, func(_ context.Context, gen *Generation) error {
			select {
			case <-awake: // a second life: nothing to prove
				<-ctx.Done()
				return nil
			default:
			}
			first <- gen
			<-awake
			zombie <- gen.Commit(map[TopicPartition]int64{{"calls", 0}: 1, {"calls", 1}: 1})
			return nil
		})
	})
	<-first
	running.Go(func() {
		g := newGroup(t, cluster)
		g.opts.RebalanceTimeout = 500 * time.Millisecond
		_ = g.Run(ctx, func(ctx context.Context, gen *Generation) error {
			second <- gen
			<-ctx.Done()
			return nil
		})
	})
	for g := range second { // the heir owns everything once the zombie is out
		if len(g.Assignments) == 2 {
			break
		}
	}
	close(awake)
	if err := <-zombie; !errors.Is(err, ErrFenced) {
		t.Error(err)
	}
	cancel()
	running.Wait()
}

func TestGroupEndsWithItsWork(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"))
	broken := errors.New("the books do not balance")
	err := newGroup(t, cluster).Run(t.Context(), func(_ context.Context, g *Generation) error {
		if a := g.Assignments; len(a) != 1 || a[0].Committed || a[0].Offset != -2 {
			t.Errorf("%+v", a)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

func TestGroupWithoutBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	heard := 0 // Run returns when it is over, and somebody waits for it all that time
	g, err := NewGroup(GroupOptions{Brokers: []string{l.Addr().String()}, GroupID: "billing",
		Topics: []string{"calls"}, JoinBackoff: 20 * time.Millisecond,
		RetryFor: 200 * time.Millisecond, JoinFailed: func(err error) {
			if !strings.Contains(err.Error(), "no broker reachable at "+l.Addr().String()) {
				t.Error(err)
			}
			heard++
		}})
	if err != nil {
		t.Fatal(err)
	}
	err = g.Run(t.Context(), func(context.Context, *Generation) error { return nil })
	var gone *Unavailable
	if !errors.As(err, &gone) || strings.Contains(err.Error(), "\n") || heard < 2 {
		t.Fatal(err, heard)
	}
	if _, err = NewGroup(GroupOptions{SessionTimeout: time.Second,
		HeartbeatInterval: time.Second}); err == nil || !strings.Contains(err.Error(), "GroupID") {
		t.Fatal(err)
	}
}

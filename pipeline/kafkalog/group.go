package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// ErrFenced says that a commit came from a generation that is over: another member may own the
// partitions already. Nothing was committed; the work is done again by whoever owns them.
var ErrFenced = errors.New("the generation is over, its commit was refused")

// GroupOptions say which group to join. Zero values take the defaults named here.
type GroupOptions struct {
	// Brokers are bootstrap addresses, host:port. Required, as are GroupID and Topics.
	Brokers []string
	GroupID string
	Topics  []string
	// Dialer gives TLS, SASL and timeouts.
	Dialer *kafka.Dialer
	// SessionTimeout is how long brokers wait for a sign of life; default 30 s. It is also the
	// longest a callback may take to return after its context ends: see Run.
	SessionTimeout time.Duration
	// RebalanceTimeout is how long brokers wait for members to join again; default twice
	// SessionTimeout. Nothing is read meanwhile, and who needs longer has lost its place anyway.
	RebalanceTimeout time.Duration
	// HeartbeatInterval default 3 s; at most a third of SessionTimeout.
	HeartbeatInterval time.Duration
	// JoinBackoff is the wait after a failed join; default 1 s.
	JoinBackoff time.Duration
	// RetryFor bounds how long joining may fail without pause; default 60 s.
	RetryFor time.Duration
	// JoinFailed, if not nil, hears of every failure to join, also of those after which it is tried
	// again; Run says nothing until RetryFor is over.
	JoinFailed func(error)
	// Log takes kafka-go's own words about joining and heartbeats; nil for none.
	Log func(format string, args ...any)
}

func (o GroupOptions) withDefaults() GroupOptions {
	setDefault(&o.SessionTimeout, 30*time.Second)
	setDefault(&o.RebalanceTimeout, 2*o.SessionTimeout)
	setDefault(&o.HeartbeatInterval, min(3*time.Second, o.SessionTimeout/3))
	setDefault(&o.JoinBackoff, time.Second)
	setDefault(&o.RetryFor, 60*time.Second)
	return o
}

// Assignment is a partition that this member owns for one generation.
type Assignment struct {
	Topic     string
	Partition int
	// Offset is the group's committed offset. Without one (Committed is false) it is -2: start at
	// the log's first offset, which Client.Offsets tells.
	Offset    int64
	Committed bool
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int
}

// Generation is one membership: the time between two rebalances.
type Generation struct {
	ID          int32
	MemberID    string
	Assignments []Assignment

	commit func(map[string]map[int]int64) error // by topic and partition

	mu    sync.Mutex
	ended bool
}

// NewGeneration makes a generation whose commits go where commit says: to kafka-go's group, or to
// one that a simulation plays.
func NewGeneration(id int32, member string, assigned []Assignment,
	commit func(map[string]map[int]int64) error) *Generation {
	return &Generation{ID: id, MemberID: member, Assignments: assigned, commit: commit}
}

// Commit records offsets, each the next one to read. Brokers take it only while this generation
// lives; after that it is ErrFenced. It may be called from several goroutines.
func (g *Generation) Commit(offsets map[TopicPartition]int64) error {
	byTopic := map[string]map[int]int64{}
	for p, offset := range offsets {
		if byTopic[p.Topic] == nil {
			byTopic[p.Topic] = map[int]int64{}
		}
		byTopic[p.Topic][p.Partition] = offset
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return ErrFenced
	}
	err := g.commit(byTopic)
	var code kafka.Error
	if errors.As(err, &code) {
		switch code {
		case kafka.IllegalGeneration, kafka.UnknownMemberId, kafka.RebalanceInProgress,
			kafka.FencedInstanceID:
			return fmt.Errorf("%w: %v", ErrFenced, code.Title())
		}
	}
	if err != nil {
		return fmt.Errorf("commit offsets as member %q: %w", g.MemberID, err)
	}
	return nil
}

// end waits for a commit under way, then refuses all later ones.
func (g *Generation) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}

// Group is one member of a consumer group. It assigns and commits; it reads nothing.
type Group struct{ opts GroupOptions }

// NewGroup checks the options; it connects to nothing.
func NewGroup(o GroupOptions) (*Group, error) {
	o = o.withDefaults()
	var faults []error
	if err := (Options{Brokers: o.Brokers}).Validate(); err != nil {
		faults = append(faults, err)
	}
	if o.GroupID == "" || len(o.Topics) == 0 {
		faults = append(faults, errors.New("GroupID and at least one topic are needed"))
	}
	if 3*o.HeartbeatInterval > o.SessionTimeout {
		faults = append(faults, fmt.Errorf("HeartbeatInterval %v: at most a third of "+
			"SessionTimeout %v", o.HeartbeatInterval, o.SessionTimeout))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("consumer group options: %w", err)
	}
	return &Group{o}, nil
}

// Run stays a member until ctx ends, calling fn once per generation. fn works until its context
// ends and then returns; a commit right before it returns is still good in most rebalances. The
// next generation is joined only after fn has returned, so two calls of fn never overlap.
//
// fn must return within SessionTimeout of its context's end: kafka-go stops the heartbeats then,
// and a member that stays silent for longer is thrown out, its partitions given away under it.
//
// Run returns nil when ctx ended or fn returned nil by itself, fn's error, or the reason why the
// group cannot be joined. In each case the member has left the group.
func (g *Group) Run(ctx context.Context, fn func(context.Context, *Generation) error) error {
	members, err := kafka.NewConsumerGroup(g.config())
	if err != nil {
		return fmt.Errorf("join group %q: %w", g.opts.GroupID, err)
	}
	defer members.Close()
	since := time.Now() // of the last success in joining
	for {
		gen, err := members.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if err := g.joinFailed(err, since); err != nil {
				return err
			}
			continue
		}
		over, err := g.live(ctx, gen, fn)
		if over || err != nil {
			return err
		}
		since = time.Now()
	}
}

// joinFailed tells whether a failure to join ends the membership.
func (g *Group) joinFailed(err error, since time.Time) error {
	what := fmt.Sprintf("join group %q", g.opts.GroupID)
	var code kafka.Error
	if errors.As(err, &code) {
		switch code {
		case kafka.RebalanceInProgress, kafka.IllegalGeneration, kafka.UnknownMemberId,
			kafka.MemberIDRequired:
			return nil // ordinary while members come and go
		}
	}
	retry := retriable(err) && time.Since(since) <= g.opts.RetryFor
	err = typed(what, "", g.opts.Brokers, err)
	if g.opts.JoinFailed != nil {
		g.opts.JoinFailed(err)
	}
	if retry {
		return nil
	}
	return err
}

// live runs fn for one generation. over says that Run must end.
func (g *Group) live(ctx context.Context, gen *kafka.Generation,
	fn func(context.Context, *Generation) error) (over bool, err error) {
	own := NewGeneration(gen.ID, gen.MemberID, assignmentsOf(gen, g.opts.Topics),
		gen.CommitOffsets)
	type verdict struct {
		over bool
		err  error
	}
	done := make(chan verdict, 1)
	gen.Start(func(genCtx context.Context) {
		// kafka-go does not wait for what is started on a generation that has ended already, so
		// fn is not called then: it would overlap with the next call.
		if genCtx.Err() != nil {
			done <- verdict{}
			return
		}
		over, err := own.Live(ctx, genCtx, fn)
		done <- verdict{over, err}
	})
	v := <-done
	return v.over, v.err
}

// Live runs fn until it returns, with a context that ends with the member's or with the
// generation's. Commits are refused afterwards. over says that the membership must end: fn
// returned by itself, or the member's context ended. The end of a generation is no failure.
func (g *Generation) Live(member, generation context.Context,
	fn func(context.Context, *Generation) error) (over bool, err error) {
	work, cancel := context.WithCancelCause(member)
	stop := context.AfterFunc(generation, func() { cancel(kafka.ErrGenerationEnded) })
	err = fn(work, g)
	g.end()
	ended := work.Err() != nil
	stop()
	cancel(nil)
	if ended && (errors.Is(err, context.Canceled) || errors.Is(err, ErrFenced) ||
		errors.Is(err, kafka.ErrGenerationEnded)) {
		err = nil
	}
	return !ended || member.Err() != nil, err
}

// assignmentsOf lists what kafka-go assigned, by topic in the order of the options.
func assignmentsOf(gen *kafka.Generation, topics []string) []Assignment {
	var out []Assignment
	for _, topic := range topics {
		for _, p := range gen.Assignments[topic] {
			out = append(out, Assignment{topic, p.ID, p.Offset, p.Offset >= 0})
		}
	}
	return out
}

func (g *Group) config() kafka.ConsumerGroupConfig {
	o := g.opts
	c := kafka.ConsumerGroupConfig{
		ID: o.GroupID, Brokers: o.Brokers, Topics: o.Topics, Dialer: o.Dialer,
		HeartbeatInterval: o.HeartbeatInterval, SessionTimeout: o.SessionTimeout,
		RebalanceTimeout: o.RebalanceTimeout, JoinGroupBackoff: o.JoinBackoff,
		// New partitions make a rebalance; without it nobody would read them.
		WatchPartitionChanges: true,
		// The last offset would lose what was written before the first join.
		StartOffset: kafka.FirstOffset,
	}
	if o.Log != nil {
		c.Logger = kafka.LoggerFunc(o.Log)
	}
	return c
}

// Committed gives a group's committed offsets for one topic. Partitions without one are left out.
func (c *Client) Committed(ctx context.Context, group, topic string) (map[int]int64, error) {
	info, err := c.Topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := map[int]int64{}
	what := fmt.Sprintf("read the offsets of group %q for topic %q", group, topic)
	err = c.retry(ctx, what, "", func() error {
		clear(out)
		answer, err := c.kafka.OffsetFetch(ctx, &kafka.OffsetFetchRequest{
			GroupID: group, Topics: map[string][]int{topic: info.Partitions}})
		if err != nil {
			return err
		}
		faults := []error{answer.Error}
		for _, p := range answer.Topics[topic] {
			faults = append(faults, p.Error)
			if p.CommittedOffset >= 0 {
				out[p.Partition] = p.CommittedOffset
			}
		}
		return errors.Join(faults...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

package simulation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"tollstream/pipeline/kafkalog"
)

// Timeouts of the group, as kafkalog's defaults.
const (
	sessionTimeout   = 30 * time.Second
	rebalanceTimeout = 60 * time.Second
	heartbeat        = 3 * time.Second
)

// Group is the brokers' part of a consumer group: who is in it, who reads what, what is committed.
type Group struct {
	// Committed hears of every commit that was taken.
	Committed func(next map[kafkalog.TopicPartition]int64)

	schedule   *Schedule
	log        *Log
	topics     []string
	members    map[string]*member
	generation int32
	preparing  bool // members are asked to join again
	round      int  // of preparing
	offsets    map[kafkalog.TopicPartition]int64
	joins      int
}

// member is one membership. Its generation is the last that it was in.
type member struct {
	id         string
	process    *Process
	joining    bool // it waits for the next generation
	generation int32
	assigned   []kafkalog.Assignment
	context    context.Context // ends with the generation, once the member hears of it
	end        context.CancelFunc
}

// NewGroup makes a group that reads topics.
func NewGroup(s *Schedule, log *Log, topics []string) *Group {
	return &Group{schedule: s, log: log, topics: topics, members: map[string]*member{},
		offsets: map[kafkalog.TopicPartition]int64{}}
}

// Offset gives the committed offset of a partition, without a turn.
func (g *Group) Offset(topic string, partition int) (int64, bool) {
	at, ok := g.offsets[kafkalog.TopicPartition{Topic: topic, Partition: partition}]
	return at, ok
}

// Membership is the group in the hand of a loop. It implements ingest.Group.
type Membership struct {
	group *Group
	hand  *Hand
}

// In gives the group to a loop.
func (g *Group) In(h *Hand) *Membership {
	h.process.groups = append(h.process.groups, g)
	return &Membership{g, h}
}

// Run implements ingest.Group, as kafkalog.Group does.
func (m *Membership) Run(
	ctx context.Context, fn func(context.Context, *kafkalog.Generation) error,
) error {
	own := &member{process: m.hand.process}
	for {
		if err := m.join(ctx, own); err != nil || ctx.Err() != nil {
			m.leave(own)
			return ignoreEnd(ctx, err)
		}
		generation := own.generation
		commit := func(offsets map[string]map[int]int64) error {
			return m.hand.write(m.hand.process.Context, "commit", func() error {
				return m.group.commit(own.id, generation, offsets)
			})
		}
		gen := kafkalog.NewGeneration(generation, own.id, own.assigned, commit)
		over, err := gen.Live(ctx, own.context, fn)
		if over || err != nil {
			m.leave(own)
			return err
		}
	}
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// join waits until the member is in a generation.
func (m *Membership) join(ctx context.Context, own *member) error {
	asked := false
	t := &turn{what: "join", write: true, limit: time.Now().Add(1000 * time.Hour)}
	t.ready = func() bool {
		if !asked || m.group.members[own.id] != own { // not yet, or thrown out meanwhile
			asked = true
			m.group.join(own)
		}
		return !own.joining
	}
	t.do = func() error { return nil }
	return m.hand.wait(ctx, t)
}

// leave takes the member out; where the brokers do not hear of it, when its session is over.
func (m *Membership) leave(own *member) {
	g := m.group
	m.hand.Report("heartbeats end", func() {
		id := own.id
		g.schedule.In(sessionTimeout, "session of "+id+" is over", func() { g.remove(id) })
	})
	_ = m.hand.write(m.hand.process.Context, "leave", func() error {
		g.remove(own.id)
		return nil
	})
}

// join takes a member's wish to be in the next generation.
func (g *Group) join(m *member) {
	if g.members[m.id] != m {
		g.joins++
		m.id = fmt.Sprintf("%s/%d", m.process.Name, g.joins)
		g.members[m.id] = m
	}
	m.joining = true
	g.rebalance()
}

// remove takes a member out.
func (g *Group) remove(id string) {
	if g.members[id] != nil {
		delete(g.members, id)
		g.rebalance()
	}
}

// rebalance asks the members to join again, and begins the next generation when all have, or when
// the time for it is over.
func (g *Group) rebalance() {
	if g.ready() {
		g.begin()
		return
	}
	if g.preparing {
		return
	}
	g.preparing = true
	g.round++
	round := g.round
	for _, m := range g.sorted() {
		if !m.joining {
			g.tell(m)
		}
	}
	g.schedule.In(rebalanceTimeout, "rebalance timeout", func() {
		if g.preparing && g.round == round {
			g.begin()
		}
	})
}

// Rebalance makes the group assign anew, as a new partition or a lost heartbeat does.
func (g *Group) Rebalance() { g.rebalance() }

// tell lets a member hear at its next heartbeat that its generation is over. One that sleeps hears
// of it when it wakes.
func (g *Group) tell(m *member) {
	end := m.end
	g.schedule.In(heartbeat, "heartbeat of "+m.id, func() {
		switch {
		case !m.process.Alive():
		case m.process.asleep():
			g.schedule.At(m.process.asleepUntil.Add(heartbeat), "late heartbeat of "+m.id, end)
		default:
			end()
		}
	})
}

// ready tells whether every member has joined again.
func (g *Group) ready() bool {
	for _, m := range g.members { // all of them
		if !m.joining {
			return false
		}
	}
	return len(g.members) > 0
}

// begin starts a generation with those that joined; the others are out, and hear of it later.
func (g *Group) begin() {
	g.preparing = false
	g.generation++
	for _, m := range g.sorted() {
		if !m.joining {
			delete(g.members, m.id)
		}
	}
	members := g.sorted()
	for i, m := range members {
		m.joining, m.generation, m.assigned = false, g.generation, g.assign(i, len(members))
		m.context, m.end = context.WithCancel(m.process.Context)
	}
	g.schedule.hurry()
}

// assign gives the i-th of n members its partitions, as kafka-go's range balancer does: topic by
// topic, so that the first members have more.
func (g *Group) assign(i, n int) []kafkalog.Assignment {
	var out []kafkalog.Assignment
	for _, topic := range g.topics {
		partitions := g.log.Partitions(topic)
		for p := i * partitions / n; p < (i+1)*partitions/n; p++ {
			at, committed := g.Offset(topic, p)
			if !committed {
				at = -2
			}
			out = append(out, kafkalog.Assignment{Topic: topic, Partition: p, Offset: at,
				Committed: committed})
		}
	}
	return out
}

// commit takes offsets from who owns the partitions in the current generation.
func (g *Group) commit(id string, generation int32, offsets map[string]map[int]int64) error {
	m := g.members[id]
	if m == nil || m.joining {
		return kafka.UnknownMemberId
	}
	if generation != g.generation {
		return kafka.IllegalGeneration
	}
	next := map[kafkalog.TopicPartition]int64{}
	for topic, partitions := range offsets { // a copy
		for partition, offset := range partitions {
			next[kafkalog.TopicPartition{Topic: topic, Partition: partition}] = offset
		}
	}
	maps.Copy(g.offsets, next)
	if g.Committed != nil {
		g.Committed(next)
	}
	return nil
}

// lost finds out, when its session is over, that a process is dead.
func (g *Group) lost(p *Process) {
	g.schedule.In(sessionTimeout, "session of "+p.Name+" is over", func() { g.expel(p) })
}

// silent throws a process out that sleeps for longer than its session lasts.
func (g *Group) silent(p *Process) {
	g.schedule.In(sessionTimeout, "session of "+p.Name, func() {
		if p.asleep() {
			g.expel(p)
		}
	})
}

// expel takes out the members of a process. If it lives it hears of it when it wakes.
func (g *Group) expel(p *Process) {
	for _, m := range g.sorted() {
		if m.process != p {
			continue
		}
		if m.end != nil {
			g.tell(m)
		}
		g.remove(m.id)
	}
	g.schedule.hurry()
}

func (g *Group) sorted() []*member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *member) int {
		return cmp.Compare(a.id, b.id)
	})
}

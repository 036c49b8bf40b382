package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"tollstream/pipeline/kafkalog"
)

// lagEvery is how often the brokers are asked where the logs end, beside what fetches say: fetching
// stops while a batch cannot be stored, and one partition's may stop alone.
const lagEvery = 5 * time.Second

// lag knows of each partition how far it is stored, and since when there has been more. It is safe
// for concurrent use.
type lag struct {
	mu    sync.Mutex
	parts map[kafkalog.TopicPartition]*standing
}

// standing is one partition.
type standing struct {
	durable int64 // next offset, everything below is stored and committed
	high    int64 // end of the log, once that is known
	known   bool
	stable  int64 // end of what can be read
	moved   time.Time
	seen    []mark // ends of the log above durable, each with when it was first seen
}

type mark struct {
	end int64
	at  time.Time
}

// marksMax bounds a partition's marks; of more, neighbours are put together.
const marksMax = 256

// begin takes committed offsets for stored. Of partitions without one it knows nothing until from.
// What is known of a partition that nobody has moved since stays: a reader that joins again and
// again does not make it younger.
func (l *lag) begin(assigned []kafkalog.Assignment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.parts
	l.parts = map[kafkalog.TopicPartition]*standing{}
	for _, a := range assigned {
		p := kafkalog.TopicPartition{Topic: a.Topic, Partition: a.Partition}
		switch old := before[p]; {
		case !a.Committed:
		case old != nil && old.durable == a.Offset:
			l.parts[p] = old
		default:
			l.parts[p] = standingAt(a.Offset)
		}
	}
}

// from notes where reading begins. Behind a commit it does so by rewind, of what is stored; what is
// further behind is read since it is not.
func (l *lag) from(at []kafkalog.Position, rewind int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range at {
		p := kafkalog.TopicPartition{Topic: x.Topic, Partition: x.Partition}
		if s := l.parts[p]; s == nil {
			l.parts[p] = standingAt(x.Offset)
		} else if x.Offset < s.durable-rewind {
			s.durable = x.Offset
		}
	}
}

func standingAt(offset int64) *standing {
	return &standing{durable: offset, high: offset, stable: offset, moved: time.Now()}
}

// ends notes where a log ends. What is behind the newest end known is old news.
func (l *lag) ends(p kafkalog.TopicPartition, high, stable int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.parts[p]
	if s == nil || high < 0 {
		return
	}
	s.known = true
	if s.stable <= s.durable {
		s.moved = time.Now() // there was nothing to move for
	}
	s.stable = max(s.stable, stable)
	if high <= s.high {
		return
	}
	if s.high = high; high <= s.durable {
		return
	}
	if s.seen = append(s.seen, mark{high, time.Now()}); len(s.seen) > marksMax {
		for i := range marksMax / 2 {
			s.seen[i] = mark{s.seen[2*i+1].end, s.seen[2*i].at}
		}
		s.seen = append(s.seen[:marksMax/2], s.seen[marksMax:]...)
	}
}

// left gives how many offsets can be read from positions on, as far as is known.
func (l *lag) left(at []kafkalog.Position) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range at {
		s := l.parts[kafkalog.TopicPartition{Topic: x.Topic, Partition: x.Partition}]
		if s != nil {
			n += max(0, s.stable-x.Offset)
		}
	}
	return n
}

// stored notes committed offsets.
func (l *lag) stored(next map[kafkalog.TopicPartition]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, offset := range next { //nolint:maporder // each partition by itself
		if s := l.parts[p]; s != nil && offset != s.durable {
			s.durable, s.moved = offset, time.Now()
			s.seen = slices.DeleteFunc(s.seen, func(m mark) bool { return m.end <= offset })
		}
	}
}

// late is how far a partition is behind.
type late struct {
	kafkalog.TopicPartition
	durable, records int64
	since            time.Duration // how long there have been records that are not stored
	stands           time.Duration // how long nothing of them has been stored; 0 while none can be
}

// partitions lists them.
func (l *lag) partitions() []kafkalog.TopicPartition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.parts)) //nolint:maporder // each by itself
}

// look tells how far each partition is behind whose end is known, in their order.
func (l *lag) look() (all []late) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, s := range l.parts { // sorted below
		if !s.known {
			continue
		}
		x := late{TopicPartition: p, durable: s.durable, records: max(0, s.high-s.durable)}
		if len(s.seen) > 0 {
			x.since = time.Since(s.seen[0].at)
		}
		if s.stable > s.durable {
			x.stands = time.Since(s.moved)
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b late) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

// watchLag shows, until the context ends, how far each partition is behind. A partition that stands
// still while others are read is found out by it: nobody else would tell.
func (l *Loop) watchLag(ctx context.Context) error {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	worst := late{}
	for {
		worst = l.showLag(worst)
		l.askEnds(ctx)
		worst = l.showLag(worst)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// askEnds asks the brokers where the logs end, each log beside the others: one may not answer.
func (l *Loop) askEnds(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, lagEvery)
	defer stop()
	var wg sync.WaitGroup
	for _, p := range l.lag.partitions() {
		wg.Go(func() {
			_, high, stable, err := l.Ends.Offsets(ctx, p.Topic, p.Partition)
			if err == nil {
				l.lag.ends(p, high, stable)
			} else if !errors.Is(ctx.Err(), context.Canceled) {
				l.Metrics.Failed(stepEnds)
			}
		})
	}
	wg.Wait()
}

// showLag tells metrics and readiness. It gives the partition that stands for longest; readiness
// counts for each such partition from its own beginning.
func (l *Loop) showLag(before late) (worst late) {
	for _, x := range l.lag.look() {
		l.Metrics.Lag(x.TopicPartition, x.records, x.since)
		if x.stands > max(worst.stands, lagEvery) {
			worst = x
		}
	}
	if worst.TopicPartition != before.TopicPartition || worst.durable != before.durable {
		l.Partitions.Moved()
	}
	if worst.stands == 0 {
		l.Partitions.Idle()
		return worst
	}
	l.Partitions.Waits(fmt.Sprintf("%s/%d stands at offset %d, %d records are not stored",
		worst.Topic, worst.Partition, worst.durable, worst.records))
	return worst
}

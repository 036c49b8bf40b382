package ingest

import (
	"context"
	"time"

	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// batch is what is stored and committed together: the rows of some rounds, and where each partition
// goes on after them.
type batch struct {
	rows    stored.Batch
	next    map[kafkalog.TopicPartition]int64
	offsets int64
	bytes   int
	made    time.Time     // when it was complete in memory
	written chan struct{} // closed once everything of it is stored
	after   chan struct{} // what of another batch is closed before this one is written, or nil
}

// begin makes a batch ready for other records, in the memory of those before.
func (l *Loop) begin(b *batch) {
	l.builder.begin(&b.rows)
	if l.backlog { // then it will be about as large as batches become
		b.rows.Reserve(l.RecordsMax+l.RecordsMax/16, l.idBytes)
	}
	if b.next == nil {
		b.next = map[kafkalog.TopicPartition]int64{}
	}
	clear(b.next)
	b.offsets, b.bytes, b.written = 0, 0, make(chan struct{})
}

// add adds what was fetched together, and gives its memory back.
func (l *Loop) add(ctx context.Context, b *batch, r *round) error {
	if err := l.refresh(ctx); err != nil {
		return err
	}
	l.builder.add(&b.rows, r.fetched)
	for i := range r.fetched {
		r.fetched[i].Release()
	}
	b.offsets += r.offsets
	b.bytes += r.bytes
	for p, next := range r.next { //nolint:maporder // a merge of maps
		b.next[p] = next
	}
	return nil
}

// refresh makes known the account events that other members stored. One that a rebalance cuts short
// has made nothing known: the next generation asks again.
func (l *Loop) refresh(ctx context.Context) error {
	most := rosterAgeMax
	if l.builder.strangers {
		most = rosterAgeStrangers
	}
	if time.Since(l.refreshed) <= most {
		return nil
	}
	if err := l.retry(ctx, stepEvents, func() error {
		_, err := l.Roster.Refresh(ctx)
		return err
	}); err != nil {
		return err
	}
	l.refreshed, l.builder.strangers = time.Now(), false
	return nil
}

// build makes batches of rounds until the context ends. A batch is built while others are written;
// that there are only so many of them bounds the memory whatever the backlog. One without records
// says that the brokers answered, and that there was nothing new.
func (l *Loop) build(
	ctx context.Context, rounds <-chan round, spare <-chan *batch, ready chan<- *batch,
) error {
	most := l.least()
	for {
		b, err := next(ctx, spare)
		if err != nil {
			return err
		}
		if err := l.fill(ctx, b, rounds, most); err != nil {
			return err
		}
		if n := b.rows.Calls.Len(); n > 0 {
			l.idBytes = b.rows.Calls.CallID.Bytes()/n + 1
		}
		if b.offsets >= most { // batches of account events end sooner
			most = min(2*most, int64(l.RecordsMax))
		}
		if b.offsets > 0 {
			if err := l.sameLogs(ctx); err != nil {
				return err
			}
		}
		b.made = time.Now()
		select {
		case ready <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leastShare is what part of a full batch the first one is: until it is there, the store has
// nothing to do. Each after it is twice as large until they are full. Those at the end of a backlog
// become smaller in the same way: while the last is written there is nothing else to do.
const leastShare = 8

// least is how many records a batch of a backlog has at least.
func (l *Loop) least() int64 { return max(int64(l.RecordsMax)/leastShare, 1) }

// lateMax is how many times AgeMax a batch may take while there is more to read at once. Larger
// batches are how a backlog shrinks: what is stored in many pieces has to be merged more often.
const lateMax = 5

// eventsMax is how many account events a batch has, apart from those of its last round. They are
// few beside calls but for a backlog, and each takes a kilobyte or more until it is stored.
const eventsMax = 10_000

// fill collects rounds until the batch is large, or its first round is old enough and no other one
// is there. The last batch of a backlog waits for nothing, and those before it leave half of what
// there was to the next; where as much comes in as is read, that is never reached. Nor do the
// last account events of one wait.
func (l *Loop) fill(ctx context.Context, b *batch, rounds <-chan round, most int64) error {
	l.begin(b)
	var began time.Time
	var behind int64         // what there was to read as the batch began
	var old <-chan time.Time // nil while there is no round
	for b.offsets < most && b.bytes < l.BytesMax &&
		len(b.rows.Events) < eventsMax {
		if old != nil && time.Since(began) >= lateMax*l.AgeMax {
			break
		}
		r, err := nextRound(ctx, rounds, old)
		if err != nil || r == nil {
			l.backlog = false
			return err
		}
		if r.awaited {
			break
		}
		if r.learns {
			l.refreshed = time.Time{}
			continue
		}
		if old == nil {
			began, behind = time.Now(), r.left+r.offsets
			timer := time.NewTimer(l.AgeMax)
			defer timer.Stop()
			old = timer.C
		}
		if err := l.add(ctx, b, r); err != nil {
			return err
		}
		if l.backlog && (r.left == 0 || r.left >= l.least() && 2*r.left <= behind) {
			l.backlog = r.left > 0
			return nil
		}
	}
	l.backlog = true
	return nil
}

// nextRound gives the next round, or nil if there is none and time is up. What comes first does not
// depend on chance: the end of the context, then a round, then the time.
func nextRound(ctx context.Context, rounds <-chan round, old <-chan time.Time) (*round, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case r := <-rounds:
		return &r, nil
	default:
	}
	select {
	case r := <-rounds:
		return &r, nil
	case <-old:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

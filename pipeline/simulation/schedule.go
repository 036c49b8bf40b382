package simulation

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// turn is one effect on the world that somebody asked for, and waits for in virtual time.
type turn struct {
	hand  *Hand // who asked; nil where the world does something by itself
	what  string
	write bool
	do    func() error
	// ready tells whether there is anything to do; what it waits for hurries the turn. At the time
	// limit it is taken anyway. Nil is always ready.
	ready func() bool
	limit time.Time

	at     time.Time
	serial uint64
	index  int  // in the queue
	struck bool // a fault put it off; it gets no other
	answer chan error
	left   bool // nobody waits for the answer any more; guarded by Schedule.mu
}

// Schedule takes turns, one after another, in virtual time.
type Schedule struct {
	Faults Faults
	Trace  Trace

	seed   uint64
	tear   tear
	queue  turnQueue
	parked map[*turn]bool // turns that were not ready when they were due
	serial uint64
	hands  int

	mu    sync.Mutex
	fresh []*turn // asked for since the schedule looked last
	wake  chan struct{}
}

// NewSchedule makes an empty schedule. It must be used in the bubble in which it was made.
func NewSchedule(seed uint64) *Schedule {
	return &Schedule{seed: seed, parked: map[*turn]bool{}, wake: make(chan struct{}, 1)}
}

// At lets the world do something by itself at a time. Only turns may call it, or who runs them.
func (s *Schedule) At(at time.Time, what string, do func()) {
	s.push(&turn{what: what, do: func() error { do(); return nil }}, at)
}

// In is At a while from now.
func (s *Schedule) In(wait time.Duration, what string, do func()) {
	s.At(time.Now().Add(wait), what, do)
}

// push queues a turn for a time. Turns of one time are taken in the order of their numbers.
func (s *Schedule) push(t *turn, at time.Time) {
	s.serial++
	t.serial, t.at = s.serial, at
	heap.Push(&s.queue, t)
}

// soon is when a turn is taken that is asked for now: mostly within 20 ms, so that turns of
// different loops overtake each other.
func (s *Schedule) soon() time.Time {
	wait := time.Duration(1+s.draw(s.serial+1, drawLatency, 20)) * time.Millisecond
	if s.draw(s.serial+1, drawLate, 50) == 0 {
		wait *= 50
	}
	return time.Now().Add(wait)
}

// ask puts a turn of a loop before the schedule, unless the loop's process is dead.
func (s *Schedule) ask(t *turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.hand.process.dead {
		return false
	}
	s.fresh = append(s.fresh, t)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// leave says that nobody waits for a turn's answer any more. It may still be taken: a request that
// was sent is not unsent.
func (s *Schedule) leave(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.left = true
}

// admit queues what was asked for since the last turn, in an order that does not depend on which
// goroutine asked first.
func (s *Schedule) admit() {
	s.mu.Lock()
	fresh := s.fresh
	s.fresh = nil
	select {
	case <-s.wake:
	default:
	}
	s.mu.Unlock()
	slices.SortFunc(fresh, func(a, b *turn) int {
		return cmp.Or(cmp.Compare(a.hand.id, b.hand.id), cmp.Compare(a.what, b.what))
	})
	for i, t := range fresh {
		if i > 0 && fresh[i-1].hand == t.hand && fresh[i-1].what == t.what {
			panic(fmt.Sprintf("%s asks twice at once to %s: which goes first is not defined; give "+
				"its goroutines a Hand each", t.hand.name, t.what))
		}
		s.push(t, s.soon())
	}
}

// ErrStuck says that a simulation came to its time limit.
var ErrStuck = errors.New("the simulation came to its time limit")

// Run takes turns until done says so, which is asked after every turn of the world's own, or until
// a time limit.
func (s *Schedule) Run(limit time.Time, done func() bool) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		synctest.Wait()
		s.admit()
		next := limit
		if len(s.queue) > 0 && s.queue[0].at.Before(limit) {
			next = s.queue[0].at
		}
		if wait := time.Until(next); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-s.wake:
			}
			continue
		}
		if next.Equal(limit) {
			return ErrStuck
		}
		t := heap.Pop(&s.queue).(*turn)
		s.take(t)
		if t.hand == nil && done() {
			return nil
		}
	}
}

// take lets a turn happen, with the fault that falls on it.
func (s *Schedule) take(t *turn) {
	delete(s.parked, t)
	if t.hand == nil {
		s.Trace.add(t, noFault, nil)
		_ = t.do() // what the world does by itself cannot fail
		return
	}
	s.mu.Lock()
	left := t.left
	s.mu.Unlock()
	switch asleep := t.hand.process.asleepUntil; {
	case left:
		s.takeLeft(t)
	case asleep.After(time.Now()):
		s.push(t, asleep)
	case t.ready != nil && !t.ready() && time.Now().Before(t.limit):
		s.push(t, t.limit)
		s.parked[t] = true
	default:
		s.takeFaulty(t)
	}
}

// hurry takes the parked turns again soon: what they wait for may be there.
func (s *Schedule) hurry() {
	parked := slices.SortedFunc(maps.Keys(s.parked), func(a, b *turn) int {
		return cmp.Compare(a.serial, b.serial)
	})
	clear(s.parked)
	for _, t := range parked {
		heap.Remove(&s.queue, t.index)
		s.push(t, s.soon())
	}
}

// Questions that are drawn for a turn.
const (
	drawLatency uint64 = iota
	drawLate
	drawFault
	drawKind
	drawTear
	drawHowLong
	drawLeft
	drawSize
)

// draw gives a number below n for a question about a turn. It is a function of seed, turn and
// question, so that what is drawn for one turn does not depend on what was asked before.
func (s *Schedule) draw(serial, question, n uint64) uint64 {
	return mix(s.seed^mix(serial<<8|question)) % n
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// turnQueue is a heap by time.
type turnQueue []*turn

func (q turnQueue) Len() int { return len(q) }

func (q turnQueue) Less(i, j int) bool {
	return cmp.Or(q[i].at.Compare(q[j].at), cmp.Compare(q[i].serial, q[j].serial)) < 0
}

func (q turnQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is part of heap.Interface.
func (q *turnQueue) Push(x any) {
	t := x.(*turn)
	t.index = len(*q)
	*q = append(*q, t)
}

// Pop is part of heap.Interface.
func (q *turnQueue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	*q = (*q)[:last]
	return t
}

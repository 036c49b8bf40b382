package generate

import (
	"math/bits"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// slot is the step in which calls are made: all its calls are made, then everything that arrives
// before its end is delivered. It bounds what is held in memory.
const slot = 10 * billing.Minute

// hourly is how busy the hours of a day are, after the traffic of consumer apps: quiet at night,
// peaks before noon and in the evening.
var hourly = [24]uint64{9, 6, 4, 3, 3, 5, 12, 24, 46, 68, 76, 70, 52, 58, 72, 74, 70, 62, 58, 66,
	70, 58, 36, 19}

// weekend is how busy a Saturday or Sunday is, in percent.
const weekend = 70

// pending is a record that has not arrived yet. Records of one instant arrive in the order in which
// they were made.
type pending struct {
	at   billing.Instant
	made uint64
	Record
}

func (p *pending) before(q *pending) bool {
	return p.at < q.at || p.at == q.at && p.made < q.made
}

// stream is one pass over the story.
type stream struct {
	*Generator
	yield   func(Record) bool
	stopped bool
	ledger  Ledger
	queue   []pending // heap by arrival
	made    uint64
	events  int // of the planned events, how many are in the queue
	calls   uint64
	voids   map[*account]string // the last call of the day that may be taken back
	codes   map[*catalog.CodeTable]codeMix
	codeDay billing.Day
}

func newStream(g *Generator, yield func(Record) bool) *stream {
	return &stream{Generator: g, yield: yield, ledger: g.planned.clone(),
		voids: map[*account]string{}, codes: map[*catalog.CodeTable]codeMix{}}
}

// run makes slot after slot. The number of calls of each is its share of all weights so far, so
// that the total is exact.
func (s *stream) run() {
	whole, sum, done := s.weights(), uint64(0), uint64(0)
	zone := s.opts.Catalog.Settings.Zone
	for _, span := range s.opts.Spans {
		for day := span.First; day < span.End; day++ {
			for at := day.Start(zone); at < (day + 1).Start(zone); at += slot {
				sum += s.weight(at, day)
				due := share(sum, uint64(s.opts.Calls), whole)
				s.makeCalls(at, day, int(due-done))
				done = due
				if s.deliver(at + slot); s.stopped {
					return
				}
			}
			s.endDay(day)
		}
	}
	s.deliver(never)
	s.Generator.ledger = s.ledger
}

// share is part·n/whole without overflow.
func share(part, n, whole uint64) uint64 {
	hi, lo := bits.Mul64(part, n)
	q, _ := bits.Div64(hi, lo, whole)
	return q
}

// weights is the sum over all slots.
func (s *stream) weights() uint64 {
	sum, zone := uint64(0), s.opts.Catalog.Settings.Zone
	for _, span := range s.opts.Spans {
		for day := span.First; day < span.End; day++ {
			for at := day.Start(zone); at < (day + 1).Start(zone); at += slot {
				sum += s.weight(at, day)
			}
		}
	}
	return max(sum, 1)
}

// weight is how busy a slot is: the hour, the day of the week, and who has begun.
func (s *stream) weight(at billing.Instant, day billing.Day) uint64 {
	n := s.callers(at)
	if n == 0 {
		return 0
	}
	hour := (at - day.Start(s.opts.Catalog.Settings.Zone)) / billing.Hour
	w := hourly[min(hour, 23)] * s.accounts[n-1].through
	// 1970-01-01 was a Thursday.
	if wd := time.Weekday((int(day) + 4) % 7); wd == time.Saturday || wd == time.Sunday {
		return w * weekend
	}
	return w * 100
}

// deliver hands out, in order, what arrives before a moment.
func (s *stream) deliver(before billing.Instant) {
	for s.events < len(s.Generator.events) && s.Generator.events[s.events].at < before {
		e := s.Generator.events[s.events]
		s.push(e.at, e.Record)
		s.events++
	}
	for !s.stopped && len(s.queue) > 0 && s.queue[0].at < before {
		p := s.pop()
		p.Arrived = p.at
		s.ledger.delivered(&p.Record, s.opts.EventsTopic)
		s.stopped = !s.yield(p.Record)
	}
}

// push puts a record in the queue. Its partition follows from its key.
func (s *stream) push(at billing.Instant, r Record) {
	s.made++
	p := pending{at: wholeMillis(at), made: s.made, Record: r}
	s.queue = append(s.queue, p)
	for i := len(s.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s.queue[i].before(&s.queue[parent]) {
			break
		}
		s.queue[i], s.queue[parent] = s.queue[parent], s.queue[i]
		i = parent
	}
}

func (s *stream) pop() pending {
	first, last := s.queue[0], len(s.queue)-1
	s.queue[0] = s.queue[last]
	s.queue[last] = pending{}
	s.queue = s.queue[:last]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < last && s.queue[child].before(&s.queue[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		s.queue[i], s.queue[least] = s.queue[least], s.queue[i]
		i = least
	}
}

// wholeMillis cuts an arrival to what Kafka keeps.
func wholeMillis(at billing.Instant) billing.Instant {
	return at / billing.Millisecond * billing.Millisecond
}

func (g *Generator) callRecord(key string, value []byte) Record {
	return Record{Topic: g.opts.CallsTopic, Key: []byte(key), Value: value,
		Partition: PartitionOf([]byte(key), g.opts.CallPartitions)}
}

func (g *Generator) eventRecord(key string, value []byte) Record {
	return Record{Topic: g.opts.EventsTopic, Key: []byte(key), Value: value,
		Partition: PartitionOf([]byte(key), g.opts.EventPartitions)}
}

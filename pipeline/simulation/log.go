package simulation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
)

// entryKind says what stands at an offset of a partition.
type entryKind uint8

const (
	dataEntry entryKind = iota
	openEntry           // of a transaction that is not decided yet
	abortedEntry
	controlEntry
	hole // an offset that was compacted away
)

type logEntry struct {
	kind    entryKind
	at      time.Time // append time, in whole milliseconds
	key     []byte
	value   []byte
	headers []kafkalog.Header
	turn    int // in which it was appended
}

// partition is one log. Its first offset is start; append times never decrease.
type partition struct {
	start   int64
	entries []logEntry
	open    int // entries of open transactions
}

func (p *partition) high() int64 { return p.start + int64(len(p.entries)) }

// stable is the end of what is decided: the first offset of an open transaction, or the log's end.
func (p *partition) stable() int64 {
	if p.open == 0 {
		return p.high()
	}
	return p.start + int64(slices.IndexFunc(p.entries, func(e logEntry) bool {
		return e.kind == openEntry
	}))
}

// logs are the topics of a world. The schedule is nil where there is none: then everything happens
// at once.
type logs struct {
	schedule *Schedule
	topics   map[string][]*partition
}

// Log is the Kafka cluster in the hand of one loop. It implements what ingest, settle and
// sinks/kafka ask of a log, and sinks/kafka's Producer.
type Log struct {
	*logs
	hand *Hand
}

// NewLog makes topics, each with its number of partitions, whose logs begin at an offset.
func NewLog(s *Schedule, topics map[string]int, start int64) *Log {
	l := &logs{schedule: s, topics: map[string][]*partition{}}
	for name, n := range topics {
		for range n {
			l.topics[name] = append(l.topics[name], &partition{start: start})
		}
	}
	return &Log{logs: l}
}

// In gives the log to a loop.
func (l *Log) In(h *Hand) *Log { return &Log{l.logs, h} }

// Append is what a broker does with a record of no transaction: it stamps and stores it. At is the
// broker's clock.
func (l *Log) Append(topic string, partition int, at time.Time, key, value []byte) int64 {
	return l.append(topic, partition, logEntry{kind: dataEntry, at: at, key: key, value: value})
}

// AppendOpen stores a record of a transaction that is not decided yet; Decide ends it.
func (l *Log) AppendOpen(topic string, partition int, at time.Time, key, value []byte) int64 {
	l.topics[topic][partition].open++
	return l.append(topic, partition, logEntry{kind: openEntry, at: at, key: key, value: value})
}

// Decide commits or aborts the record at an offset, and stores the transaction's marker.
func (l *Log) Decide(topic string, partition int, offset int64, commit bool, at time.Time) {
	p := l.topics[topic][partition]
	p.open--
	e := &p.entries[offset-p.start]
	if e.kind = abortedEntry; commit {
		e.kind = dataEntry
	}
	l.append(topic, partition, logEntry{kind: controlEntry, at: at})
}

// Skip leaves offsets out, as compaction does.
func (l *Log) Skip(topic string, partition int, n int) {
	for range n {
		l.append(topic, partition, logEntry{kind: hole})
	}
}

func (l *Log) append(topic string, partition int, e logEntry) int64 {
	p := l.topics[topic][partition]
	if n := len(p.entries); n > 0 && e.at.Before(p.entries[n-1].at) {
		e.at = p.entries[n-1].at // brokers stamp in the order of the log
	}
	if l.schedule != nil {
		e.turn = l.schedule.Trace.Turns
		l.schedule.Trace.appended(topic, e.key, e.value)
		l.schedule.hurry()
	}
	p.entries = append(p.entries, e)
	return p.high() - 1
}

// High gives the end of a partition, without a turn.
func (l *Log) High(topic string, partition int) int64 { return l.topics[topic][partition].high() }

// Partitions gives the number of a topic's partitions, without a turn.
func (l *Log) Partitions(topic string) int { return len(l.topics[topic]) }

// Offsets implements ingest.Log, settle.Log and kafka.Log.
func (l *Log) Offsets(ctx context.Context, topic string, partition int) (
	start, high, stable int64, err error,
) {
	err = l.hand.read(ctx, "offsets of "+topic, func() {
		p := l.topics[topic][partition]
		start, high, stable = p.start, p.high(), p.stable()
	})
	return start, high, stable, err
}

// OffsetAt implements settle.Log.
func (l *Log) OffsetAt(ctx context.Context, topic string, partition int, t time.Time) (
	offset int64, found bool, err error,
) {
	err = l.hand.read(ctx, "offset at a time of "+topic, func() {
		p := l.topics[topic][partition]
		i := slices.IndexFunc(p.entries, func(e logEntry) bool {
			return e.kind != hole && !e.at.Before(t)
		})
		offset, found = p.start+int64(i), i >= 0
	})
	return offset, found, err
}

// Topic implements settle.Log.
func (l *Log) Topic(ctx context.Context, name string) (kafkalog.TopicInfo, error) {
	info := kafkalog.TopicInfo{Name: name, ID: name, ClusterID: "simulated"}
	err := l.hand.read(ctx, "describe "+name, func() {
		for i := range l.topics[name] {
			info.Partitions = append(info.Partitions, i)
		}
	})
	return info, err
}

// TopicID implements ingest.Log. No topic of a simulation is ever made again.
func (l *Log) TopicID(ctx context.Context, name string) (cluster, id string, err error) {
	err = l.hand.read(ctx, "id of "+name, func() { cluster, id = "simulated", name })
	return cluster, id, err
}

// fetchWait is how long a fetch waits for something to read.
const fetchWait = 12 * time.Hour

// FetchMany implements ingest.Log. How much it gives at once is drawn.
func (l *Log) FetchMany(
	ctx context.Context, at []kafkalog.Position,
) ([]kafkalog.Fetched, error) {
	out := make([]kafkalog.Fetched, len(at))
	t := &turn{what: "fetch", limit: time.Now().Add(fetchWait)}
	t.ready = func() bool {
		return slices.ContainsFunc(at, func(p kafkalog.Position) bool {
			return l.topics[p.Topic][p.Partition].stable() > p.Offset
		})
	}
	t.do = func() error {
		most := int64(1000)
		if l.schedule != nil {
			most = [...]int64{1, 3, 20, 1000}[l.schedule.draw(t.serial, drawSize, 4)]
		}
		for i, p := range at {
			out[i] = l.topics[p.Topic][p.Partition].fetch(p, most)
		}
		return nil
	}
	return out, l.hand.wait(ctx, t)
}

// Fetch implements kafka.Log.
func (l *Log) Fetch(
	ctx context.Context, topic string, partition int, offset int64,
) (out kafkalog.Fetched, err error) {
	err = l.hand.read(ctx, "fetch "+topic, func() {
		at := kafkalog.Position{Topic: topic, Partition: partition, Offset: offset}
		out = l.topics[topic][partition].fetch(at, 1000)
	})
	return out, err
}

// fetch reads at most some offsets that are decided.
func (p *partition) fetch(at kafkalog.Position, most int64) kafkalog.Fetched {
	f := kafkalog.Fetched{Topic: at.Topic, Partition: at.Partition, Next: at.Offset,
		HighWatermark: p.high(), LastStable: p.stable(), LogStart: p.start}
	for ; f.Next < f.LastStable && f.Next < at.Offset+most; f.Next++ {
		e := &p.entries[f.Next-p.start]
		r := kafkalog.Record{Offset: f.Next, TimestampType: kafkalog.LogAppendTime,
			AppendTime: e.at, Key: e.key, Value: e.value, Headers: e.headers}
		switch e.kind {
		case hole:
			if n := len(f.Compacted); n > 0 && f.Compacted[n-1].To == f.Next {
				f.Compacted[n-1].To++
			} else {
				f.Compacted = append(f.Compacted, kafkalog.Range{From: f.Next, To: f.Next + 1})
			}
			continue
		case abortedEntry:
			r.Outcome = kafkalog.Aborted
		case controlEntry:
			r.Outcome = kafkalog.Control
		}
		f.Records = append(f.Records, r)
	}
	return f
}

// Produce implements kafka.Producer. Every output topic has one partition.
func (l *Log) Produce(ctx context.Context, records ...kafkalog.Outgoing) error {
	what := fmt.Sprintf("produce %d on %s", len(records), records[0].Topic)
	return l.hand.write(ctx, what, func() error {
		n := len(records)
		if l.schedule != nil {
			n = l.schedule.tear.prefix(n)
		}
		for _, r := range records[:n] {
			l.append(r.Topic, 0, logEntry{kind: dataEntry,
				at: time.Now().Truncate(time.Millisecond), key: r.Key, value: r.Value,
				headers: r.Headers})
		}
		return nil
	})
}

// Published is a record of an output topic, and the turn in which it was appended.
type Published struct {
	Key, Value []byte
	Headers    []kafkalog.Header
	Turn       int
}

// Published gives what stands on an output topic, without a turn.
func (l *Log) Published(topic string) []Published {
	var out []Published
	for _, e := range l.topics[topic][0].entries {
		out = append(out, Published{e.key, e.value, e.headers, e.turn})
	}
	return out
}

// arrivalOf is where and when an entry stands in the log.
func (l *Log) arrivalOf(topic string, partition int, offset int64) billing.Arrival {
	p := l.topics[topic][partition]
	return billing.Arrival{Appended: billing.InstantOf(p.entries[offset-p.start].at), Topic: topic,
		Partition: int32(partition), Offset: offset}
}

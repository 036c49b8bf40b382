package kafkalog

import (
	"cmp"
	"slices"
	"time"
	"unsafe"
)

// Outcome says what became of an offset in the log.
type Outcome uint8

const (
	// Data is a record that counts: not transactional, or its transaction was committed.
	Data Outcome = iota
	// Aborted is a record whose transaction was aborted. Its bytes are shown, and mean nothing.
	Aborted
	// Control is a transaction marker, written by the broker.
	Control
)

// String gives the word used in logs and books.
func (o Outcome) String() string {
	switch o {
	case Data:
		return "data"
	case Aborted:
		return "aborted"
	case Control:
		return "control"
	}
	return "unknown"
}

// TimestampType says whose clock a time comes from.
type TimestampType uint8

const (
	// CreateTime is the producer's clock; it can say anything.
	CreateTime TimestampType = iota
	// LogAppendTime is the broker's clock at the moment of the append.
	LogAppendTime
)

// String gives the word that Kafka's message.timestamp.type uses.
func (t TimestampType) String() string {
	if t == LogAppendTime {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// Header is a record header. Value may alias the fetch buffer.
type Header struct {
	Key   string
	Value []byte
}

// Record is one offset of a partition. Key, Value and header values may alias the buffer of the
// fetch they came with: keeping one of them keeps the whole buffer, so copy what is to live long.
// Nobody writes to that buffer again before Fetched.Release. A nil Key or Value is Kafka's null,
// an empty one is empty.
type Record struct {
	Offset  int64
	Outcome Outcome
	// TimestampType says whose clock AppendTime is.
	TimestampType TimestampType
	// AppendTime is the batch's maximum timestamp for LogAppendTime, else the record's own
	// timestamp; in UTC, in whole milliseconds, zero where the log has none.
	AppendTime time.Time
	Key, Value []byte
	Headers    []Header
}

// Range is a run of offsets, From included, To not.
type Range struct{ From, To int64 }

// Len is the number of offsets in the range.
func (r Range) Len() int64 { return r.To - r.From }

// Position is where to read.
type Position struct {
	Topic     string
	Partition int
	Offset    int64
}

// Fetched is what one partition gave: every offset from the requested one up to Next is either in
// Records or in Compacted.
type Fetched struct {
	Topic     string
	Partition int
	// Records has the delivered offsets in order, control and aborted ones included.
	Records []Record
	// Next is the offset to fetch next: past compacted holes and the ends of batches.
	Next int64
	// Compacted are the offsets inside [requested, Next) that no record filled.
	Compacted []Range
	// HighWatermark is the end of the log, LastStable the end of what is decided, LogStart its
	// first offset (-1 from brokers before Apache Kafka 1.0), all as of the answer. They are -1 where
	// the answer was full before it came to the partition.
	HighWatermark, LastStable, LogStart int64

	memory *memory
}

// Size is about how much memory the records take, their bytes included.
func (f *Fetched) Size() int {
	n := len(f.Records) * int(unsafe.Sizeof(Record{}))
	for i := range f.Records {
		r := &f.Records[i]
		n += len(r.Key) + len(r.Value)
		for _, h := range r.Headers {
			n += int(unsafe.Sizeof(h)) + len(h.Value)
		}
	}
	return n
}

// CutAt takes away what stands at or after an offset, as if the fetch had ended there.
func (f *Fetched) CutAt(end int64) {
	if f.Next <= end {
		return
	}
	f.Next = end
	n, _ := slices.BinarySearchFunc(f.Records, end,
		func(r Record, end int64) int { return cmp.Compare(r.Offset, end) })
	f.Records = f.Records[:n]
	f.Compacted = slices.DeleteFunc(f.Compacted, func(r Range) bool { return r.From >= end })
	if n := len(f.Compacted); n > 0 {
		f.Compacted[n-1].To = min(f.Compacted[n-1].To, end)
	}
}

// count is what len(Records) and Compacted together cover.
func (f *Fetched) count() int64 {
	n := int64(len(f.Records))
	for _, r := range f.Compacted {
		n += r.Len()
	}
	return n
}

package billing

import (
	"cmp"
	"strconv"
)

// Arrival is where and when the broker appended a record (rule B21). Appended has the millisecond
// precision of a Kafka record; from files it is `arrived_at`.
type Arrival struct {
	Appended  Instant
	Topic     string
	Partition int32
	Offset    int64
}

// Compare orders arrivals by append time, topic, partition and offset (rule B4).
func (a Arrival) Compare(b Arrival) int {
	return cmp.Or(
		cmp.Compare(a.Appended, b.Appended),
		cmp.Compare(a.Topic, b.Topic),
		cmp.Compare(a.Partition, b.Partition),
		cmp.Compare(a.Offset, b.Offset),
	)
}

// Log names the partition that the record stands in, as topic/partition.
func (a Arrival) Log() string { return a.Topic + "/" + strconv.Itoa(int(a.Partition)) }

// Place is the record's address as topic/partition/offset.
func (a Arrival) Place() string { return a.Log() + "/" + strconv.FormatInt(a.Offset, 10) }

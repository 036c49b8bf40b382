package kafkalog

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

const (
	// The times that ListOffsets takes as questions.
	askLogStart = -2
	askLogEnd   = -1

	readUncommitted = 0
)

// Offsets gives the bounds of a partition: its first offset, the end of the log, and the end of
// what is decided. LogStart <= LastStable <= HighWatermark holds for the answer, since the three
// are asked for in that order and none ever decreases on a healthy cluster.
func (c *Client) Offsets(ctx context.Context, topic string, partition int) (
	logStart, highWatermark, lastStable int64, err error) {
	if logStart, err = c.listOffset(ctx, topic, partition, askLogStart, readUncommitted); err != nil {
		return 0, 0, 0, err
	}
	if lastStable, err = c.listOffset(ctx, topic, partition, askLogEnd, readCommitted); err != nil {
		return 0, 0, 0, err
	}
	highWatermark, err = c.listOffset(ctx, topic, partition, askLogEnd, readUncommitted)
	if err != nil {
		return 0, 0, 0, err
	}
	return logStart, highWatermark, lastStable, nil
}

// OffsetAt gives the first offset whose timestamp is t or later, in the log's own order: for
// LogAppendTime the first one appended at or after t. Transactions are not looked at, so the
// offset may be aborted, a marker, or not yet decided. found is false when the log has none, which
// kafka-go reports as offset -1. Kafka's times have whole milliseconds; t is rounded up to one.
func (c *Client) OffsetAt(ctx context.Context, topic string, partition int, t time.Time) (
	offset int64, found bool, err error) {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	if ms < 0 {
		return 0, false, fmt.Errorf("offset of %s/%d at %v: Kafka has no times before 1970",
			topic, partition, t)
	}
	offset, err = c.listOffset(ctx, topic, partition, ms, readUncommitted)
	if err != nil || offset < 0 {
		return 0, false, err
	}
	return offset, true, nil
}

// listOffset asks the leader one question.
func (c *Client) listOffset(ctx context.Context, topic string, partition int, ask int64,
	isolation int8) (int64, error) {
	what := fmt.Sprintf("list offsets of %s/%d", topic, partition)
	var offset int64
	err := c.retry(ctx, what, topic, func() error {
		answer, err := c.send(ctx, &listoffsets.Request{
			ReplicaID:      -1,
			IsolationLevel: isolation,
			Topics: []listoffsets.RequestTopic{{
				Topic: topic,
				Partitions: []listoffsets.RequestPartition{{
					Partition: int32(partition), CurrentLeaderEpoch: -1, Timestamp: ask,
				}},
			}},
		})
		if err != nil {
			return err
		}
		offset, err = oneOffset(answer.(*listoffsets.Response))
		return err
	})
	return offset, err
}

func oneOffset(r *listoffsets.Response) (int64, error) {
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("list offsets: the broker left the partition out: %w", kafka.Unknown)
	}
	p := r.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return 0, kafka.Error(p.ErrorCode)
	}
	return p.Offset, nil
}

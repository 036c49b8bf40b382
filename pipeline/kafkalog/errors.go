package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// OffsetOutOfRange says that the log no longer has, or does not yet have, the requested offset.
// Records between Requested and LogStart were deleted unread when Requested < LogStart.
type OffsetOutOfRange struct {
	Topic         string
	Partition     int
	Requested     int64
	LogStart      int64
	HighWatermark int64
}

func (e *OffsetOutOfRange) Error() string {
	hint := "the log is shorter than what was read before: was the topic recreated or truncated?"
	if e.Requested < e.LogStart {
		hint = fmt.Sprintf("%d offsets were deleted before they were read: check retention",
			e.LogStart-e.Requested)
	}
	return fmt.Sprintf("fetch %s/%d at offset %d: out of range, the log has %d to %d; %s",
		e.Topic, e.Partition, e.Requested, e.LogStart, e.HighWatermark, hint)
}

// errLimit marks a batch that is larger than what is read of any.
var errLimit = errors.New("no batch of an ordinary producer is like that")

// CorruptBatch says that the bytes of a record batch cannot be what a broker stored, or are beyond
// what is read of any batch. Offset is the batch's base offset where it could be read, else the
// offset after the last good batch.
type CorruptBatch struct {
	Topic     string
	Partition int
	Offset    int64
	Err       error
}

func (e *CorruptBatch) Error() string {
	advice := "compare the replicas of this partition"
	if errors.Is(e.Err, errLimit) {
		advice = "find out who wrote it; the partition is not read beyond it"
	}
	return fmt.Sprintf("decode %s/%d at offset %d: %v; %s", e.Topic, e.Partition, e.Offset, e.Err,
		advice)
}

func (e *CorruptBatch) Unwrap() error { return e.Err }

// UnknownTopic says that the cluster has no such topic, or hides it from this user.
type UnknownTopic struct{ Topic string }

func (e *UnknownTopic) Error() string {
	return fmt.Sprintf("topic %q is not on this cluster (or this user may not describe it); "+
		"create it or correct the name", e.Topic)
}

// Unavailable says that the cluster did not answer within the bounds on retries.
type Unavailable struct {
	Op      string
	Brokers []string
	Err     error
}

func (e *Unavailable) Error() string {
	var code kafka.Error
	if errors.As(e.Err, &code) {
		return fmt.Sprintf("%s: brokers at %s kept answering %q; wait for a leader election to end "+
			"or look at the brokers' logs", e.Op, strings.Join(e.Brokers, ","), code.Title())
	}
	if errors.Is(e.Err, io.EOF) || errors.Is(e.Err, io.ErrUnexpectedEOF) {
		return fmt.Sprintf("%s: the broker at %s ends our connections (%v); it may want TLS, or none, "+
			"or a login: correct the TLS and SASL settings or the port, or wait until it has started",
			e.Op, strings.Join(e.Brokers, ","), oneLine(e.Err))
	}
	return fmt.Sprintf("%s: no broker reachable at %s: %v; start the brokers or correct the "+
		"addresses, TLS and SASL settings", e.Op, strings.Join(e.Brokers, ","), oneLine(e.Err))
}

func (e *Unavailable) Unwrap() error { return e.Err }

// PartitionError is a refusal by the broker that retrying cannot cure.
type PartitionError struct {
	Op        string
	Topic     string
	Partition int
	Err       error
}

func (e *PartitionError) Error() string {
	return fmt.Sprintf("%s %s/%d: %v", e.Op, e.Topic, e.Partition, oneLine(e.Err))
}

func (e *PartitionError) Unwrap() error { return e.Err }

// errNoLayout marks a request that found kafka-go's cluster layout empty; the cause is asked for
// separately, since the transport keeps it to itself.
var errNoLayout = errors.New("the cluster layout is not known")

// oneLine keeps an error readable in one log line: some of kafka-go's texts are many lines long.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// retriable tells whether trying again after a refresh of the metadata can help. Security errors
// and bad bytes cannot be cured by waiting; a connection that broke can.
func retriable(err error) bool {
	var code kafka.Error
	var bad *CorruptBatch
	var netErr net.Error
	switch {
	case errors.As(err, &bad), refusalHint(err) != "":
		return false
	case errors.As(err, &code):
		return code.Temporary() || code == kafka.BrokerNotAvailable ||
			code == kafka.ReplicaNotAvailable
	case errors.Is(err, protocol.ErrNoTopic), errors.Is(err, protocol.ErrNoPartition),
		errors.Is(err, protocol.ErrNoLeader), errors.Is(err, errNoLayout):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	return errors.As(err, &netErr)
}

// typed gives the error of an operation that is given up its type. An empty topic means that the
// operation is not about one.
func typed(what, topic string, brokers []string, err error) error {
	hint := refusalHint(err)
	switch {
	case topic != "" && unknownTopic(err):
		return &UnknownTopic{Topic: topic}
	case hint != "":
		return &Refused{Op: what, Brokers: brokers, Err: err, Hint: hint}
	case retriable(err):
		return &Unavailable{Op: what, Brokers: brokers, Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// unknownTopic tells whether the broker or the cached layout says there is no such partition.
func unknownTopic(err error) bool {
	return errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, protocol.ErrNoTopic) ||
		errors.Is(err, protocol.ErrNoPartition)
}

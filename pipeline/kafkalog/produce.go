package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// ErrNotSent is the error of a record that was held back because another one of the same call
// could not be sent at all.
var ErrNotSent = errors.New("not sent: another record of the same call was refused")

// ProducerOptions say where to write. Zero values take the defaults named here.
type ProducerOptions struct {
	// Brokers are bootstrap addresses, host:port. Required.
	Brokers []string
	// Transport gives TLS and SASL; its fields are copied.
	Transport *kafka.Transport
	ClientID  string
	// Compression default lz4: on bills it takes half the time of zstd, and twice the room.
	Compression kafka.Compression
	// BatchBytes bounds one request per partition, and so one record; default 1 MiB less a
	// little, what brokers take unless told otherwise.
	BatchBytes int
	// Attempts per batch; default 5. A batch whose answer was lost is written again, so a
	// record can stand in the log twice: kafka-go has no idempotent producer.
	Attempts int
	// Failed, if not nil, hears of each call that failed, and whether waiting can cure it.
	Failed func(passes bool)
}

// Outgoing is a record to write.
type Outgoing struct {
	Topic string
	// Partition is where to write when Fixed; else the key decides, as in Kafka's Java client,
	// and records without key are spread at random.
	Fixed     bool
	Partition int
	Key       []byte
	Value     []byte
	Headers   []Header
	// Time is kept as it is, for the mode simulated_time; zero is now.
	Time time.Time
}

// RecordErrors has one entry per record of a call, nil for those that were written.
type RecordErrors []error

func (e RecordErrors) Error() string {
	failed, first := 0, error(nil)
	for _, err := range e {
		if err != nil && (first == nil || errors.Is(first, ErrNotSent)) {
			first = err
		}
		if err != nil {
			failed++
		}
	}
	return fmt.Sprintf("produce: %d of %d records were not written: %v", failed, len(e),
		oneLine(first))
}

// Unwrap gives errors.Is and errors.As all of them.
func (e RecordErrors) Unwrap() []error {
	var out []error
	for _, err := range e {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// Producer writes records and waits until all in-sync replicas have them. It is safe for
// concurrent use. It serves files, demos and tests; nothing that is billed is produced by it.
type Producer struct {
	writer    *kafka.Writer
	transport *kafka.Transport
	brokers   []string
	failed    func(passes bool) // may be nil
}

// NewProducer checks the options; it connects to nothing.
func NewProducer(o ProducerOptions) (*Producer, error) {
	shared := Options{Brokers: o.Brokers, Transport: o.Transport, ClientID: o.ClientID}
	if err := shared.Validate(); err != nil {
		return nil, fmt.Errorf("producer options: %w", err)
	}
	setDefault(&o.Compression, kafka.Lz4)
	setDefault(&o.BatchBytes, 1_000_000)
	setDefault(&o.Attempts, 5)
	transport := ownTransport(shared.withDefaults())
	return &Producer{
		brokers:   o.Brokers,
		failed:    o.Failed,
		transport: transport,
		writer: &kafka.Writer{
			Addr: kafka.TCP(o.Brokers...), Transport: transport,
			Balancer: &fixedOrKey{}, RequiredAcks: kafka.RequireAll,
			MaxAttempts: o.Attempts, Compression: o.Compression,
			BatchSize: 10_000, BatchBytes: int64(o.BatchBytes), BatchTimeout: 5 * time.Millisecond,
		},
	}, nil
}

// Produce writes the records and waits. Records of one partition keep their order. The error is
// nil, the context's (what was written is then not known), or RecordErrors.
func (p *Producer) Produce(ctx context.Context, records ...Outgoing) error {
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Topic: r.Topic, Key: r.Key, Value: r.Value, Time: r.Time,
			WriterData: slot{i, r.Fixed, r.Partition}}
		for _, h := range r.Headers {
			messages[i].Headers = append(messages[i].Headers,
				kafka.Header{Key: h.Key, Value: h.Value})
		}
	}
	err := p.write(ctx, messages)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("produce: %w", context.Cause(ctx))
	}
	err = p.recordErrors(err, records)
	if p.failed != nil {
		var away *Unavailable
		p.failed(errors.As(err, &away))
	}
	return err
}

// write sends the messages, again when kafka-go's cache does not have a topic that may just have
// been created. It asks its cache before it sends anything, so nothing is written twice by that.
func (p *Producer) write(ctx context.Context, messages []kafka.Message) error {
	for try := 1; ; try++ {
		err := p.writer.WriteMessages(ctx, messages...)
		var written kafka.WriteErrors
		if !unknownTopic(err) || errors.As(err, &written) || try == unknownTriesMax {
			return err
		}
		p.transport.CloseIdleConnections()
		select {
		case <-time.After(refreshEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// recordErrors gives every record its own error. kafka-go checks the sizes of all records before
// it sends any, and then names the one that is too large.
func (p *Producer) recordErrors(err error, records []Outgoing) error {
	out := make(RecordErrors, len(records))
	var written kafka.WriteErrors
	var large kafka.MessageTooLargeError
	switch {
	case errors.As(err, &written):
		for i, e := range written {
			if e != nil {
				out[i] = p.typed(e, records[i])
			}
		}
	case errors.As(err, &large):
		for i := range out {
			out[i] = ErrNotSent
		}
		r := large.Message
		out[r.WriterData.(slot).index] = fmt.Errorf("record of %d bytes for topic %q: larger than "+
			"BatchBytes (%d)", len(r.Key)+len(r.Value), r.Topic, p.writer.BatchBytes)
	default:
		for i := range out {
			out[i] = p.typed(err, records[i])
		}
	}
	return out
}

func (p *Producer) typed(err error, r Outgoing) error {
	return typed(fmt.Sprintf("produce to topic %q", r.Topic), r.Topic, p.brokers, err)
}

// Close sends what is buffered and ends the connections.
func (p *Producer) Close() error {
	err := p.writer.Close()
	p.transport.CloseIdleConnections()
	return err
}

// slot travels with a message through kafka-go, to its balancer and back in its errors.
type slot struct {
	index     int
	fixed     bool
	partition int
}

// fixedOrKey is the balancer: the partition that the record names, else by key.
type fixedOrKey struct{ byKey kafka.Murmur2Balancer }

// Balance gives the partition for a message.
func (b *fixedOrKey) Balance(m kafka.Message, partitions ...int) int {
	if s := m.WriterData.(slot); s.fixed {
		return s.partition
	}
	return b.byKey.Balance(m, partitions...)
}

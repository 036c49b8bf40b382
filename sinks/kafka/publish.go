// Package kafka writes the pipeline's output topics: bills, service status, settlements and
// quarantined records. Topics may repeat a record, since a write whose answer was lost is done
// again; bill_id, event_id and (topic, partition, offset) are the keys to dedupe on. It owns the
// form of these records and nothing of their content.
package kafka

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// Topics are the names of the output topics.
type Topics struct{ Bills, Settlements, ServiceStatus, Quarantine string }

// Producer writes records and returns nil only when all of them are stored.
type Producer interface {
	Produce(ctx context.Context, records ...kafkalog.Outgoing) error
}

// Log reads the settlements topic back.
type Log interface {
	Offsets(ctx context.Context, topic string, partition int) (start, high, stable int64, err error)
	Fetch(ctx context.Context, topic string, partition int, offset int64) (kafkalog.Fetched, error)
}

// Publisher writes to the output topics.
type Publisher struct {
	producer Producer
	topics   Topics
	zone     *time.Location

	settled *Settled
}

// New makes a publisher; zone is the one in which times are written.
func New(p Producer, log Log, t Topics, zone *time.Location) *Publisher {
	return &Publisher{producer: p, topics: t, zone: zone, settled: NewSettled(log, t.Settlements)}
}

// publishedBytesMax bounds what of a quarantined record is published. Brokers take records of 1 MiB
// unless told otherwise and count them compressed, so a record that came in may be too large to go
// out; one such record must not hold up all others.
const publishedBytesMax = 900_000

// PublishQuarantined writes records as they came, with where they stood and why they are here as
// headers. Of a record that is too large for the topic the key and the value are left out, and two
// headers give the value's size and hash; its bytes are in the store and at its place.
func (p *Publisher) PublishQuarantined(ctx context.Context, list []stored.Quarantined) error {
	out := make([]kafkalog.Outgoing, len(list))
	for i := range list {
		out[i] = p.quarantined(&list[i])
	}
	return p.send(ctx, p.topics.Quarantine, out)
}

func (p *Publisher) quarantined(q *stored.Quarantined) kafkalog.Outgoing {
	o := kafkalog.Outgoing{Topic: p.topics.Quarantine, Key: q.Key, Value: q.Value}
	header := func(key, value string) {
		o.Headers = append(o.Headers, kafkalog.Header{Key: key, Value: []byte(value)})
	}
	header("topic", q.Arrival.Topic)
	header("partition", strconv.Itoa(int(q.Arrival.Partition)))
	header("offset", strconv.FormatInt(q.Arrival.Offset, 10))
	header("reason", string(q.Refusal.Reason))
	header("detail", q.Refusal.Detail)
	header("hint", q.Refusal.Reason.Hint())
	if len(q.Key)+len(q.Value) > publishedBytesMax {
		header("value_bytes", strconv.Itoa(len(q.Value)))
		header("value_sha256", stored.ValueHash(q.Value))
		o.Key, o.Value = nil, nil
	}
	return o
}

// PublishBills writes bills, keyed by account.
func (p *Publisher) PublishBills(ctx context.Context, bills []stored.BillText) error {
	out := make([]kafkalog.Outgoing, len(bills))
	for i := range bills {
		out[i] = kafkalog.Outgoing{
			Topic: p.topics.Bills, Key: []byte(bills[i].AccountID), Value: bills[i].JSON,
		}
	}
	return p.send(ctx, p.topics.Bills, out)
}

// PublishStatus writes changes of service status, keyed by account.
func (p *Publisher) PublishStatus(ctx context.Context, list []billing.StatusChange) error {
	out := make([]kafkalog.Outgoing, len(list))
	for i := range list {
		out[i] = kafkalog.Outgoing{
			Topic: p.topics.ServiceStatus, Key: []byte(list[i].AccountID),
			Value: canonical.Status(&list[i], p.zone),
		}
	}
	return p.send(ctx, p.topics.ServiceStatus, out)
}

func (p *Publisher) send(ctx context.Context, topic string, out []kafkalog.Outgoing) error {
	if len(out) == 0 {
		return nil
	}
	if err := p.producer.Produce(ctx, out...); err != nil {
		return fmt.Errorf("publish on %s: %w", topic, err)
	}
	return nil
}

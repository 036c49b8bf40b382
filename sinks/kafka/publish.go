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

// PublishQuarantined writes records as they came, with where they stood and why they are here as
// headers.
func (p *Publisher) PublishQuarantined(ctx context.Context, list []stored.Quarantined) error {
	out := make([]kafkalog.Outgoing, len(list))
	for i := range list {
		q := &list[i]
		headers := []kafkalog.Header{
			{Key: "topic", Value: []byte(q.Arrival.Topic)},
			{Key: "partition", Value: []byte(strconv.Itoa(int(q.Arrival.Partition)))},
			{Key: "offset", Value: []byte(strconv.FormatInt(q.Arrival.Offset, 10))},
			{Key: "reason", Value: []byte(q.Refusal.Reason)},
			{Key: "detail", Value: []byte(q.Refusal.Detail)},
			{Key: "hint", Value: []byte(q.Refusal.Reason.Hint())},
		}
		out[i] = kafkalog.Outgoing{
			Topic: p.topics.Quarantine, Key: q.Key, Value: q.Value, Headers: headers,
		}
	}
	return p.send(ctx, p.topics.Quarantine, out)
}

// PublishBills writes bills, keyed by account.
func (p *Publisher) PublishBills(ctx context.Context, bills []*billing.Bill) error {
	out := make([]kafkalog.Outgoing, len(bills))
	for i, b := range bills {
		out[i] = kafkalog.Outgoing{
			Topic: p.topics.Bills, Key: []byte(b.AccountID), Value: canonical.Bill(b, p.zone),
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

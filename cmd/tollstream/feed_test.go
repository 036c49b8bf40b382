package main

import (
	"fmt"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// feed sends records of a story to the input topics, in the order and at the times that it gives,
// and keeps them for the biller in memory.
type feed struct {
	t        *testing.T
	w        *testWorld
	producer *kafkalog.Producer
	day      billing.Day // the story's day 0
	records  []batch.Record
	next     map[string]int64
	epochs   map[string]stored.Epoch // of topics that were created again
}

func newFeed(t *testing.T, w *testWorld, day billing.Day) *feed {
	t.Helper()
	p, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() }) //nolint:errcheck // everything was acknowledged by Produce
	return &feed{t: t, w: w, producer: p, day: day, next: map[string]int64{},
		epochs: map[string]stored.Epoch{}}
}

// at is an hour of a day of the story.
func (f *feed) at(day, hour int) billing.Instant {
	return (f.day + billing.Day(day)).Start(f.w.cat.Settings.Zone) +
		billing.Instant(hour)*billing.Hour
}

// event sends an account event; more are its further fields, each after a comma.
func (f *feed) event(
	arrives billing.Instant, kind, id, account, more string, acts billing.Instant,
) {
	f.t.Helper()
	f.send(arrives, batch.EventRecord, 0, fmt.Sprintf(
		`{"event_id":%q,"type":%q,"account_id":%q,"effective_at":%q%s}`, id, kind, account, acts, more))
}

// call sends a charged call.
func (f *feed) call(arrives billing.Instant, id, account string, occurred billing.Instant) {
	f.t.Helper()
	f.send(arrives, batch.CallRecord, 0, callText(id, account, occurred))
}

// tick has every partition of the calls see an instant, so that simulated time goes on.
func (f *feed) tick(arrives billing.Instant, account string) {
	f.t.Helper()
	for p := range callPartitions {
		id := fmt.Sprint("tick-", arrives, "-", p)
		f.send(arrives, batch.CallRecord, p, callText(id, account, arrives))
	}
	f.event(arrives, "postpaid.enabled", fmt.Sprint("tick-", arrives), account, "", arrives)
}

func callText(id, account string, occurred billing.Instant) string {
	return fmt.Sprintf(`{"call_id":%q,"account_id":%q,"occurred_at":%q,`+
		`"action":"IdCardVerification","result_code":"0"}`, id, account, occurred)
}

func (f *feed) send(arrives billing.Instant, kind batch.Kind, partition int, value string) {
	f.t.Helper()
	topic := f.w.cfg.Kafka.Topics.AccountEvents
	if kind == batch.CallRecord {
		topic = f.w.cfg.Kafka.Topics.Calls[0]
	}
	at := billing.Arrival{Appended: arrives, Topic: topic, Partition: int32(partition)}
	if e, again := f.epochs[topic]; again {
		at.Topic = e.Log()
	}
	at.Offset = f.next[at.Log()]
	f.next[at.Log()]++
	f.records = append(f.records, batch.Record{Kind: kind, Value: []byte(value), Arrival: at})
	err := f.producer.Produce(f.t.Context(), kafkalog.Outgoing{Topic: topic, Fixed: true,
		Partition: partition, Value: []byte(value), Time: arrives.Time()})
	if err != nil {
		f.t.Fatal(err)
	}
}

package main

import (
	"bytes"
	"fmt"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/sinks/clickhouse"
)

// TestWaitingCallsThroughTheStream sends calls of an account that opens days later, each of them
// twice, one of them also as another account's, and a void of a taken call. Over the stream they
// become what they become in memory: late usage, duplicates that leave the quarantine, a reversal.
func TestWaitingCallsThroughTheStream(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	day := billing.DateOf(2023, 2, 1)
	at := func(d int, hour int) billing.Instant {
		return (day + billing.Day(d)).Start(w.cat.Settings.Zone) + billing.Instant(hour)*billing.Hour
	}
	call := func(id, account string, occurred billing.Instant) string {
		return fmt.Sprintf(`{"call_id":%q,"account_id":%q,"occurred_at":%q,`+
			`"action":"IdCardVerification","result_code":"0"}`, id, account, occurred)
	}
	event := func(kind, id, account, more string, when billing.Instant) string {
		return fmt.Sprintf(`{"event_id":%q,"type":%q,"account_id":%q,"effective_at":%q%s}`,
			id, kind, account, when, more)
	}
	opened := fmt.Sprintf(`,"opened_at":%q`, at(0, 0))
	var records []batch.Record
	add := func(kind batch.Kind, arrived billing.Instant, value string) {
		topic := w.cfg.Kafka.Topics.AccountEvents
		if kind == batch.CallRecord {
			topic = w.cfg.Kafka.Topics.Calls[0]
		}
		records = append(records, batch.Record{Kind: kind, Value: []byte(value),
			Arrival: billing.Arrival{Appended: arrived, Topic: topic}})
	}
	add(batch.EventRecord, at(0, 1), event("account.opened", "e1", "acme", opened, at(0, 1)))
	add(batch.EventRecord, at(0, 2), event("balance.topped_up", "e2", "bolt", `,"amount":"5"`, at(0, 2)))
	for i := range 5 {
		add(batch.CallRecord, at(1, 9), call(fmt.Sprint("w", i), "bolt", at(1, 9)))
		add(batch.CallRecord, at(1, 10), call(fmt.Sprint("w", i), "bolt", at(1, 9)))
	}
	add(batch.CallRecord, at(1, 11), call("w0", "acme", at(1, 9)))
	add(batch.CallRecord, at(1, 12), call("a1", "acme", at(1, 12)))
	add(batch.EventRecord, at(4, 12), event("account.opened", "e3", "bolt", opened, at(0, 1)))
	add(batch.EventRecord, at(5, 12), event("usage.voided", "e4", "acme",
		`,"call_ids":["a1","w1"],"reason":"test"`, at(5, 12)))
	add(batch.CallRecord, at(6, 12), call("a2", "acme", at(6, 12)))

	until := at(8, 8)
	p, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // everything was acknowledged by Produce
	next := map[string]int64{}
	for i := range records {
		r := &records[i]
		r.Arrival.Offset = next[r.Arrival.Log()]
		next[r.Arrival.Log()]++
		out := kafkalog.Outgoing{Topic: r.Arrival.Topic, Fixed: true, Value: r.Value,
			Time: r.Arrival.Appended.Time()}
		if err := p.Produce(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	want, err := batch.Run(w.cat, records, until, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.cfg.Settle.FirstClosing = day
	w.runUntil(t, until)
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ: %s", firstDifference(got, want))
	}
	if len(want.Bills) < 4 || len(want.Quarantined) != 0 {
		t.Errorf("%d bills and %d in quarantine in memory", len(want.Bills), len(want.Quarantined))
	}
	store, err := openStore(t.Context(), w.cfg, w.cat)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	left, err := store.Quarantine(t.Context(), clickhouse.QuarantineFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range left {
		t.Errorf("still in quarantine: %s %s %s", q.Arrival.Place(), q.Refusal.Reason, q.ID)
	}
}

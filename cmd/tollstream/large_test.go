package main

import (
	"strconv"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// TestLargeRecordsHoldUpNothing: records that compress to less than brokers refuse, and that are
// larger than one fetch, than a call may be, or than the quarantine's topic takes, go into
// quarantine with their bytes, and what stands behind them is billed.
func TestLargeRecordsHoldUpNothing(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	topics := &w.cfg.Kafka.Topics
	w.send(t, topics.AccountEvents, opened1001, "2023-02-01T00:00:00+08:00")
	p, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: w.cfg.Kafka.Brokers,
		BatchBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // everything was acknowledged by Produce
	large := []string{strings.Repeat("x", 1_000_001), strings.Repeat("y", 5<<20),
		`{"` + strings.Repeat("n", 1_000_000) + `":x}`}
	for _, value := range large {
		err := p.Produce(t.Context(), kafkalog.Outgoing{Topic: topics.Calls[0], Fixed: true,
			Value: []byte(value), Time: instant(t, "2023-02-01T10:00:00+08:00").Time()})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.send(t, topics.Calls[0], `{"call_id":"c1","account_id":"1001","action":"IdCardVerification",`+
		`"occurred_at":"2023-02-01T10:00:00+08:00","result_code":"0"}`, "2023-02-01T11:00:00+08:00")
	w.cfg.Settle.FirstClosing = billing.DateOf(2023, 2, 1)
	w.cfg.Kafka.Fetch.MaxBytes, w.cfg.Ingest.BatchBytesMax = 64<<10, 1<<20
	w.runUntil(t, instant(t, "2023-02-02T08:00:00+08:00"))

	for _, reason := range []billing.Reason{billing.NotJSON, billing.RecordTooLarge} {
		if got := w.quarantined(t, w.openedStore(t), reason); len(got) == 0 {
			t.Errorf("nothing is in quarantine as %s", reason)
		}
	}
	if bills := string(w.bills(t)); strings.Count(bills, `"total"`) != 1 {
		t.Errorf("bills: %s", bills)
	}
	w.checkPublishedWithoutBytes(t, large)
	status, got, stderr := w.command(t, "quarantine", "requeue", "--all")
	if status != exitDone || !strings.HasPrefix(got, "requeued 0 records\nleft 3 records of more") {
		t.Errorf("requeue: %d, %q, %q", status, got, stderr)
	}
}

// checkPublishedWithoutBytes: the quarantine's topic has size and hash of what it has no room for.
func (w *testWorld) checkPublishedWithoutBytes(t *testing.T, want []string) {
	t.Helper()
	log, err := kafkalog.New(kafkalog.Options{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	got, err := log.Fetch(t.Context(), w.cfg.Kafka.Topics.Quarantine, 0, 0)
	if err != nil || len(got.Records) != len(want) {
		t.Fatalf("%d records on the topic, %v, want %d", len(got.Records), err, len(want))
	}
	for i := range got.Records {
		r, headers := &got.Records[i], map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		n, _ := strconv.Atoi(headers["offset"])
		if r.Value != nil || headers["value_bytes"] != strconv.Itoa(len(want[n])) ||
			headers["value_sha256"] != stored.ValueHash([]byte(want[n])) {
			t.Errorf("record %d: %d bytes, size %s, hash %s", n, len(r.Value),
				headers["value_bytes"], headers["value_sha256"])
		}
	}
}

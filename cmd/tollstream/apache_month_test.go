package main

import (
	"bytes"
	"slices"
	"testing"

	"tollstream/deploy/apachekafka"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
)

// generatedFor makes records for a world's topics, in the order of their arrival.
func (w *apacheWorld) generatedFor(
	t *testing.T, o generate.Options,
) (*generate.Generator, []generate.Record) {
	t.Helper()
	o.Catalog, o.CallPartitions = w.cat, callPartitions
	g, err := generate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	records := slices.Collect(g.Records())
	w.cfg.Settle.FirstClosing = g.FirstClosing()
	return g, records
}

// TestApacheMonth plays weeks of calls into Apache Kafka while the pipeline runs. The bills are
// those that `tollstream bill` makes of the records and the append times that the broker gave them;
// the producers' clocks, two of three wrong by a year, change nothing.
func TestApacheMonth(t *testing.T) {
	w := newApacheWorld(t, apachekafka.Options{})
	g, records := w.generatedFor(t, generate.Options{
		Seed: 7, From: billing.DateOf(2022, 12, 27), To: billing.DateOf(2023, 1, 10),
		Accounts: 12, Calls: 8_000,
		Rates: generate.Rates{Duplicates: 0.02, Conflicts: 0.3, Late: 0.05, Malformed: 0.005,
			Unknown: 0.003, UnknownCodes: 0.01, FreeActions: 0.01, Corrections: 0.1},
	})
	w.setClock(t, records[0].Arrived.Time())
	s := w.stream(t, g.Until())
	w.play(t, records)
	w.setClock(t, (g.Until() + 2*billing.Minute).Time())
	s.wait()
	w.checkBills(t, g.Until(), g.Ledger())
	if got, want := w.onTopic(t, w.cfg.Kafka.Topics.Bills), w.bills(t); !bytes.Equal(got, want) {
		t.Errorf("the topic's bills differ from those stored: %s", firstDifference(got, want))
	}
	w.checkRebuilt(t)
	t.Run("wants append time", w.offerOwnTime)
}

// offerOwnTime gives `run` a topic in which producers decide what is late.
func (w *apacheWorld) offerOwnTime(t *testing.T) {
	if err := w.log(t).EnsureTopics(t.Context(), []kafkalog.TopicSpec{{Name: "own-time",
		TimestampType: kafkalog.CreateTime, Retention: kafkalog.RetentionForever}}); err != nil {
		t.Fatal(err)
	}
	status, stderr := runLine(t, "run", first, "--kafka.brokers", w.broker.Plaintext(),
		"--clickhouse.addr", w.cfg.ClickHouse.Addr, "--http.listen", "127.0.0.1:0",
		"--kafka.topics.calls", "own-time")
	checkLine(t, status, stderr, exitFailed,
		`topic "own-time": message.timestamp.type is CreateTime, want LogAppendTime`)
}

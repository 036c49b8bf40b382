package main

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
)

var million = flag.Bool("million", false, "run TestMillion, which takes minutes")

// generated makes the records of a generator twice over: for the batch biller, with the places
// that they will have in Kafka, and into Kafka itself.
func (w *testWorld) generated(t *testing.T, g *generate.Generator) []batch.Record {
	t.Helper()
	next := map[string]int64{}
	var records []batch.Record
	for r := range g.Records() {
		rec := batch.Record{Kind: batch.CallRecord, Value: r.Value, Arrival: billing.Arrival{
			Appended: r.Arrived, Topic: r.Topic, Partition: r.Partition}}
		if r.Topic == w.cfg.Kafka.Topics.AccountEvents {
			rec.Kind = batch.EventRecord
		}
		rec.Arrival.Offset = next[rec.Arrival.Log()]
		next[rec.Arrival.Log()]++
		records = append(records, rec)
	}
	p, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // everything was acknowledged by Produce
	if _, err := produceAll(t.Context(), p, g, func(int) {}); err != nil {
		t.Fatal(err)
	}
	return records
}

// checkGenerated sends a generated stream through Kafka and ClickHouse and checks that every call
// is there once, that every bad record is in quarantine, that the books of every partition balance,
// and that the bills are those of the same records in memory, byte for byte.
func checkGenerated(t *testing.T, o generate.Options) {
	newTestWorld(t, t.TempDir()).checkGenerated(t, o)
}

func (w *testWorld) checkGenerated(t *testing.T, o generate.Options) {
	t.Helper()
	o.Catalog, o.CallPartitions = w.cat, callPartitions
	g, err := generate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	records := w.generated(t, g)
	t.Logf("%d records generated and produced in %s", len(records), time.Since(started))
	w.cfg.Settle.FirstClosing = g.FirstClosing()

	started = time.Now()
	want, err := batch.Run(w.cat, records, g.Until(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bills in memory in %s", len(want.Bills), time.Since(started))
	started = time.Now()
	w.runUntil(t, g.Until())
	took := time.Since(started)
	t.Logf("stream closed in %s, %.0f records/s", took, float64(len(records))/took.Seconds())

	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("the stream's %d bytes of bills differ from the %d in memory: %s",
			len(got), len(want), firstDifference(got, want))
	}
	w.checkBooks(t, want, g.Ledger())
}

func firstDifference(got, want []byte) string {
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			return "\n got " + string(g[i]) + "\nwant " + string(w[i])
		}
	}
	return "one has more bills"
}

// checkBooks audits the database, adds up the books by partition, and compares each term with what
// the batch biller counted from the same records on its own road.
func (w *testWorld) checkBooks(t *testing.T, want *batch.Output, ledger *generate.Ledger) {
	t.Helper()
	store, err := openStore(t.Context(), w.cfg, w.cat)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	for _, b := range w.auditedBooks(t) {
		log := billing.Arrival{Topic: b.Topic, Partition: b.Partition}.Log()
		in := want.Books[log]
		if in == nil {
			t.Errorf("%s: the batch biller saw nothing of it", log)
			continue
		}
		sum := b.Charged + b.Free + b.Duplicate + b.Quarantined + b.Waiting + b.Events
		if b.Data != sum {
			t.Errorf("%s: read %d, accounted for %d: %+v", log, b.Data, sum, b)
		}
		got := batch.Books{Read: b.Data, Charged: b.Charged, Free: b.Free, Duplicate: b.Duplicate,
			Quarantined: b.Quarantined, Waiting: b.Waiting, Events: b.Events}
		if got != *in {
			t.Errorf("%s:\n got %+v\nwant %+v", log, got, *in)
		}
		t.Logf("%s: read %d = charged %d + free %d + duplicate %d + quarantined %d + waiting %d",
			log, b.Data, b.Charged, b.Free, b.Duplicate, b.Quarantined, b.Waiting)
	}
	calls, err := store.CountCalls(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if calls.Rows != calls.Distinct {
		t.Errorf("the view calls has %d rows of %d calls", calls.Rows, calls.Distinct)
	}
	var expected int64
	for _, log := range slices.Sorted(maps.Keys(want.Books)) {
		expected += want.Books[log].Charged + want.Books[log].Free
	}
	if expected != ledger.Calls-ledger.Voided {
		t.Errorf("%d calls were taken, %d were generated", expected, ledger.Calls-ledger.Voided)
	}
}

func TestGeneratedMonth(t *testing.T) {
	checkGenerated(t, generate.Options{
		Seed: 7, From: billing.DateOf(2022, 12, 25), To: billing.DateOf(2023, 1, 12),
		Accounts: 12, Calls: 12_000,
		Rates: generate.Rates{Duplicates: 0.02, Conflicts: 0.3, Late: 0.05, Malformed: 0.005,
			Unknown: 0.003, UnknownCodes: 0.01, FreeActions: 0.01},
	})
}

func TestMillion(t *testing.T) {
	if !*million {
		t.Skip("takes minutes; run make million")
	}
	checkGenerated(t, generate.Options{
		Seed: 1, From: billing.DateOf(2022, 12, 25), To: billing.DateOf(2023, 1, 12),
		Accounts: 200, Calls: 1_000_000,
		Rates: generate.Rates{Duplicates: 0.02, Conflicts: 0.3, Late: 0.02, Malformed: 0.005,
			Unknown: 0.001, UnknownCodes: 0.001},
	})
}

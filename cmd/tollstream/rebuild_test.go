package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
	"tollstream/sinks/kafka"
)

var rebuildYear = flag.Bool("rebuild-year", false, "run TestRebuildYear, which takes minutes")

// content is what of a table has to be the same after a rebuild.
type content struct{ table, columns, where string }

// rebuiltTables are what a rebuild gives back: without the wall clock, without what is said between
// closings, and of enriched calls what is fixed.
var rebuiltTables = []content{
	{"bills", "*", ""},
	{"bill_lines", "*", ""},
	{"ledger_entries", "*", ""},
	{"service_status", "*", "WHERE NOT provisional"},
	{"settlements", "* EXCEPT finished_at", ""},
	{"usage_daily", "*", "WHERE state = 'closed'"},
	{"quarantine", "* REPLACE (mapSort(headers) AS headers)", ""},
	{"taken_calls", "*", "FINAL"},
	{"duplicate_copies", "*", "FINAL"},
	{"reversed_calls", "*", "FINAL"},
	{"voided_copies", "*", "FINAL"},
	{"closed_usage", "*", "FINAL"},
	{"closed_bill_totals", "*", "FINAL"},
	{"closed_line_totals", "*", "FINAL"},
	{"closed_clients", "*", "FINAL"},
	{"closed_codes", "*", "FINAL"},
	{"closed_cover", "*", "FINAL"},
	{"closed_packages", "*", "FINAL"},
	{"taken_by_line", "*", "FINAL"},
	{"account_states", "*", "FINAL"},
	{"account_routes", "*", "FINAL"},
	{"account_events", "*", "FINAL"},
	{"deliveries", "* EXCEPT reason", "FINAL"}, // of its quarantine on arrival, provisional
	{"catalogs", "* EXCEPT stored_at", "FINAL"},
	{"log_epochs", "*", "FINAL"},
	{"call_copies", "call_id, account_id, occurred_at, dims, result_code, need_charge, " +
		"sdk_platform, sdk_name, sdk_version, billing_hash, topic, partition, offset, appended_at",
		"FINAL"},
}

// rebuild makes the world's database again, into an empty one of another name.
func (w *testWorld) rebuild(t *testing.T, into string, flags ...string) (int, string, string) {
	t.Helper()
	return w.command(t, append([]string{"rebuild", "--clickhouse.database", into}, flags...)...)
}

// checkRebuilt makes the world's database again and wants the same rows, and every bill on its
// topic.
func (w *testWorld) checkRebuilt(t *testing.T, flags ...string) {
	t.Helper()
	w.checkRebuiltTables(t, rebuiltTables, flags...)
}

func (w *testWorld) checkRebuiltTables(t *testing.T, tables []content, flags ...string) {
	t.Helper()
	status, stdout, stderr := w.rebuild(t, "rebuilt", flags...)
	if status != exitDone || stderr != "" || !strings.HasSuffix(stdout, ": 0 differences\n") {
		t.Errorf("rebuild: %d, %q\n%s", status, stderr, stdout)
	}
	t.Log(stdout)
	w.sameTables(t, tables, w.cfg.ClickHouse.Database, "rebuilt")
}

// acrossCatalogues leaves out what depends on which version happened to read a record that one of
// two catalogues has no tag for: that stands in quarantine until its closing.
func acrossCatalogues() []content {
	tables := slices.Clone(rebuiltTables)
	for i := range tables {
		switch t := &tables[i]; t.table {
		case "settlements":
			t.columns = "* EXCEPT (finished_at, books)"
		case "quarantine":
			t.where = "WHERE reason != 'no_billing_tag'"
		}
	}
	return tables
}

// sameTables compares tables of two databases.
func (w *testWorld) sameTables(t *testing.T, tables []content, one, other string) {
	t.Helper()
	var counts []string
	for _, x := range tables {
		for _, pair := range [][2]string{{one, other}, {other, one}} {
			from := func(database string) string {
				return fmt.Sprintf("SELECT %s FROM %s.%s %s", x.columns, database, x.table, x.where)
			}
			only := w.sql(t, "SELECT * FROM ("+from(pair[0])+" EXCEPT "+from(pair[1])+
				") LIMIT 5 FORMAT TSVWithNames")
			if strings.Contains(only, "\n") {
				t.Errorf("%s: rows only in %s:\n%s", x.table, pair[0], only)
			}
		}
		rows := w.sql(t, fmt.Sprintf("SELECT count() FROM %s.%s %s", one, x.table, x.where))
		again := w.sql(t, fmt.Sprintf("SELECT count() FROM %s.%s %s", other, x.table, x.where))
		if rows != again {
			t.Errorf("%s: %s rows in %s, %s in %s", x.table, rows, one, again, other)
		}
		counts = append(counts, x.table+" "+rows)
	}
	t.Logf("the same rows: %s", strings.Join(counts, ", "))
}

// worldOf is a world with generated records in Kafka, and what they are in memory.
func worldOf(t *testing.T, o generate.Options) (*testWorld, *generate.Generator, []batch.Record) {
	t.Helper()
	w := newTestWorld(t, t.TempDir())
	o.Catalog, o.CallPartitions = w.cat, callPartitions
	if o.Rates == (generate.Rates{}) {
		o.Rates = generate.Rates{Duplicates: 0.05, Conflicts: 0.4, Late: 0.1, Malformed: 0.01,
			Unknown: 0.01, UnknownCodes: 0.01, FreeActions: 0.01}
	}
	g, err := generate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	records := w.generated(t, g)
	w.cfg.Settle.FirstClosing = g.FirstClosing()
	return w, g, records
}

// TestRebuild makes a month again, refuses to do so twice, and lets the pipeline go on with what it
// made.
func TestRebuild(t *testing.T) {
	w, g, records := worldOf(t, generate.Options{Seed: 41, From: billing.DateOf(2023, 1, 2),
		To: billing.DateOf(2023, 1, 30), Accounts: 10, Calls: 6_000})
	want, err := batch.Run(w.cat, records, g.Until(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.runUntil(t, g.Until()-2*24*billing.Hour)
	w.checkRebuilt(t)

	status, _, stderr := w.rebuild(t, "rebuilt")
	if status != exitUsage || !strings.Contains(stderr, "database rebuilt is not empty") {
		t.Errorf("into a database that is not empty: %d, %q", status, stderr)
	}
	w.useDatabase(t, "rebuilt")
	w.runUntil(t, g.Until())
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("the run that went on made other bills: %s", firstDifference(got, want))
	}
	w.checkBooks(t, want, g.Ledger())
}

// TestRebuildYear makes a year of a few accounts again.
func TestRebuildYear(t *testing.T) {
	if !*rebuildYear {
		t.Skip("takes minutes; run make rebuild-year")
	}
	w, g, records := worldOf(t, generate.Options{Seed: 42, From: billing.DateOf(2022, 3, 1),
		To: billing.DateOf(2023, 3, 1), Accounts: 12, Calls: 100_000})
	w.cfg.Roles = []string{roleIngest, roleSettle} // usage would count a year of open days
	w.cfg.Ingest.BatchAgeMax = DefaultConfig().Ingest.BatchAgeMax
	started := time.Now()
	for month := g.FirstClosing().Month() + 1; ; month++ { // the pipeline is stopped each month
		at := min(month.FirstDay().At(8*time.Hour, w.cat.Settings.Zone), g.Until())
		if w.runUntil(t, at); at == g.Until() {
			break
		}
	}
	t.Logf("%d records were closed in %s", len(records), time.Since(started))
	w.checkRebuilt(t)
}

// TestRebuildThatWasKilled kills a rebuild of some days at one of them. The next one refuses
// to begin anew in what is there, and goes on when it is told to.
func TestRebuildThatWasKilled(t *testing.T) {
	w, g, _ := worldOf(t, generate.Options{Seed: 43, From: billing.DateOf(2023, 1, 20),
		To: billing.DateOf(2023, 1, 21), Accounts: 6, Calls: 1_500})
	w.runUntil(t, g.Until())
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"rebuild", "--clickhouse.database", "rebuilt"}, w.connection()...)
	process := exec.Command(program, args...)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		rows := w.sql(t, "SELECT sum(total_rows) >= 8 FROM system.tables WHERE "+
			"database = 'rebuilt' AND name = 'settlement_records'") // two for each closing
		if rows == "1" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the rebuild does not close anything")
		}
	}
	_ = process.Process.Kill()
	_ = process.Wait()

	status, _, stderr := w.rebuild(t, "rebuilt")
	if status != exitUsage || !strings.Contains(stderr, "--resume") {
		t.Errorf("after it was killed: %d, %q", status, stderr)
	}
	w.checkRebuilt(t, "--resume")
	w.checkRebuilt(t, "--resume") // there is nothing left to do, and everything is compared again
}

// TestRebuildFindsWhatDiffers changes what the output topics say, as someone would who can write to
// them: a bill, a bill that nobody made, a change of status.
func TestRebuildFindsWhatDiffers(t *testing.T) {
	w, g, _ := worldOf(t, generate.Options{Seed: 44, From: billing.DateOf(2023, 1, 28),
		To: billing.DateOf(2023, 1, 31), Accounts: 8, Calls: 1_500})
	w.runUntil(t, g.Until())
	topics := &w.cfg.Kafka.Topics
	bill := w.fieldsOn(t, topics.Bills, func(f map[string]any) bool { return f["total"] != "0.00" })
	right := bill["total"]
	bill["total"] = "123456.78"
	w.sendFields(t, topics.Bills, bill)
	bill["bill_id"], bill["account_id"], bill["period"] = "nobody/2023-01-28", "nobody", "2023-01-28"
	w.sendFields(t, topics.Bills, bill)
	change := w.fieldsOn(t, topics.ServiceStatus, func(f map[string]any) bool {
		return f["provisional"] == nil
	})
	change["status"] = "asleep"
	w.sendFields(t, topics.ServiceStatus, change)

	status, stdout, stderr := w.rebuild(t, "rebuilt")
	t.Logf("%s%s", stdout, stderr)
	if status != exitFailed ||
		!strings.Contains(stderr, "differ from the output topics in 3 places") {
		t.Errorf("%d, %q", status, stderr)
	}
	for _, want := range []string{
		fmt.Sprintf(`  total: billing.bills/0/%d has "123456.78", the rebuild makes %q`,
			w.records(t, topics.Bills)-2, right),
		`nobody  2023-01-28  record: billing.bills/0/`,
		` has nobody/2023-01-28, the rebuild makes nothing`,
		`  status: billing.service-status/0/`,
		` has "asleep", the rebuild makes "`,
		": 3 differences\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %s", want)
		}
	}
	w.sameTables(t, rebuiltTables, w.cfg.ClickHouse.Database, "rebuilt")
}

// fieldsOn gives the fields of the first record on a topic that is chosen.
func (w *testWorld) fieldsOn(
	t *testing.T, topic string, chosen func(map[string]any) bool,
) map[string]any {
	t.Helper()
	log := w.log(t)
	for next := int64(0); next < w.records(t, topic); {
		f, err := log.Fetch(t.Context(), topic, 0, next)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Records {
			var fields map[string]any
			if err := json.Unmarshal(r.Value, &fields); err != nil {
				t.Fatal(err)
			}
			if chosen(fields) {
				return fields
			}
		}
		next = f.Next
	}
	t.Fatalf("%s has no such record", topic)
	return nil
}

func (w *testWorld) sendFields(t *testing.T, topic string, fields map[string]any) {
	t.Helper()
	value, err := json.Marshal(maps.Clone(fields))
	if err != nil {
		t.Fatal(err)
	}
	w.send(t, topic, string(value), "2023-02-01T10:00:00+08:00")
}

// log reads from the world's broker.
func (w *testWorld) log(t *testing.T) *kafkalog.Client {
	t.Helper()
	log, err := kafkalog.New(kafkalog.Options{Brokers: w.cfg.Kafka.Brokers,
		MaxWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log
}

// records counts the records of a topic's first partition.
func (w *testWorld) records(t *testing.T, topic string) int64 {
	t.Helper()
	_, high, _, err := w.log(t).Offsets(t.Context(), topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	return high
}

// TestRebuildLeavesTheLastClosing decides a closing as a pipeline does that stops right after it.
// Its bills are on no topic yet, so the rebuild leaves it to the pipeline, which publishes them.
func TestRebuildLeavesTheLastClosing(t *testing.T) {
	w, g, records := worldOf(t, generate.Options{Seed: 45, From: billing.DateOf(2023, 1, 27),
		To: billing.DateOf(2023, 1, 31), Accounts: 8, Calls: 1_500})
	want, err := batch.Run(w.cat, records, g.Until(), nil)
	if err != nil {
		t.Fatal(err)
	}
	last := closing.LastMomentBy(w.cat, g.Until())
	before := closing.MomentOf(w.cat, last.Day-1)
	w.runUntil(t, before.At)
	w.decide(t, last)

	status, stdout, stderr := w.rebuild(t, "rebuilt")
	open := fmt.Sprintf("the closing of %s is decided and was not published in full", last.Day)
	if status != exitDone || !strings.Contains(stdout, ": 0 differences\n"+open) {
		t.Errorf("%d, %q\n%s", status, stderr, stdout)
	}
	w.useDatabase(t, "rebuilt")
	published := w.records(t, w.cfg.Kafka.Topics.Bills)
	w.runUntil(t, g.Until())
	if got, want := w.bills(t), billText(w.cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ: %s", firstDifference(got, want))
	}
	made := 0
	for _, b := range want.Bills {
		if b.ClosedAt == last.At {
			made++
		}
	}
	if n := w.records(t, w.cfg.Kafka.Topics.Bills) - published; made == 0 || n != int64(made) {
		t.Errorf("%d bills of the last closing were published, want %d", n, made)
	}
}

// decide records the barriers of a closing, as the settle loop finds them.
func (w *testWorld) decide(t *testing.T, m closing.Moment) {
	t.Helper()
	topics := &w.cfg.Kafka.Topics
	log := w.log(t)
	settled := kafka.NewSettled(log, topics.Settlements)
	all, err := settled.Settlements(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := *all[m.Day-1]
	s.Day, s.ClosedAt, s.Barriers = m.Day, m.At, slices.Clone(s.Barriers)
	for i := range s.Barriers {
		b := &s.Barriers[i]
		b.Low = b.High
		at, found, err := log.OffsetAt(t.Context(), b.Topic, int(b.Partition), m.At.Time())
		if err == nil && !found {
			_, at, _, err = log.Offsets(t.Context(), b.Topic, int(b.Partition))
		}
		if err != nil {
			t.Fatal(err)
		}
		b.High = max(b.Low, at)
	}
	p, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // everything was acknowledged
	publisher := kafka.New(p, log, kafka.Topics{Settlements: topics.Settlements},
		w.cat.Settings.Zone)
	if _, err := publisher.Decide(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
}

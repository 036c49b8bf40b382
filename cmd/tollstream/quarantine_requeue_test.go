package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
)

// instant reads a time of a test.
func instant(t *testing.T, text string) billing.Instant {
	t.Helper()
	i, err := billing.ParseInstant(text)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// send produces one record to a topic's first partition.
func (w *testWorld) send(t *testing.T, topic, value, when string) {
	t.Helper()
	p, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // everything was acknowledged by Produce
	err = p.Produce(t.Context(), kafkalog.Outgoing{Topic: topic, Fixed: true, Key: []byte("1001"),
		Value: []byte(value), Time: instant(t, when).Time(),
		Headers: []kafkalog.Header{{Key: "trace", Value: []byte("7")}}})
	if err != nil {
		t.Fatal(err)
	}
}

const opened1001 = `{"event_id":"e1","type":"account.opened","account_id":"1001",` +
	`"effective_at":"2023-02-01T00:00:00+08:00","opened_at":"2023-02-01T00:00:00+08:00"}`

// TestRequeue requeues a call that has no billing tag. The catalogue has not learnt it meanwhile,
// so its new record is read, is quarantined at its new place, and the old row is resolved.
func TestRequeue(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	topics := &w.cfg.Kafka.Topics
	w.send(t, topics.AccountEvents, opened1001, "2023-02-01T00:00:00+08:00")
	const bad = `{"call_id":"c1","account_id":"1001","occurred_at":"2023-02-01T10:00:00+08:00",` +
		`"action":"NeverHeardOf","result_code":"Success"}`
	w.send(t, topics.Calls[0], bad, "2023-02-01T10:00:01+08:00")
	w.send(t, topics.Calls[0], `{"call_id":"c2",`, "2023-02-01T11:00:00+08:00")
	w.cfg.Settle.FirstClosing = billing.DateOf(2023, 2, 1)
	w.runUntil(t, instant(t, "2023-02-02T08:00:00+08:00"))

	s := w.openedStore(t)
	before := w.quarantined(t, s, billing.NoBillingTag)
	if want := topics.Calls[0] + "/0/0"; len(before) != 1 || before[0] != want {
		t.Fatalf("in quarantine: %v, want %s", before, want)
	}
	status, got, stderr := w.command(t, "quarantine", "requeue", "--all", "--dry-run", "--until",
		"2023-02-01T11:00:00+08:00")
	if status != exitDone || !strings.HasPrefix(got, "would requeue 1 records\n") {
		t.Fatalf("dry run: %d, %q, %q", status, got, stderr)
	}
	status, got, stderr = w.command(t, "quarantine", "requeue", "--reason", "no_billing_tag")
	want := "requeued 1 records\n  1 to " + topics.Calls[0] + "/0: no_billing_tag\n"
	if status != exitDone || got != want {
		t.Fatalf("requeue: %d, %q, %q", status, got, stderr)
	}
	if left := w.quarantined(t, s, billing.NoBillingTag); len(left) != 0 {
		t.Errorf("still in quarantine before the new record is read: %v", left)
	}
	w.checkRequeued(t, topics.Calls[0], bad, instant(t, "2023-02-02T08:00:00+08:00").Time())

	w.runUntil(t, instant(t, "2023-02-04T08:00:00+08:00"))
	after := w.quarantined(t, s, billing.NoBillingTag)
	if want := topics.Calls[0] + "/0/2"; len(after) != 1 || after[0] != want {
		t.Errorf("in quarantine after the new record was read: %v, want %s", after, want)
	}
	if other := w.quarantined(t, s, billing.NotJSON); len(other) != 1 {
		t.Errorf("a record that was not chosen: %v", other)
	}
	w.checkRebuilt(t)
}

// TestRequeueOfWhatTheCatalogueLearnt requeues a call that had no tag and a package of an unknown
// tag when they were read, long after closings have ceased to look at the call, with a catalogue
// that has the tag. The package acts and pays for the call, and the bill is what the stored records
// make.
func TestRequeueOfWhatTheCatalogueLearnt(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	file := strings.ReplaceAll(string(w.cat.File), "- {cohorts: all, tag: idcard}",
		"- {cohorts: all, tag: none}")
	file = strings.Replace(file, "spellings: [身份信息核验], ", "", 1)
	path := filepath.Join(t.TempDir(), "before.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	topics := &w.cfg.Kafka.Topics
	w.send(t, topics.AccountEvents, opened1001, "2023-02-01T00:00:00+08:00")
	w.send(t, topics.AccountEvents, `{"event_id":"e2","type":"package.delivered",`+
		`"account_id":"1001","effective_at":"2023-02-01T09:00:00+08:00","package_id":"p",`+
		`"tag":"身份信息核验","kind":"paid","quota":1000,"price":"300",`+
		`"delivered_at":"2023-02-01T09:00:00+08:00"}`, "2023-02-01T09:00:00+08:00")
	w.send(t, topics.Calls[0], `{"call_id":"c1","account_id":"1001","action":"IdCardVerification",`+
		`"occurred_at":"2023-02-01T10:00:00+08:00","result_code":"0"}`, "2023-02-01T10:00:01+08:00")
	w.cfg.Settle.FirstClosing = billing.DateOf(2023, 2, 1)
	w.cfg.Catalog = path
	w.runUntil(t, instant(t, "2023-02-06T08:00:00+08:00"))
	w.cfg.Catalog = ""
	w.runUntil(t, instant(t, "2023-02-07T08:00:00+08:00"))
	if bills := w.bills(t); len(bills) > 0 {
		t.Fatalf("billed before it was requeued: %s", bills)
	}
	status, got, stderr := w.command(t, "quarantine", "requeue", "--account", "1001")
	if status != exitDone || !strings.HasPrefix(got, "requeued 2 records\n") {
		t.Fatalf("requeue: %d, %q, %q", status, got, stderr)
	}
	w.runUntil(t, instant(t, "2023-02-08T08:00:00+08:00"))
	bills := string(w.bills(t))
	if !strings.Contains(bills, `"bill_id":"1001/2023-02-07"`) ||
		!strings.Contains(bills, `"kind":"covered","line_no":1,"package_id":"p"`) ||
		!strings.Contains(bills, `"balance_before":"-300.00"`) {
		t.Errorf("bills after it was requeued: %q", bills)
	}
	for _, reason := range []billing.Reason{billing.NoBillingTag, billing.UnknownTag} {
		if left := w.quarantined(t, w.openedStore(t), reason); len(left) != 0 {
			t.Errorf("in quarantine: %v", left)
		}
	}
	status, got, stderr = w.command(t, "bills", "verify", "--all")
	if status != exitDone || got != "1001/2023-02-07  ok\n1 bills verified: 1 ok, 0 differ\n" {
		t.Errorf("verify: %d, %q, %q", status, got, stderr)
	}
	w.checkRebuilt(t)
}

// quarantined are the places of the records in quarantine for a reason.
func (w *testWorld) quarantined(
	t *testing.T, s *clickhouse.Store, reason billing.Reason,
) []string {
	t.Helper()
	rows, err := s.Quarantine(t.Context(), clickhouse.QuarantineFilter{Reason: reason})
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for i := range rows {
		places = append(places, rows[i].Arrival.Place())
	}
	return places
}

// checkRequeued reads the new record as the broker has it: same bytes, same key, the old headers
// and the new one, at the time of the last closing.
func (w *testWorld) checkRequeued(t *testing.T, topic, value string, when time.Time) {
	t.Helper()
	log, err := kafkalog.New(kafkalog.Options{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	got, err := log.Fetch(t.Context(), topic, 0, 2)
	if err != nil || len(got.Records) != 1 {
		t.Fatalf("%d new records, %v", len(got.Records), err)
	}
	r := &got.Records[0]
	if string(r.Value) != value || string(r.Key) != "1001" || !r.AppendTime.Equal(when) {
		t.Errorf("key %q, value %q, time %s", r.Key, r.Value, r.AppendTime)
	}
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	if len(headers) != 2 || headers["trace"] != "7" || headers[stored.RequeuedFrom] != topic+"/0/0" {
		t.Errorf("headers %v", headers)
	}
}

// Wrong usage is found before anything is connected to.
func TestVerifyAndRequeueUsage(t *testing.T) {
	for args, want := range map[string]string{
		"bills verify":                                           "--all is needed",
		"bills verify a/2023-01 --all":                           "exclude each other",
		"bills verify a/2023-01 --account a":                     "exclude each other",
		"bills verify --all --from 2023-02-30":                   "not a date",
		"bills verify --all":                                     "",
		"bills verify a/2023-01":                                 "",
		"quarantine requeue":                                     "or say --all",
		"quarantine requeue --dry-run":                           "or say --all",
		"quarantine requeue --reason nonsense":                   "not one of",
		"quarantine requeue --all --limit 0":                     "not above 0",
		"quarantine requeue --until tomorrow":                    "RFC 3339",
		"quarantine requeue --reason not_json":                   "",
		"quarantine requeue --all --dry-run":                     "",
		"quarantine requeue --account a --limit 10":              "",
		"quarantine redact --by a --why b":                       "choose records",
		"quarantine redact --by a --account b":                   "--by and --why are needed",
		"quarantine redact --by a --why b --place c/1":           "not topic/partition/offset",
		"quarantine redact --by a --why b --until x":             "RFC 3339",
		"quarantine redact --by a --why b --account c --limit 0": "not above 0",
		"quarantine redact --by a --why b --place calls/0/1":     "",
	} {
		root := &cobra.Command{Use: "tollstream", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(newBillsCommand(noStore), newQuarantineCommand(noStore))
		markUsageErrors(root)
		root.SetArgs(strings.Fields(args))
		err := root.Execute()
		if want == "" {
			if !errors.Is(err, errNoStore) {
				t.Errorf("%s: %v", args, err)
			}
			continue
		}
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a usage error with %q", args, err, want)
		}
	}
}

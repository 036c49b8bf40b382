package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/audit"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
)

// auditedBooks audits the world's database, which has to balance, and adds up the books of each
// partition.
func (w *testWorld) auditedBooks(t *testing.T) []settle.PartitionBooks {
	t.Helper()
	r, err := audit.Run(t.Context(), audit.Options{Store: w.openedStore(t),
		Zone: w.cat.Settings.Zone}, audit.Choice{Partition: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range r.Faults() {
		t.Errorf("audit: %s", fault)
	}
	return r.ByPartition()
}

// audit runs tollstream audit and gives what it says, without what differs from run to run.
func (w *testWorld) audit(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	have, stdout, stderr := w.command(t, append([]string{"audit"}, args...)...)
	if have != status {
		t.Errorf("audit %s: exit %d, want %d: %s%s", strings.Join(args, " "), have, status, stdout,
			stderr)
	}
	return withoutVolatile(stdout), stderr
}

func withoutVolatile(text string) string {
	return volatile.ReplaceAllStringFunc(text, func(s string) string {
		return strings.Repeat("x", len(s))
	})
}

// volatile are the ids of topics and the wall clock.
var volatile = regexp.MustCompile(`\b[0-9a-f]{32}\b|\b20(2[4-9]|[3-9]\d)-\d\d-\d\d[T ][0-9:.+]+`)

var updateAudit = flag.Bool("update-audit", false, "rewrite testdata/audit*.txt")

func (w *testWorld) auditGolden(t *testing.T, file string, status int, args ...string) string {
	t.Helper()
	stdout, stderr := w.audit(t, status, args...)
	path := filepath.Join("testdata", file)
	if *updateAudit {
		if err := os.WriteFile(path, []byte(stdout), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if stdout != string(want) {
		t.Errorf("audit says otherwise than %s (-update-audit rewrites it):\n%s", path, stdout)
	}
	return stderr
}

// auditShows runs an audit, which has to balance, and looks for lines in what it says.
func (w *testWorld) auditShows(t *testing.T, lines ...string) {
	t.Helper()
	stdout, stderr := w.audit(t, exitDone)
	for _, line := range lines {
		if !regexp.MustCompile(line).MatchString(stdout) || stderr != "" {
			t.Errorf("audit does not show %s: %s%s", line, stdout, stderr)
		}
	}
}

// TestAudit audits three days of every kind of record; then someone deletes one row of each kind by
// hand, and the audit names each record by place and by what it is.
func TestAudit(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.open("acme")
	offsets := make([]map[string]int64, 3) // before each day
	for day := range offsets {
		offsets[day] = map[string]int64{}
		for log, next := range f.next {
			offsets[day][log] = next
		}
		f.someDay(day)
	}
	if _, stderr := w.audit(t, exitFailed); !strings.Contains(stderr, "no closing is done yet") {
		t.Errorf("before the first closing: %s", stderr)
	}
	w.runUntil(t, f.at(3, 8))
	if stderr := w.auditGolden(t, "audit.txt", exitDone); stderr != "" {
		t.Errorf("a good audit says %q", stderr)
	}

	call := func(day, partition int) string { // of the first record of a day
		return fmt.Sprintf("topic = 'faceid.calls' AND partition = %d AND offset = %d", partition,
			offsets[day][fmt.Sprintf("faceid.calls/%d", partition)])
	}
	malformed := fmt.Sprintf("partition = 2 AND offset = %d", offsets[1]["faceid.calls/2"]+1)
	for _, x := range []struct{ table, where string }{
		{"call_copies", call(1, 0)},            // a call that counts
		{"call_copies", call(1, 2)},            // a duplicate that differs
		{"quarantined_records", malformed},     //
		{"account_events", "event_id='pay-1'"}, //
		{"deliveries", call(2, 1)},             // of a duplicate
		{"taken_calls", call(2, 0)},            //
	} {
		if n := w.sql(t, "SELECT count() FROM "+x.table+" FINAL WHERE "+x.where); n != "1" {
			t.Errorf("%s rows of %s are where %s", n, x.table, x.where)
		}
		w.sql(t, "ALTER TABLE "+x.table+" DELETE WHERE "+x.where+" SETTINGS mutations_sync = 2")
	}
	stderr := w.auditGolden(t, "audit_off.txt", exitFailed)
	if !strings.HasPrefix(stderr, "tollstream: the books are off in ") ||
		strings.Count(stderr, "\n") != 1 {
		t.Errorf("%s", stderr)
	}
	w.checkAuditJSON(t)
	w.checkAuditChoices(t)
	w.checkAuditDocs(t)

	brokers := w.cfg.Kafka.Brokers
	defer func() { w.cfg.Kafka.Brokers = brokers }()
	w.cfg.Kafka.Brokers = []string{"127.0.0.1:1"}
	stdout, stderr := w.audit(t, exitFailed, "--partition", "1")
	if !strings.Contains(stdout, "[2, 3)  unknown  deliveries") ||
		!strings.Contains(stderr, "what stood at offsets that are unknown is not looked at: ") {
		t.Errorf("without Kafka: %s%s", stdout, stderr)
	}
}

// checkAuditJSON reads what is off as a program does.
func (w *testWorld) checkAuditJSON(t *testing.T) {
	t.Helper()
	stdout, _ := w.audit(t, exitFailed, "--format", "json")
	var r struct {
		From, To string
		Balances bool
		Books    []struct {
			Day, Topic, Fault          string
			Partition                  int32
			Low, High, Read, Data      int64
			Charged, Duplicate, Events int64
			Balances                   bool
			Missing                    []settle.Missing
		}
		Taken []struct {
			Day          string
			Took, Stored int64
			Missing      []settle.Missing
		}
		Gaps, Skipped []any
		Epochs        []struct{ Topic string }
		Faults        []string
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range r.Books {
		if b.Balances != (b.Fault == "" && len(b.Missing) == 0) || b.Read != b.High-b.Low {
			t.Errorf("%+v", b)
		}
		for _, m := range b.Missing {
			if m.Topic != b.Topic || m.Partition != b.Partition {
				t.Errorf("%+v is named in %s/%d", m, b.Topic, b.Partition)
			}
			names = append(names, b.Day+" "+m.String())
		}
	}
	for _, x := range r.Taken {
		names = append(names, fmt.Sprintf("%s %d of %d, %s", x.Day, x.Stored, x.Took, &x.Missing[0]))
	}
	want := []string{
		"2023-02-02 billing.account-events/0 offset 2 (event, no row in account_events)",
		"2023-02-02 faceid.calls/0 offset 2 (call, no row in call_copies)",
		"2023-02-02 faceid.calls/2 offset 2 (duplicate, no row in call_copies)",
		"2023-02-02 faceid.calls/2 offset 3 (quarantined, no row in quarantined_records)",
		"2023-02-03 faceid.calls/1 offset 2 (duplicate, no row in deliveries)",
		"2023-02-03 1 of 2, faceid.calls/0 offset 4 (call, no row in taken_calls)",
	}
	if r.Balances || r.From != "2023-02-01" || r.To != "2023-02-03" || len(r.Epochs) != 2 ||
		!slices.Equal(names, want) {
		t.Errorf("%s to %s, %d epochs:\n%s", r.From, r.To, len(r.Epochs), strings.Join(names, "\n"))
	}
	if len(r.Faults) == 0 || r.Gaps == nil || r.Skipped == nil {
		t.Errorf("%s", stdout)
	}
}

// checkAuditDocs compares the example in docs/books.md, ids and times apart.
func (w *testWorld) checkAuditDocs(t *testing.T) {
	t.Helper()
	want, _ := w.audit(t, exitFailed, "--from", "2023-02-02", "--to", "2023-02-03")
	text, err := os.ReadFile("../../docs/books.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "## Audit")
	_, after, _ = strings.Cut(after, "```text\n")
	example, _, _ := strings.Cut(after, "```")
	if have := withoutVolatile(example); have != want {
		t.Errorf("docs/books.md shows another audit:\n%s\nwant\n%s", have, want)
	}
}

// checkAuditChoices narrows the audit to what is good, to what is not, and to nothing.
func (w *testWorld) checkAuditChoices(t *testing.T) {
	t.Helper()
	for _, x := range []struct {
		args   string
		status int
		says   string
	}{
		{"--to 2023-02-02", exitDone, "\n4 of 4 books balance; every row stands\n"},
		{"--topic faceid.calls --partition 1 --from 2023-02-02 --to 2023-02-03", exitDone,
			"\n1 of 1 books balance; every row stands\n"},
		{"--topic billing.account-events", exitFailed, "\n2 of 3 books balance; 1 rows are missing\n"},
		{"--topic faceid.calls --partition 1", exitFailed, "books are off in 2 places"},
		{"--topic other", exitFailed, "records of billing.account-events, faceid.calls"},
		{"--from 2023-02-04", exitFailed, "those of 2023-02-01 to 2023-02-03"},
		{"--from yesterday", exitUsage, "--from"},
		{"--format xml", exitUsage, "neither table nor json"},
	} {
		stdout, stderr := w.audit(t, x.status, strings.Fields(x.args)...)
		if !strings.Contains(stdout+stderr, x.says) {
			t.Errorf("audit %s: %s%s", x.args, stdout, stderr)
		}
	}
}

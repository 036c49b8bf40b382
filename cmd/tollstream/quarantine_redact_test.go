package main

import (
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// TestRedact takes the bytes of a record away: they are nowhere in ClickHouse afterwards, not even
// when the topics are read again from the first offset on; bills, books and digests are what they
// were; requeue refuses the record and says why.
func TestRedact(t *testing.T) {
	const personal = "Zhang-San-110101199003070000"
	w := newTestWorld(t, t.TempDir())
	topics := &w.cfg.Kafka.Topics
	w.send(t, topics.AccountEvents, opened1001, "2023-02-01T00:00:00+08:00")
	bad := `{"call_id":"c1","account_id":"1001","name":"` + personal + `","result_code":"0"}`
	w.send(t, topics.Calls[0], bad, "2023-02-01T10:00:01+08:00")
	w.send(t, topics.Calls[0], `{"call_id":"c2","account_id":"1001","action":"IdCardVerification",`+
		`"occurred_at":"2023-02-01T10:00:00+08:00","result_code":"0"}`, "2023-02-01T11:00:00+08:00")
	w.cfg.Settle.FirstClosing = billing.DateOf(2023, 2, 1)
	w.runUntil(t, instant(t, "2023-02-02T08:00:00+08:00"))
	s := w.openedStore(t)
	before := w.accounts(t)

	place := topics.Calls[0] + "/0/0"
	redact := []string{"quarantine", "redact", "--by", "privacy officer", "--why", "ticket 7"}
	status, got, _ := w.command(t, append(redact, "--place", place, "--dry-run")...)
	if status != exitDone || got != "would redact 1 records\n" {
		t.Fatalf("dry run: %d, %q", status, got)
	}
	status, got, stderr := w.command(t, append(redact, "--place", place)...)
	if status != exitDone || got != "redacted 1 records\n" {
		t.Fatalf("redact: %d, %q, %q", status, got, stderr)
	}
	if status, got, _ = w.command(t, append(redact, "--place", place)...); status != exitDone ||
		got != "redacted 0 records\n" {
		t.Errorf("again: %d, %q", status, got)
	}
	w.checkRedacted(t, bad, personal)

	// Ingest reads everything again, since the rewind reaches beyond the first record.
	w.cfg.Settle.Until = instant(t, "2023-02-03T08:00:00+08:00")
	w.runUntil(t, w.cfg.Settle.Until)
	w.checkRedacted(t, bad, personal)
	if after := w.accounts(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if left := w.quarantined(t, s, billing.FieldMissing); len(left) != 1 || left[0] != place {
		t.Errorf("in quarantine: %v", left)
	}
	status, got, stderr = w.command(t, "quarantine", "requeue", "--reason", "field_missing")
	if status != exitFailed || !strings.HasPrefix(got, "requeued 0 records") ||
		!strings.Contains(stderr, "their bytes were redacted") {
		t.Errorf("requeue: %d, %q, %q", status, got, stderr)
	}
}

// TestBytesAreKeptAsLongAsWanted: the bytes of a refused record go when they are old enough, of
// whatever reason, and the record is still counted.
func TestBytesAreKeptAsLongAsWanted(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	topics := &w.cfg.Kafka.Topics
	w.send(t, topics.AccountEvents, opened1001, "2023-02-01T00:00:00+08:00")
	w.send(t, topics.Calls[0], "{secret", "2023-02-01T10:00:01+08:00")
	w.cfg.Settle.FirstClosing = billing.DateOf(2023, 2, 1)
	w.runUntil(t, instant(t, "2023-02-02T08:00:00+08:00"))
	bytes := func() string {
		return w.sql(t, "SELECT count(), countIf(value != '') FROM quarantined_records FINAL")
	}
	if got := bytes(); got != "1\t1" {
		t.Fatalf("records and those with bytes: %q", got)
	}
	before := w.accounts(t)

	w.cfg.Settle.Until, w.cfg.Quarantine.KeepBytes = 0, 24*time.Hour
	s, err := build(t.Context(), w.cfg, w.logger)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go s.Run(t.Context()) //nolint:errcheck // it ends with the test
	eventually(t, "the bytes are gone", func() (bool, string) {
		got := bytes()
		return got == "1\t0", got
	})
	by := w.sql(t, "SELECT redacted_by FROM redacted_records")
	if !strings.Contains(by, "keep_bytes") {
		t.Errorf("redacted by %q", by)
	}
	if after := w.accounts(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// accounts are the bills as they were made, their verification, and the books of the first closing.
func (w *testWorld) accounts(t *testing.T) string {
	t.Helper()
	status, verified, stderr := w.command(t, "bills", "verify", "--all")
	if status != exitDone {
		t.Errorf("verify: %d, %q, %q", status, verified, stderr)
	}
	list, err := w.openedStore(t).Settlements(t.Context())
	if err != nil || len(list) == 0 {
		t.Fatal(len(list), err)
	}
	return verified + list[0].Books + "\n" + string(w.bills(t))
}

// checkRedacted looks for the bytes in every form in which the quarantine shows them.
func (w *testWorld) checkRedacted(t *testing.T, value, personal string) {
	t.Helper()
	sql := "http://" + w.cfg.ClickHouse.Addr + "/?database=" + w.cfg.ClickHouse.Database + "&query="
	for _, table := range []string{"quarantine", "quarantined_records", "quarantined_records+FINAL"} {
		status, rows := get(t, sql+"SELECT+*+FROM+"+table+"+FORMAT+JSONEachRow")
		text := string(rows)
		if status != 200 || strings.Contains(text, personal) || strings.Contains(text, "trace") ||
			!strings.Contains(text, "redacted: ticket 7") {
			t.Errorf("%s: %d, %s", table, status, text)
		}
	}
	_, rows := get(t, sql+"SELECT+*+FROM+redacted_records+FINAL+FORMAT+JSONEachRow")
	if text := string(rows); strings.Count(text, "\n") != 1 || !strings.Contains(text, "ticket 7") ||
		!strings.Contains(text, stored.ValueHash([]byte(value))) ||
		!strings.Contains(text, "privacy officer") {
		t.Errorf("what is kept: %s", text)
	}
}

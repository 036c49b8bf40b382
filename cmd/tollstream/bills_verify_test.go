package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/sinks/clickhouse"
)

// sql runs a statement on the embedded ClickHouse, as someone who tampers with it would, and gives
// the answer.
func (w *testWorld) sql(t *testing.T, statement string) string {
	t.Helper()
	c := &w.cfg.ClickHouse
	at := url.URL{Scheme: "http", Host: c.Addr, Path: "/", RawQuery: url.Values{
		"database": {c.Database}, "user": {c.User}, "password": {string(c.Password)}}.Encode()}
	answer, err := http.Post(at.String(), "text/plain", strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", statement, text)
	}
	return strings.TrimSpace(string(text))
}

// command runs a command line against the world's servers and gives its exit status and output.
func (w *testWorld) command(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), append(args, w.connection()...), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// connection are the flags that point a command at the world's servers.
func (w *testWorld) connection() []string {
	return []string{"--clickhouse.addr", w.cfg.ClickHouse.Addr,
		"--clickhouse.protocol", w.cfg.ClickHouse.Protocol, "--time.mode", w.cfg.Time.Mode,
		"--kafka.brokers", strings.Join(w.cfg.Kafka.Brokers, ",")}
}

// openedStore is the world's store, open for the length of the test.
func (w *testWorld) openedStore(t *testing.T) *clickhouse.Store {
	t.Helper()
	s, err := openStore(t.Context(), w.cfg, w.cat)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestBillsVerify lets bills be verified as the stream made them, and again each time after someone
// has changed a stored row behind its back.
func TestBillsVerify(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	g, err := generate.New(generate.Options{
		Seed: 21, Catalog: w.cat, From: billing.DateOf(2023, 1, 28), To: billing.DateOf(2023, 2, 3),
		Accounts: 8, Calls: 2_000, CallPartitions: callPartitions,
		Rates: generate.Rates{Duplicates: 0.05, Conflicts: 0.4, Late: 0.1, Malformed: 0.01,
			Unknown: 0.01, UnknownCodes: 0.01},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.generated(t, g)
	w.cfg.Settle.FirstClosing = g.FirstClosing()
	w.runUntil(t, g.Until())
	s := w.openedStore(t)
	status, got, stderr := w.command(t, "bills", "verify", "--all")
	if status != exitDone || stderr != "" || !strings.HasSuffix(got, ", 0 differ\n") {
		t.Fatalf("untouched bills: %d, %q\n%s", status, stderr, got)
	}
	all := got
	status, got, stderr = w.command(t, "bills", "verify", "--all", "--from", "2023-01-29", "--to",
		"2023-02-01")
	if status != exitDone || strings.Contains(got, "2023-01 ") ||
		!strings.Contains(got, "2023-01-31 ") {
		t.Errorf("some days: %d, %q\n%s", status, stderr, got)
	}
	bills, err := s.Bills(t.Context(), clickhouse.BillFilter{})
	if err != nil || len(bills) < 10 {
		t.Fatalf("%d bills, %v", len(bills), err)
	}
	want := fmt.Sprintf("\n%d bills verified: %d ok, 0 differ\n", len(bills), len(bills))
	if !strings.HasSuffix(all, want) {
		t.Errorf("%s\nwant %s", all, want)
	}
	for _, b := range bills { // one by one, each by the records of its account alone
		var out bytes.Buffer
		if err := verifyBill(t.Context(), s, w.cat, b.BillID, &out); err != nil {
			t.Errorf("%s alone: %v\n%s", b.BillID, err, out.String())
		}
	}
	w.checkSimulate(t, bills)
	w.tamper(t, s, bills[len(bills)/2])
}

// tamper changes one place of a stored bill after another, and back again.
func (w *testWorld) tamper(t *testing.T, s *clickhouse.Store, b *billing.Bill) {
	t.Helper()
	id := b.BillID
	for _, change := range []struct{ table, column, to, want string }{
		{"closed_bills", "total", "total + 1", "tables: total: stored "},
		{"closed_bills", "json", "replaceOne(json, '\"quantity\":', '\"quantity\":9')",
			"JSON: line 1: quantity: stored "},
		{"closed_bills", "json", "concat(json, ' ')", "JSON: form: stored bytes written"},
		{"closed_bills", "digest", "'0'", "tables: digest: stored \"0\""},
		{"closed_bill_lines", "amount", "if(line_no = 1, amount + 1, amount)",
			"tables: line 1: amount: stored "},
		{"closed_bill_lines", "explain", "'[]'", "tables: line 1: explain: stored []"},
	} {
		w.sql(t, "CREATE OR REPLACE TABLE kept ENGINE = Memory AS SELECT * FROM "+change.table+
			" FINAL WHERE bill_id = '"+id+"'")
		w.sql(t, "INSERT INTO "+change.table+" SELECT * REPLACE ("+change.to+" AS "+change.column+
			") FROM kept")
		var out bytes.Buffer
		err := verifyBills(t.Context(), s, w.cat, clickhouse.BillFilter{}, &out, io.Discard)
		if !errors.Is(err, errDiffers) || !strings.Contains(err.Error(), id) {
			t.Errorf("%s.%s = %s: %v", change.table, change.column, change.to, err)
		}
		if line := lineOf(out.String(), id); !strings.Contains(line, change.want) ||
			!strings.HasSuffix(out.String(), ", 1 differ\n") {
			t.Errorf("%s.%s = %s: %q, want %q\n%s", change.table, change.column, change.to, line,
				change.want, out.String())
		}
		status, stdout, stderr := w.command(t, "bills", "verify", id)
		if status != exitFailed || !strings.Contains(stdout, change.want) {
			t.Errorf("the bill alone: %d, %q\n%s", status, stderr, stdout)
		}
		t.Logf("%s%s", stdout, stderr)
		w.sql(t, "INSERT INTO "+change.table+" SELECT * FROM kept")
	}
	var out bytes.Buffer
	if err := verifyBill(t.Context(), s, w.cat, id, &out); err != nil {
		t.Errorf("after everything was put back: %v\n%s", err, out.String())
	}
	err := verifyBill(t.Context(), s, w.cat, "nobody/2023-01", io.Discard)
	if !errors.Is(err, clickhouse.ErrNotFound) {
		t.Errorf("a bill that is not there: %v", err)
	}
	w.sql(t, "DELETE FROM closed_bills WHERE bill_id = '"+id+"'")
	err = verifyBills(t.Context(), s, w.cat, clickhouse.BillFilter{Account: b.AccountID}, &out,
		io.Discard)
	if !errors.Is(err, errDiffers) || !strings.Contains(out.String(), "it is not stored") {
		t.Errorf("a bill that is gone: %v\n%s", err, out.String())
	}
}

func lineOf(text, id string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, id+" ") {
			return line
		}
	}
	return ""
}

// TestBillsVerifyAcrossCatalogues closes the first days with a catalogue that has no tag for one
// product and another price for a second one, and the rest with the usual one. Calls of the first
// product that arrived shortly before the change are taken after it, older ones are not (B26).
func TestBillsVerifyAcrossCatalogues(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	path := w.changedCatalog(t, "- {cohorts: all, tag: idcard}",
		"- {cohorts: [A], tag: idcard}\n        - {cohorts: [B, C], tag: none}",
		"    intention_self:\n      - {price: \"0.80\", source: P-day}",
		"    intention_self:\n      - {price: \"0.85\", source: P-day}")
	g, err := generate.New(generate.Options{
		Seed: 22, Catalog: w.cat, From: billing.DateOf(2023, 1, 26), To: billing.DateOf(2023, 2, 3),
		Accounts: 8, Calls: 2_000, CallPartitions: callPartitions,
		Rates: generate.Rates{Duplicates: 0.05, Conflicts: 0.4, Late: 0.1, Unknown: 0.01},
	})
	if err != nil {
		t.Fatal(err)
	}
	records := w.generated(t, g)
	w.cfg.Settle.FirstClosing = g.FirstClosing()
	w.cfg.Catalog = path
	w.runUntil(t, billing.InstantOf(time.Date(2023, 1, 31, 0, 0, 0, 0, time.UTC)))
	w.cfg.Catalog = ""
	w.runUntil(t, g.Until())

	s := w.openedStore(t)
	var out bytes.Buffer
	err = verifyBills(t.Context(), s, w.cat, clickhouse.BillFilter{}, &out, io.Discard)
	if err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	bills, err := s.Bills(t.Context(), clickhouse.BillFilter{})
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]int{}
	learnt := 0
	for _, b := range bills {
		made[b.CatalogDigest]++
		for i := range b.Lines {
			if l := &b.Lines[i]; l.Tag == "idcard" && l.Period == "2023-01-30" {
				learnt++
			}
		}
	}
	t.Logf("bills by catalogue: %v, %d lines of 30 January with the learnt tag", made, learnt)
	if len(made) != 2 || made[w.cat.Digest] == 0 || learnt == 0 {
		t.Error("the change of catalogue was to show on the bills")
	}
	w.checkRebuiltTables(t, acrossCatalogues())
	w.checkSimulateTag(t, g.FirstClosing(), billing.DateOf(2023, 1, 30), records)
	w.sql(t, "DELETE FROM catalogs WHERE digest != '"+w.cat.Digest+"'")
	err = verifyBills(t.Context(), s, w.cat, clickhouse.BillFilter{}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "the table catalogs has no catalogue") {
		t.Errorf("without the first catalogue: %v", err)
	}
}

package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/sinks/clickhouse"
)

// sql runs a statement on the embedded ClickHouse, as someone who tampers with it would.
func (w *testWorld) sql(t *testing.T, statement string) {
	t.Helper()
	c := &w.cfg.ClickHouse
	at := url.URL{Scheme: "http", Host: c.Addr, Path: "/", RawQuery: url.Values{
		"database": {c.Database}, "user": {c.User}, "password": {string(c.Password)}}.Encode()}
	answer, err := http.Post(at.String(), "text/plain", strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", statement, text)
	}
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
		Seed: 21, Catalog: w.cat, From: billing.DateOf(2022, 12, 29), To: billing.DateOf(2023, 1, 4),
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
	verify := func(f clickhouse.BillFilter) (string, error) {
		t.Helper()
		var out bytes.Buffer
		err := verifyBills(t.Context(), s, w.cat, f, &out, io.Discard)
		return out.String(), err
	}
	got, err := verify(clickhouse.BillFilter{})
	if err != nil || strings.Contains(got, "differs") || !strings.Contains(got, ", 0 differ\n") {
		t.Fatalf("untouched bills: %v\n%s", err, got)
	}
	bills, err := s.Bills(t.Context(), clickhouse.BillFilter{})
	if err != nil || len(bills) < 10 {
		t.Fatalf("%d bills, %v", len(bills), err)
	}
	if n := strings.Count(got, "  ok\n"); n != len(bills) {
		t.Errorf("%d bills are ok, %d are stored", n, len(bills))
	}
	for _, b := range bills { // one by one, each by the records of its account alone
		var out bytes.Buffer
		if err := verifyBill(t.Context(), s, w.cat, b.BillID, &out); err != nil {
			t.Errorf("%s alone: %v\n%s", b.BillID, err, out.String())
		}
	}
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
		{"closed_bills", "json", "concat(json, ' ')", "the bytes differ, and no field does"},
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
		t.Log(strings.TrimSpace(lineOf(out.String(), id)))
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

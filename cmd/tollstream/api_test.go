package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/sinks/clickhouse"
)

// TestAPI asks the HTTP API of a pipeline that has closed bills.
func TestAPI(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	g, err := generate.New(generate.Options{Seed: 5, Catalog: w.cat, CallPartitions: callPartitions,
		From: billing.DateOf(2023, 2, 1), To: billing.DateOf(2023, 2, 3), Accounts: 4, Calls: 500})
	if err != nil {
		t.Fatal(err)
	}
	w.generated(t, g)
	w.cfg.Settle.FirstClosing = g.FirstClosing()
	w.runUntil(t, g.Until())
	store, err := openStore(t.Context(), w.cfg, w.cat)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	mux := http.NewServeMux()
	addAPI(mux, store, w.cat.Settings.Zone, w.logger)
	server := httptest.NewServer(mux)
	defer server.Close()

	status, body := get(t, server.URL+"/v1/bills?cycle=daily")
	first, _, _ := bytes.Cut(body, []byte("\n"))
	var bill struct {
		BillID string `json:"bill_id"`
	}
	if err := json.Unmarshal(first, &bill); status != 200 || err != nil || bill.BillID == "" {
		t.Fatalf("status %d, %v: %s", status, err, first)
	}
	if status, body = get(t, server.URL+"/v1/bills/"+bill.BillID); status != 200 ||
		!bytes.Equal(body, first) {
		t.Errorf("status %d; one bill is not the bill of the list: %s", status, body)
	}
	_, body = get(t, server.URL+"/v1/bills")
	for raw := range bytes.Lines(body) {
		checkCallsOfLines(t, server.URL, raw)
	}
	for path, want := range map[string]int{
		"/v1/bills/nobody/2023-02": 404, "/v1/bills?from=soon": 400, "/v1/settlements": 200,
	} {
		if status, body = get(t, server.URL+path); status != want {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
}

// checkCallsOfLines asks for the calls behind each line of a bill: there are as many as it says.
func checkCallsOfLines(t *testing.T, url string, raw []byte) {
	t.Helper()
	b, err := clickhouse.DecodeBill(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Lines {
		l := &b.Lines[i]
		if !clickhouse.OwnCalls(l.Kind) {
			continue
		}
		status, calls := get(t, fmt.Sprintf("%s/v1/bills/%s/lines/%d/calls", url, b.BillID, l.No))
		n := int64(bytes.Count(calls, []byte("\n")))
		if status != 200 || n != max(l.Quantity, -l.Quantity) {
			t.Errorf("%s line %d (%s) of %d calls: status %d, %d calls", b.BillID, l.No, l.Kind,
				l.Quantity, status, n)
		}
	}
}

func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/sinks/clickhouse"
)

// explainedStory sends, for a daily account with a contract price whose second tier begins with the
// third call of the month: usage of a main and a sub-account, a late call that reaches the second
// tier, packages that take turns, calls while postpaid is off, and voids of one call of each kind.
func explainedStory(f *feed) {
	at := f.at
	sub := func(day, hour int, id, code string, partition int) {
		f.send(at(day, hour), batch.CallRecord, partition, fmt.Sprintf(`{"call_id":%q,`+
			`"account_id":"acme-sub","occurred_at":%q,"action":"IdCardVerification",`+
			`"result_code":%q}`, id, at(day, hour), code))
	}
	buy := func(hour int, event, id string, quota int) {
		f.event(at(2, hour), "package.delivered", event, "acme", fmt.Sprintf(`,"package_id":%q,`+
			`"tag":"idcard","kind":"paid","quota":%d,"price":"1","delivered_at":%q`, id, quota,
			at(2, hour)), at(2, hour))
	}
	f.event(at(0, 1), "account.opened", "e1", "acme", fmt.Sprintf(`,"opened_at":%q`, at(0, 0)),
		at(0, 1))
	f.event(at(0, 2), "balance.topped_up", "e9", "acme", `,"amount":"100"`, at(0, 2))
	f.event(at(0, 2), "price.agreed", "e2", "acme", `,"tag":"idcard","mode":"volume",`+
		`"from":"2023-02-01","tiers":[{"from_quantity":0,"unit_price":"0.333"},`+
		`{"from_quantity":3,"unit_price":"0.2"}]`, at(0, 2))
	f.event(at(0, 3), "sub_account.added", "e3", "acme", `,"sub_account_id":"acme-sub"`, at(0, 3))
	f.call(at(0, 9), "u1", "acme", at(0, 9))
	sub(0, 10, "u2", "0", 1)
	f.call(at(1, 9), "u3", "acme", at(1, 9))
	f.call(at(1, 12), "late", "acme", at(0, 11))
	sub(1, 13, "u2", "-1", 2) // another copy with another code and time; the first one counts
	buy(8, "e4", "p", 2)
	buy(9, "e5", "q", 2)
	for i, id := range []string{"c1", "c2", "c3"} {
		f.call(at(2, 10+i), id, "acme", at(2, 10+i))
	}
	f.event(at(3, 9), "usage.voided", "e6", "acme", `,"call_ids":["c1","u2"],"reason":"test"`,
		at(3, 9))
	f.event(at(4, 8), "postpaid.disabled", "e7", "acme", "", at(4, 8))
	for i, id := range []string{"d1", "d2", "d3"} {
		f.call(at(4, 10+i), id, "acme", at(4, 10+i))
	}
	f.event(at(5, 9), "usage.voided", "e8", "acme", `,"call_ids":["d3"],"reason":"test"`, at(5, 9))
}

// TestExplainCalls lists the calls behind every line of bills that the stream made: those that the
// story has for it, as many as the line says, with their places in Kafka. When somebody removes one
// from the store, command line and API say so.
func TestExplainCalls(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	explainedStory(f)
	w.cfg.Settle.FirstClosing = f.day
	w.runUntil(t, f.at(7, 8))

	have := w.callsOfLines(t, "acme")
	want := []string{
		"02-01 1 usage u1 u2", "02-01 2 rounding",
		"02-02 1 usage u3", "02-02 2 tier_adjustment", "02-02 3 late_usage late", "02-02 4 rounding",
		"02-03 1 covered c1 c2", "02-03 2 covered c3",
		"02-04 1 voided u2", "02-04 2 voided c1",
		"02-05 1 covered d1", "02-05 2 covered d2", "02-05 3 uncovered d3",
		"02-06 1 voided d3",
	}
	if !slices.Equal(have, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	for _, test := range []struct {
		args string
		want []string // rows of the output, their columns one space apart
	}{
		{"acme/2023-02-01 1", []string{
			"Calls of line 1: 2", "2023-02-01 faceid.calls 0 0 0 1", "2023-02-01 faceid.calls 1 0 0 1",
			"u1 2023-02-01T09:00:00+08:00 acme 0 faceid.calls 0 0 2023-02-02 08:00",
			"u2 2023-02-01T10:00:00+08:00 acme-sub 0 faceid.calls 1 0 2023-02-02 08:00"}},
		{"acme/2023-02-01 1 --limit 1", []string{
			"Calls of line 1: 2", "line 1: the first 1 of 2 calls are listed; --limit 0 lists all"}},
		{"acme/2023-02-02 2", []string{
			"Line 2 has no calls of its own. Those of 2023-02 are behind these lines:",
			"acme/2023-02-01 1 usage 2023-02-01 2"}},
		{"acme/2023-02-04", []string{
			"u2 2023-02-01T10:00:00+08:00 acme-sub 0 faceid.calls 1 0 2023-02-02 08:00 e6",
			"c1 2023-02-03T10:00:00+08:00 acme 0 faceid.calls 0 3 2023-02-04 08:00 e6"}},
	} {
		status, stdout, stderr := w.command(t, append(
			[]string{"bills", "explain", "--calls"}, strings.Fields(test.args)...)...)
		rows := rowsOf(stdout + stderr)
		for _, want := range test.want {
			if status != exitDone || !slices.Contains(rows, want) {
				t.Errorf("%s: status %d, no row %q in\n%s%s", test.args, status, want, stdout, stderr)
			}
		}
	}
	w.missedCall(t)
}

// missedCall has command line and API notice that a call of a line is gone.
func (w *testWorld) missedCall(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	addAPI(mux, w.openedStore(t), w.cat.Settings.Zone, w.logger)
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, want := range map[string]int{"2/calls": 404, "3/calls?limit=-1": 400, "9/calls": 404,
		"3/calls": 200} {
		if status, body := get(t, server.URL+"/v1/bills/acme/2023-02-02/lines/"+path); status != want {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
	w.sql(t, "DELETE FROM taken_by_line WHERE call_id = 'late'")
	said := "line 3 of bill acme/2023-02-02 says 1 call and the store has 0"
	status, _, stderr := w.command(t, "bills", "explain", "acme/2023-02-02", "--calls")
	if status != exitFailed || !strings.Contains(stderr, said) {
		t.Errorf("status %d: %s", status, stderr)
	}
	status, body := get(t, server.URL+"/v1/bills/acme/2023-02-02/lines/3/calls")
	if status != http.StatusInternalServerError || !strings.Contains(string(body), said) {
		t.Errorf("status %d: %s", status, body)
	}
}

// rowsOf gives lines with the columns one space apart.
func rowsOf(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out
}

// callsOfLines asks the command line for the calls behind every line of an account's bills.
func (w *testWorld) callsOfLines(t *testing.T, account string) []string {
	t.Helper()
	bills, err := w.openedStore(t).Bills(t.Context(), clickhouse.BillFilter{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, b := range bills {
		for i := range b.Lines {
			l := &b.Lines[i]
			status, stdout, stderr := w.command(t, "bills", "explain", b.BillID, fmt.Sprint(l.No),
				"--calls", "--format", "json")
			if status != exitDone {
				t.Errorf("%s line %d: status %d: %s", b.BillID, l.No, status, stderr)
			}
			text := fmt.Sprintf("%s %d %s", b.BillID[len("acme/2023-"):], l.No, l.Kind)
			for line := range strings.Lines(stdout) {
				var c lineCallJSON
				if err := json.Unmarshal([]byte(line), &c); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				text += " " + c.CallID
			}
			out = append(out, text)
		}
	}
	return out
}

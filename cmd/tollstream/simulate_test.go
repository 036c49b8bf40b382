package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
)

// changedCatalog writes the world's catalogue with some texts changed, each given as what it was
// and what it is, and gives the file.
func (w *testWorld) changedCatalog(t *testing.T, changes ...string) string {
	t.Helper()
	file := string(w.cat.File)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(file, changes[i]) {
			t.Fatalf("the catalogue has no %s", changes[i])
		}
		file = strings.ReplaceAll(file, changes[i], changes[i+1])
	}
	path := filepath.Join(t.TempDir(), "changed.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// simulateJSON runs `tollstream simulate --format json` and reads what it says.
func (w *testWorld) simulateJSON(
	t *testing.T, path, from, to string, more ...string,
) *wireSimulation {
	t.Helper()
	status, stdout, stderr := w.command(t, append([]string{"simulate", "--catalog", path, "--from",
		from, "--to", to, "--format", "json"}, more...)...)
	var out wireSimulation
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || status != exitDone {
		t.Fatalf("simulate: %d, %v, %s\n%s", status, err, stderr, stdout)
	}
	return &out
}

// contents fingerprints every table of the database: its rows and the number of the last block that
// was inserted. A merge of ClickHouse's own changes neither, a written row the one or the other.
func (w *testWorld) contents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	tables := w.sql(t, "SELECT name, if(engine LIKE '%Replacing%', 'FINAL', '') FROM system.tables "+
		"WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")
	for line := range strings.Lines(tables) {
		table, final, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		out[table] = w.sql(t, "SELECT count(), groupBitXor(cityHash64(toString(tuple(*)))), "+
			"(SELECT max(max_block_number) FROM system.parts WHERE active AND "+
			"database = currentDatabase() AND table = '"+table+"') FROM "+table+" "+final)
	}
	return out
}

// checkSimulate simulates all closings, which the world's catalogue made: with the same catalogue,
// and with another price of one tag. It writes nothing.
func (w *testWorld) checkSimulate(t *testing.T, bills []*billing.Bill) {
	t.Helper()
	before := w.contents(t)
	w.sql(t, "OPTIMIZE TABLE duplicate_copies FINAL") // ClickHouse may merge at any time
	days := strings.Fields(w.sql(t, "SELECT min(day), max(day) + 1 FROM settlements"))
	same := w.simulateJSON(t, w.changedCatalog(t), days[0], days[1], "--all")
	if len(same.Accounts) < 5 || same.Totals.AccountsDiffer != 0 || same.Totals.Bills != len(bills) {
		t.Errorf("the same catalogue: %+v", same.Totals)
	}
	const price = "basic_auth:\n      - {price: \"1.00\", source: P-day}"
	dearer := w.changedCatalog(t, price, strings.Replace(price, "1.00", "1.07", 1))
	w.checkPrice(t, dearer, days[0], days[1], bills)
	after := w.contents(t)
	for table, was := range before {
		if after[table] != was {
			t.Errorf("table %s: before %s, after %s", table, was, after[table])
		}
	}
	if len(before) < 10 || len(after) != len(before) {
		t.Errorf("%d tables before, %d after", len(before), len(after))
	}
}

// checkPrice simulates with basic_auth dearer by 0.07 CNY for daily accounts: each bill differs by
// that for each of its postpaid calls of the tag, as JSON, as CSV and for one account alone.
func (w *testWorld) checkPrice(
	t *testing.T, dearer, from, to string, bills []*billing.Bill,
) {
	t.Helper()
	want := map[string]decimal.Decimal{}
	var sum decimal.Decimal
	account := ""
	for _, b := range bills {
		for i := range b.Lines {
			l := &b.Lines[i]
			if l.Tag == "basic_auth" && b.Period.Cycle == billing.Daily &&
				(l.Kind == billing.UsageLine || l.Kind == billing.LateUsageLine) {
				more := decimal.New(7*l.Quantity, -2)
				want[b.BillID], sum, account = want[b.BillID].Add(more), sum.Add(more), b.AccountID
			}
		}
	}
	got := w.simulateJSON(t, dearer, from, to)
	if len(want) < 3 || got.Totals.Difference != sum.StringFixed(2) ||
		len(got.Totals.Tags) != 1 || got.Totals.Tags[0].Difference != sum.StringFixed(2) {
		t.Errorf("%d bills with the tag, wanted in sum %s, got %+v", len(want), sum, got.Totals)
	}
	for _, a := range got.Accounts {
		for _, b := range a.Bills {
			if b.Difference != want[b.BillID].StringFixed(2) {
				t.Errorf("%s: %s, want %s", b.BillID, b.Difference, want[b.BillID])
			}
			delete(want, b.BillID)
		}
	}
	if len(want) > 0 {
		t.Errorf("not shown: %v", want)
	}
	status, table, stderr := w.command(t, "simulate", "--catalog", dearer, "--from", from,
		"--to", to, "--format", "csv", "--account", account)
	if rows := strings.Split(strings.TrimSpace(table), "\n"); status != exitDone || len(rows) < 2 ||
		!strings.HasPrefix(rows[1], account+","+account+"/2023-01-") || stderr != "" {
		t.Errorf("of one account: %d, %s\n%s", status, stderr, table)
	}
	for _, refused := range []struct{ from, to, account, says string }{
		{"2022-12-01", to, "", "the first day that was closed is " + from},
		{from, "2023-12-01", "", "end before " + to + " at the latest"},
		{from, to, "nobody", "no main account nobody"},
	} {
		status, stdout, stderr := w.command(t, "simulate", "--catalog", dearer, "--from", refused.from,
			"--to", refused.to, "--account", refused.account)
		checkLine(t, status, stderr, exitFailed, refused.says)
		if stdout != "" {
			t.Errorf("%+v: %s", refused, stdout)
		}
	}
}

// checkSimulateTag simulates closings from the first one on, which were made by a catalogue without
// a tag for some calls, with the world's catalogue, which has one. As if it had been so from the
// beginning, its bills are those that the files of the same records make.
func (w *testWorld) checkSimulateTag(
	t *testing.T, from, to billing.Day, records []batch.Record,
) {
	t.Helper()
	want, err := batch.Run(w.cat, records, closing.MomentOf(w.cat, to-1).At, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := w.simulateJSON(t, w.changedCatalog(t), from.String(), to.String(), "--all")
	made := map[string]wireChanged{}
	learnt := int64(0)
	for _, a := range got.Accounts {
		for _, b := range a.Bills {
			made[b.BillID] = b
			for _, l := range b.Lines {
				if l.Tag == "idcard" && l.OldCalls == 0 {
					learnt += l.NewCalls
				}
			}
		}
	}
	for _, b := range want.Bills {
		if m := made[b.BillID]; m.New != b.Total.StringFixed(2) {
			t.Errorf("%s: simulated %s, by the files %s", b.BillID, m.New, b.Total)
		}
		delete(made, b.BillID)
	}
	for id, b := range made {
		if b.NewCalls != 0 {
			t.Errorf("%s: simulated %s, and the files make no such bill", id, b.New)
		}
	}
	if learnt == 0 || len(want.Bills) == 0 {
		t.Errorf("%d bills, %d calls with the learnt tag", len(want.Bills), learnt)
	}
	status, table, stderr := w.command(t, "simulate", "--catalog", w.changedCatalog(t), "--from",
		from.String(), "--to", to.String())
	if t.Log("\n" + table); status != exitDone || stderr != "" ||
		!strings.Contains(table, "\nTotal ") || strings.Contains(table, "E证通") {
		t.Errorf("only what differs: %d, %s\n%s", status, stderr, table)
	}
}

package main

import (
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

// TestClose: the closing is measured and right, and each mistake in what it left is noticed.
func TestClose(t *testing.T) {
	built := options(t)
	o := &closeOptions{Accounts: 30, Partitions: 2, Patience: 5 * time.Minute, Out: built.Out,
		Program: built.Program, self: built.self}
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	b := &closeBench{closeOptions: o, accounts: o.Accounts, cat: cat, notes: t.Output()}
	end, err := b.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	one, err := b.timed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if one.Seconds <= 0 || one.cpu() <= 0 || one.Settle.Peak == 0 ||
		min(one.Kernel.CPU, one.Kernel.Amounts) <= 0 {
		t.Errorf("%+v", one)
	}
	if err := b.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := newCloseReport(o)
	r.Runs = []*closeRun{one, one}
	r.finish()
	text := r.text()
	if r.Growth != 1 || !strings.Contains(text, "30 accounts with calls of 3 tags") {
		t.Errorf("%g\n%s", r.Growth, text)
	}
	if err := saveJSON(o.Out, "close.json", r); err != nil {
		t.Error(err)
	}
	for mistake, sql := range map[string]string{ // each on top of those before
		"a line is gone": "ALTER TABLE closed_bill_lines DELETE WHERE (bill_id, line_no) = (SELECT " +
			"max((bill_id, line_no)) FROM closed_bill_lines) SETTINGS mutations_sync = 1",
		"an entry is gone": "ALTER TABLE booked_entries DELETE WHERE entry_id = (SELECT " +
			"max(entry_id) FROM booked_entries WHERE kind = 'bill') SETTINGS mutations_sync = 1",
		"a bill has other words than its record": "ALTER TABLE closed_bills UPDATE json = " +
			"concat(json, ' ') WHERE bill_id = (SELECT max(bill_id) FROM closed_bills) " +
			"SETTINGS mutations_sync = 1",
	} {
		before := b.check(t.Context())
		if err := b.target.conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		after := b.check(t.Context())
		if after == nil || before != nil && before.Error() == after.Error() {
			t.Errorf("%s: %v", mistake, after)
		}
	}
}

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuery asks everything of a small database and of a smaller one. A question that fails and one
// without the rows that it has to have are named; a folder that holds another history is refused.
func TestQuery(t *testing.T) {
	built := options(t)
	o := &queryOptions{Sizes: []historySize{{36_000, 18}, {17_000, 17}}, Accounts: 60, Rounds: 2,
		Seed: 1,
		Data: t.TempDir(), Out: built.Out, Program: built.Program, self: built.self,
		more: []question{
			{"broken", true, func(context.Context) (int, error) {
				return 0, os.ErrInvalid
			}},
			{"empty", true, func(context.Context) (int, error) { return 0, nil }},
		}}
	r, err := measureQueries(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	table := r.text()
	for _, size := range r.Sizes {
		for _, a := range size.Answers {
			wrong := a.Question == "broken" || a.Question == "empty"
			if (a.Fault != "") != wrong || len(a.Seconds) != o.Rounds {
				t.Errorf("%d calls: %+v", size.History.Calls, a)
			}
			if !wrong && (a.P95 <= 0 || a.Statements == 0) {
				t.Errorf("%d calls: %s has no number: %+v", size.History.Calls, a.Question, a)
			}
			if wrong && !strings.Contains(table, a.Question+" FAILS") {
				t.Errorf("the table does not say that %s fails:\n%s", a.Question, table)
			}
		}
	}
	if err := r.fault(); err == nil || !strings.Contains(err.Error(), "broken: invalid argument") ||
		!strings.Contains(err.Error(), "empty: no rows") {
		t.Errorf("the measurement's error: %v", err)
	}
	if err := saveJSON(o.Out, "query.json", r); err != nil {
		t.Fatal(err)
	}
	if s, err := os.Stat(filepath.Join(o.Out, "query.json")); err != nil || s.Size() < 1000 {
		t.Error(err)
	}
	h := r.Sizes[0].History
	h.Seed++
	_, err = h.serve(t.Context(), o.self, filepath.Join(o.Data, "query-36000"), t.Output())
	if err == nil || !strings.Contains(err.Error(), "another history") {
		t.Errorf("a folder with another history: %v", err)
	}
}

// TestSeal measures small days. Every answer is right, and a copy that has gone is noticed.
func TestSeal(t *testing.T) {
	built := options(t)
	o := &sealOptions{Index: 16_000, Day: 8_000, Days: 8, Accounts: 60, Seed: 1,
		Data: t.TempDir(), self: built.self}
	r, err := measureSealing(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.fault(); err != nil || len(r.Sizes) != 5 {
		t.Errorf("%d sizes, %v", len(r.Sizes), err)
	}
	for _, m := range r.Sizes {
		for _, s := range m.Steps {
			if s.Seconds <= 0 || s.Peak == 0 || s.Name == "Candidates" && s.Found < m.Day ||
				s.Name == "FinishClosing" && s.Found < m.Day {
				t.Errorf("%+v", s)
			}
		}
	}
	if table := r.text(); !strings.Contains(table, "DifferingCopies") {
		t.Errorf("the table:\n%s", table)
	}
	o.meddle = "DELETE FROM call_copies WHERE call_id = (SELECT min(call_id) FROM call_copies " +
		"WHERE call_id NOT IN (SELECT call_id FROM call_copies GROUP BY 1 HAVING count() > 1))"
	r, err = measureSealing(t.Context(), o, t.Output())
	if err == nil {
		err = r.fault()
	}
	if err == nil || !strings.Contains(err.Error(), "Missing finds 1 faults") &&
		!strings.Contains(err.Error(), "the books of partition") {
		t.Errorf("a copy has gone, and the measurement says %v", err)
	}
}

package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/remake"
	"tollstream/pipeline/stored"
)

// Result is what became of one bill. Differs is empty where the stored bill is the one made again;
// else it names the first difference.
type Result struct {
	BillID, AccountID string
	ClosedAt          billing.Instant
	Differs           string
}

// compareAll pairs the bills made again with the stored ones by their ids.
func compareAll(made map[string]remake.Bill, kept []*stored.Bill, s *Selection) []Result {
	var out []Result
	found := map[string]bool{}
	for _, k := range kept {
		if !s.holds(k.Row) {
			continue
		}
		found[k.Row.BillID] = true
		r := Result{BillID: k.Row.BillID, AccountID: k.Row.AccountID, ClosedAt: k.Row.ClosedAt}
		if m, ok := made[k.Row.BillID]; ok {
			r.Differs = difference(m, k)
		} else {
			r.Differs = "the bill is stored, and the records make no such bill"
		}
		out = append(out, r)
	}
	for id, m := range made { // sorted below
		if s.holds(m.Bill) && !found[id] {
			out = append(out, Result{BillID: id, AccountID: m.AccountID, ClosedAt: m.ClosedAt,
				Differs: "the records make this bill, and it is not stored"})
		}
	}
	slices.SortFunc(out, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.AccountID, b.AccountID), cmp.Compare(a.ClosedAt, b.ClosedAt),
			cmp.Compare(a.BillID, b.BillID))
	})
	return out
}

// difference names the first field in which a stored bill differs from the bill made again: in its
// JSON, then in its row and the rows of its lines.
func difference(m remake.Bill, k *stored.Bill) string {
	want := canonical.Bill(m.Bill, m.Zone)
	if !bytes.Equal(k.JSON, want) {
		return firstDifference("JSON", k.JSON, want)
	}
	row := *k.Row
	row.SubAccounts = m.SubAccounts
	if have := canonical.Bill(&row, m.Zone); !bytes.Equal(have, want) {
		return firstDifference("tables", have, want)
	}
	if k.Lines != len(m.Lines) {
		return fmt.Sprintf("tables: number of lines: stored %d, recomputed %d", k.Lines, len(m.Lines))
	}
	return ""
}

// firstDifference compares two bills in canonical JSON field by field, lines first.
func firstDifference(where string, have, want []byte) string {
	h, err := fieldsOf(have)
	if err != nil {
		return fmt.Sprintf("%s: cannot be read: %v", where, err)
	}
	w, err := fieldsOf(want)
	if err != nil {
		return fmt.Sprintf("%s: the recomputed bill cannot be read: %v", where, err)
	}
	names := map[string]bool{}
	for _, fields := range []map[string]string{h, w} {
		for name := range fields { // sorted below
			names[name] = true
		}
	}
	order := slices.Sorted(maps.Keys(names))
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	for _, name := range order {
		if h[name] != w[name] {
			return fmt.Sprintf("%s: %s: stored %s, recomputed %s", where, name,
				shown(h[name]), shown(w[name]))
		}
	}
	return where + ": the bytes differ, and no field does: it was written in another form"
}

// rank puts what tells most first: lines, then sums, and digests last, since any change moves them.
func rank(name string) int {
	switch {
	case strings.HasPrefix(name, "line "):
		number, _, _ := strings.Cut(name[len("line "):], ":")
		n, _ := strconv.Atoi(number) // made by fieldsOf, so it is a number
		return n
	case name == "total":
		return 1_000_000
	case name == "digest":
		return 1_000_002
	}
	return 1_000_001
}

// valueMax is how much of a value is shown; an explanation can be long.
const valueMax = 160

func shown(text string) string {
	if r := []rune(text); len(r) > valueMax {
		return string(r[:valueMax]) + "..."
	}
	return cmp.Or(text, "nothing")
}

// fieldsOf takes a bill's JSON apart: each field by its name, each line's as "line 2: amount".
func fieldsOf(raw []byte) (map[string]string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	var lines []map[string]json.RawMessage
	if err := json.Unmarshal(fields["lines"], &lines); err != nil {
		return nil, fmt.Errorf("lines: %w", err)
	}
	delete(fields, "lines")
	out := map[string]string{}
	for name, value := range fields { // into a map; the order does not matter
		out[name] = string(value)
	}
	for i, line := range lines {
		for name, value := range line { // into a map; the order does not matter
			out[fmt.Sprintf("line %d: %s", i+1, name)] = string(value)
		}
	}
	return out, nil
}

package verify

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

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

// firstDifference names the first field in which two bills in canonical JSON differ.
func firstDifference(where string, have, want []byte) string {
	fields, err := Differences(have, want)
	if err != nil {
		return where + ": " + err.Error()
	}
	f := fields[0]
	return fmt.Sprintf("%s: %s: stored %s, recomputed %s", where, f.Name, f.Have, f.Want)
}

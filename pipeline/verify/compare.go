package verify

import (
	"cmp"
	"fmt"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/remake"
	"tollstream/pipeline/stored"
)

// Result is what became of one bill. Differs is empty where the stored bill is the one made again;
// else it names the first difference. A bill that only explains itself in other words is the same.
type Result struct {
	BillID, AccountID string
	ClosedAt          billing.Instant
	Differs           string
	OtherWords        bool
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
			r.compare(m, k)
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

// compare compares a stored bill's JSON with the bill made again, and its row and the rows of its
// lines with the JSON, whose words they share.
func (r *Result) compare(m remake.Bill, k *stored.Bill) {
	fields, err := Differences(k.JSON, canonical.Bill(m.Bill, m.Zone))
	if r.OtherWords = OnlyWords(fields); !r.OtherWords {
		r.note("JSON", fields, err)
	}
	row := *k.Row
	row.SubAccounts = m.SubAccounts
	fields, err = Differences(canonical.Bill(&row, m.Zone), k.JSON)
	r.note("tables", fields, err)
	if r.Differs == "" && k.Lines != len(m.Lines) {
		r.Differs = fmt.Sprintf("tables: number of lines: stored %d, recomputed %d", k.Lines,
			len(m.Lines))
	}
}

// note keeps the first field in which two bills differ, unless there is a difference already.
func (r *Result) note(where string, fields []Field, err error) {
	switch {
	case r.Differs != "":
	case err != nil:
		r.Differs = where + ": " + err.Error()
	case len(fields) > 0:
		f := fields[0]
		r.Differs = fmt.Sprintf("%s: %s: stored %s, recomputed %s", where, f.Name, f.Have, f.Want)
	}
}

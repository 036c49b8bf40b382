package closing

import (
	"cmp"
	"fmt"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/rating"
)

// Reversed is a call that a closing before took and that its account takes back now (B27).
type Reversed struct {
	CallID    string
	Outcome   Outcome
	Tag       catalog.TagID // as taken: prepaid tag where covered, else postpaid tag
	Day       billing.Day
	PackageID string
	Cause     string // the usage.voided that took it back, with its reason; for explaining
}

// TakenBackBy names the event that took the call back.
func (r Reversed) TakenBackBy(ev *billing.AccountEvent) Reversed {
	r.Cause = "usage.voided " + ev.EventID
	if ev.Reason != "" {
		r.Cause += " (" + ev.Reason + ")"
	}
	return r
}

// reverse takes calls back: a covered unit returns to its package at once, so that later calls of
// this closing can use it; a postpaid unit leaves its month when the next bill is made.
func (a *Account) reverse(calls []Reversed) error {
	for _, c := range calls {
		if c.Outcome == Free {
			continue // it is on no bill
		}
		if c.Outcome == Covered {
			i := slices.IndexFunc(a.Packages, func(p Package) bool { return p.ID == c.PackageID })
			if i < 0 || a.Packages[i].Used == 0 {
				return fmt.Errorf("voided call %s was covered by package %s, which covered nothing",
					c.CallID, c.PackageID)
			}
			a.Packages[i].Used--
		}
		a.Pending.void(c)
	}
	slices.SortFunc(a.Pending.Voided, compareVoided)
	return nil
}

func compareVoided(a, b VoidedCount) int {
	return cmp.Or(cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Day, b.Day),
		cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.PackageID, b.PackageID),
		cmp.Compare(a.Cause, b.Cause))
}

func (p *Pending) void(c Reversed) {
	for i := range p.Voided {
		if x := &p.Voided[i]; x.Outcome == c.Outcome && x.Tag == c.Tag && x.Day == c.Day &&
			x.PackageID == c.PackageID && x.Cause == c.Cause {
			x.Quantity++
			return
		}
	}
	p.Voided = append(p.Voided, VoidedCount{Outcome: c.Outcome, Tag: c.Tag, Day: c.Day,
		PackageID: c.PackageID, Cause: c.Cause, Quantity: 1})
}

// remove takes voided postpaid units out of the month: out of the units of their day that were
// charged last. It says how many left each entry.
func (u *MonthUsage) remove(voided []VoidedCount) ([]int64, error) {
	removed := make([]int64, len(u.Units))
	for _, v := range voided {
		left := v.Quantity
		for i := len(u.Units) - 1; i >= 0 && left > 0; i-- {
			if x := &u.Units[i]; x.Day == v.Day {
				n := min(left, x.Quantity)
				x.Quantity, removed[i], left = x.Quantity-n, removed[i]+n, left-n
			}
		}
		if left > 0 {
			return nil, fmt.Errorf("%d calls of %s on %s are voided that no bill charged",
				left, u.Tag, v.Day)
		}
	}
	return removed, nil
}

// voidedLines are the lines of what left the month: for units of earlier bills at the price that
// was charged for them, so that the rest of the change is the tier's; for units of this bill at the
// price that its usage line charges.
func (mc *monthCharge) voidedLines(voided []VoidedCount) []billing.BillLine {
	var lines []billing.BillLine
	for i, n := range mc.removed {
		if n == 0 {
			continue
		}
		x := &mc.usage.Units[i]
		l := mc.line(billing.VoidedLine, billing.PeriodOf(mc.account.Cycle, x.Day).String())
		l.Quantity = -n
		with, without := mc.shown[i], mc.rated[i]
		if i < mc.before {
			with, without = mc.asCharged(i)
			l.Amount = without.Amount.Sub(x.Charged)
			x.Charged = without.Amount
		} else {
			l.Amount = without.Amount.Sub(with.Amount)
		}
		l.Explain = []billing.Step{mc.takenBackStep(i, with, without)}
		lines = append(lines, l)
	}
	lines = mergeLines(lines)
	for i := range lines {
		l := &lines[i]
		l.Explain = append(voidSteps(voided, func(v *VoidedCount) bool {
			return billing.PeriodOf(mc.account.Cycle, v.Day).String() == l.Period
		}), l.Explain...)
	}
	return lines
}

// asCharged rates entry i as the bills before this one charged it, with the units that were voided
// and without them: at the month's quantity of then, in the places of then.
func (mc *monthCharge) asCharged(i int) (with, without rating.Rated) {
	units := make([]rating.Units, mc.before)
	var total int64
	for k := range units {
		x := &mc.usage.Units[k]
		units[k] = rating.Units{Day: x.Day, Quantity: x.Quantity + mc.removed[k], Prices: &x.Prices}
		total += units[k].Quantity
	}
	with = rating.MonthAt(units, total, mc.bound)[i]
	units[i].Quantity -= mc.removed[i]
	return with, rating.MonthAt(units, total, mc.bound)[i]
}

// otherVoidedLines are those of covered and uncovered calls, which cost nothing.
func (a *Account) otherVoidedLines(cat *catalog.Catalog) []billing.BillLine {
	var lines []billing.BillLine
	for _, v := range a.Pending.Voided {
		if v.Outcome == Postpaid {
			continue
		}
		lines = append(lines, billing.BillLine{
			Kind: billing.VoidedLine, Tag: string(v.Tag), TagName: cat.TagName(v.Tag),
			Period: billing.PeriodOf(a.Cycle, v.Day).String(), Quantity: -v.Quantity,
			PackageID: v.PackageID, Explain: a.returnedSteps(&v),
		})
	}
	return lines
}

// mergeLines makes one line of lines that agree in all but quantity, amount and explanation.
func mergeLines(lines []billing.BillLine) []billing.BillLine {
	out := lines[:0] // what is kept never overtakes what is read
	for n := range lines {
		l := lines[n]
		i := 0
		for i < len(out) && !(out[i].Kind == l.Kind && out[i].Tag == l.Tag &&
			out[i].Period == l.Period && out[i].PackageID == l.PackageID) {
			i++
		}
		if i < len(out) {
			out[i].Quantity += l.Quantity
			out[i].Amount = out[i].Amount.Add(l.Amount)
			out[i].Explain = append(out[i].Explain, l.Explain...)
			continue
		}
		out = append(out, l)
	}
	return out
}

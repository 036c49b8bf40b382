package closing

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/rating"
)

// lines makes the lines of the bill for a period from what is pending, without the rounding line,
// and moves the pending units into the months they belong to.
func (a *Account) lines(cat *catalog.Catalog, period billing.Period) ([]billing.BillLine, error) {
	lines, err := a.postpaidLines(cat, period)
	if err != nil {
		return nil, err
	}
	lines = append(lines, a.coveredLines(cat)...)
	lines = append(lines, a.uncoveredLines(cat)...)
	return mergeLines(append(lines, a.otherVoidedLines(cat)...)), nil
}

// tagMonth is what the tier is chosen by.
type tagMonth struct {
	tag   catalog.TagID
	month billing.Month
}

// changedMonth is what a bill brings to a tag and month.
type changedMonth struct {
	tagMonth
	fresh  []DayCount
	voided []VoidedCount
}

// postpaidLines charges, for every tag and month in which something changed, what everything known
// of that month costs less what earlier bills charged for it (B19).
func (a *Account) postpaidLines(
	cat *catalog.Catalog, period billing.Period,
) ([]billing.BillLine, error) {
	var changed []changedMonth
	note := func(k tagMonth) *changedMonth {
		for i := len(changed) - 1; i >= 0; i-- { // those of one month mostly follow each other
			if changed[i].tagMonth == k {
				return &changed[i]
			}
		}
		changed = append(changed, changedMonth{tagMonth: k})
		return &changed[len(changed)-1]
	}
	for i := range a.Months {
		if m := &a.Months[i]; a.corrects(m) {
			note(tagMonth{m.Tag, m.Month})
		}
	}
	for _, c := range a.Pending.Postpaid {
		of := note(tagMonth{c.Tag, c.Day.Month()})
		of.fresh = append(of.fresh, c)
	}
	for _, v := range a.Pending.Voided {
		if v.Outcome == Postpaid {
			of := note(tagMonth{v.Tag, v.Day.Month()})
			of.voided = append(of.voided, v)
		}
	}
	lines := make([]billing.BillLine, 0, len(changed)+1)
	for _, m := range changed {
		units, err := a.freshUnits(cat, m.fresh)
		if err != nil {
			return nil, err
		}
		of, err := a.chargeMonth(cat, period, a.monthUsage(m.tag, m.month), units, m.voided)
		if err != nil {
			return nil, err
		}
		lines = append(lines, of...)
	}
	a.Pending.Corrected = nil
	return lines, nil
}

// freshUnits gives units their price lists, one entry a day.
func (a *Account) freshUnits(cat *catalog.Catalog, counts []DayCount) ([]BilledUnits, error) {
	fresh := make([]BilledUnits, 0, len(counts))
	for _, c := range counts {
		prices, ok := a.pricesFor(cat, c.Tag, c.Day)
		if !ok {
			return nil, fmt.Errorf("tag %s has no price for cohort %s on %s; "+
				"add a price list to the catalogue", c.Tag, a.Cohort, c.Day)
		}
		fresh = append(fresh, BilledUnits{Day: c.Day, Quantity: c.Quantity, Prices: prices})
	}
	return fresh, nil
}

// monthUsage finds or makes the usage of a tag and month, keeping the list in order.
func (a *Account) monthUsage(tag catalog.TagID, month billing.Month) *MonthUsage {
	i, found := slices.BinarySearchFunc(a.Months, MonthUsage{Tag: tag, Month: month},
		func(x, y MonthUsage) int {
			return cmp.Or(cmp.Compare(x.Tag, y.Tag), cmp.Compare(x.Month, y.Month))
		})
	if !found {
		a.Months = slices.Insert(a.Months, i, MonthUsage{Tag: tag, Month: month})
	}
	return &a.Months[i]
}

// monthCharge is the state of charging one tag and month on one bill.
type monthCharge struct {
	account *Account
	cat     *catalog.Catalog
	bound   rating.Bound
	usage   *MonthUsage
	before  int // how many of usage.Units earlier bills charged
	// corrected tells which of those got another price list on this bill (B26).
	corrected []billing.Step
	removed   []int64        // how many units of each of usage.Units voided lines take back
	rated     []rating.Rated // of the units that remain, at the quantity now reached
	shown     []rating.Rated // of this bill's units with those that a voided line takes back
	counts    []int64        // the quantities of shown
	total     int64          // the month's postpaid quantity now
}

func (a *Account) chargeMonth(
	cat *catalog.Catalog, period billing.Period, u *MonthUsage, fresh []BilledUnits,
	voided []VoidedCount,
) ([]billing.BillLine, error) {
	mc := monthCharge{account: a, cat: cat, usage: u, before: len(u.Units),
		bound: rating.Bound(cat.Settings.TierLowerBound)}
	bill := MonthBill{BillID: billing.BillID(a.ID, period)}
	for i := range fresh {
		fresh[i].Bill = bill.BillID
	}
	u.Units = append(u.Units, fresh...)
	var err error
	if mc.removed, err = u.remove(voided); err != nil {
		return nil, err
	}
	mc.rate()
	lines := mc.voidedLines(voided)
	// Only now, since a voided line gives back what was charged.
	if mc.corrected = a.correct(cat, u, mc.before); len(mc.corrected) > 0 {
		mc.rate()
	}
	lines = mc.adjustment(lines)
	for i := mc.before; i < len(u.Units); {
		p := billing.PeriodOf(a.Cycle, u.Units[i].Day)
		j := i
		for j < len(u.Units) && p.Has(u.Units[j].Day) {
			j++
		}
		lines = append(lines, mc.usageLine(i, j, p, p == period))
		i = j
	}
	for i := range u.Units {
		u.Units[i].Charged = mc.rated[i].Amount
	}
	if len(lines) == 0 { // a correction that moved nothing
		return nil, nil
	}
	for i := range lines {
		bill.Quantity += lines[i].Quantity
		bill.Amount = billing.Plus(bill.Amount, lines[i].Amount)
	}
	u.Bills = append(u.Bills, bill)
	return lines, nil
}

// rate prices the units that remain, and beside them those that this bill shows: a unit that was
// taken and voided between two bills stands on its usage line and on its voided line.
func (mc *monthCharge) rate() {
	units := make([]rating.Units, len(mc.usage.Units))
	mc.total, mc.counts = 0, make([]int64, 0, len(units))
	for i := range units {
		x := &mc.usage.Units[i]
		units[i] = rating.Units{Day: x.Day, Quantity: x.Quantity, Prices: &x.Prices}
		mc.total += x.Quantity
		mc.counts = append(mc.counts, x.Quantity)
	}
	mc.rated = rating.MonthAt(units, mc.total, mc.bound)
	mc.shown = slices.Clone(mc.rated)
	for i := mc.before; i < len(units); i++ {
		if n := mc.removed[i]; n > 0 {
			units[i].Quantity += n
			mc.counts[i] = units[i].Quantity
			mc.shown[i] = rating.MonthAt(units, mc.total, mc.bound)[i]
			units[i].Quantity -= n
		}
	}
}

// adjustment is the change in the price of units that earlier bills charged.
func (mc *monthCharge) adjustment(lines []billing.BillLine) []billing.BillLine {
	if mc.before == 0 {
		return lines
	}
	now, was := decimal.Zero, decimal.Zero
	for i := 0; i < mc.before; i++ {
		now = billing.Plus(now, mc.rated[i].Amount)
		was = billing.Plus(was, mc.usage.Units[i].Charged)
	}
	diff := now.Sub(was)
	if diff.IsZero() {
		return lines
	}
	l := mc.line(billing.TierAdjustmentLine, mc.usage.Month.String())
	l.Amount = diff
	l.Explain = append(slices.Clone(mc.corrected), mc.adjustmentSteps(now, was)...)
	return append(lines, l)
}

// usageLine charges the units [i, j), which all lie in period p.
func (mc *monthCharge) usageLine(i, j int, p billing.Period, own bool) billing.BillLine {
	kind := billing.UsageLine
	if !own {
		kind = billing.LateUsageLine
	}
	l := mc.line(kind, p.String())
	prices := make([]decimal.Decimal, 0, j-i)
	for k := i; k < j; k++ {
		l.Quantity += mc.counts[k]
		l.Amount = billing.Plus(l.Amount, mc.shown[k].Amount)
		for _, piece := range mc.shown[k].Pieces {
			prices = append(prices, piece.UnitPrice)
			if piece.Unpublished && !slices.Contains(l.Flags, billing.FlagContractPriceMissing) {
				l.Flags = append(l.Flags, billing.FlagContractPriceMissing)
			}
		}
	}
	l.UnitPrice = onlyPrice(prices)
	l.Explain = mc.unitSteps(append(make([]billing.Step, 0, 4), mc.monthStep()), i, j)
	l.Explain = append(l.Explain, mc.account.unpaidSteps(mc.cat, &l)...)
	return l
}

func (mc *monthCharge) line(kind billing.LineKind, period string) billing.BillLine {
	tag := mc.usage.Tag
	return billing.BillLine{
		Kind: kind, Tag: string(tag), TagName: mc.cat.TagName(tag), Period: period,
	}
}

// onlyPrice is the one price of a line's units, or nil where they have several.
func onlyPrice(prices []decimal.Decimal) *decimal.Decimal {
	for _, p := range prices[1:] {
		if !p.Equal(prices[0]) {
			return nil
		}
	}
	return &prices[0]
}

func (a *Account) coveredLines(cat *catalog.Catalog) []billing.BillLine {
	var lines []billing.BillLine
	for _, c := range a.Pending.Covered {
		period := billing.PeriodOf(a.Cycle, c.Day).String()
		same := func(l billing.BillLine) bool {
			return l.Tag == string(c.Tag) && l.Period == period && l.PackageID == c.PackageID
		}
		if i := slices.IndexFunc(lines, same); i >= 0 {
			lines[i].Quantity += c.Quantity
			continue
		}
		lines = append(lines, billing.BillLine{
			Kind: billing.CoveredLine, Tag: string(c.Tag), TagName: cat.TagName(c.Tag),
			Period: period, Quantity: c.Quantity, PackageID: c.PackageID,
			UnitPrice: &decimal.Decimal{},
		})
	}
	for i := range lines {
		a.explainCovered(cat, &lines[i])
	}
	return lines
}

func (a *Account) uncoveredLines(cat *catalog.Catalog) []billing.BillLine {
	var lines []billing.BillLine
	for _, c := range a.Pending.Uncovered {
		period := billing.PeriodOf(a.Cycle, c.Day).String()
		if n := len(lines); n > 0 && lines[n-1].Tag == string(c.Tag) && lines[n-1].Period == period {
			lines[n-1].Quantity += c.Quantity
			continue
		}
		lines = append(lines, billing.BillLine{
			Kind: billing.UncoveredLine, Tag: string(c.Tag), TagName: cat.TagName(c.Tag),
			Period: period, Quantity: c.Quantity, UnitPrice: &decimal.Decimal{},
		})
	}
	for i := range lines {
		a.explainUncovered(cat, &lines[i])
	}
	return lines
}

// sortLines orders lines by kind, tag, period and package.
func sortLines(lines []billing.BillLine) {
	rank := func(k billing.LineKind) int { return slices.Index(billing.LineKinds[:], k) }
	compare := func(a, b *billing.BillLine) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.Tag, b.Tag),
			cmp.Compare(a.Period, b.Period), cmp.Compare(a.PackageID, b.PackageID))
	}
	sorted := true
	for i := 1; i < len(lines) && sorted; i++ {
		sorted = compare(&lines[i-1], &lines[i]) <= 0
	}
	if sorted { // nearly always: lines are large, and moving them costs more than looking
		return
	}
	slices.SortStableFunc(lines, func(a, b billing.BillLine) int { return compare(&a, &b) })
}

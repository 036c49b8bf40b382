package closing

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/rating"
)

// monthSteps tell how many units the month has, which decides the tier.
func (mc *monthCharge) monthSteps() []billing.Step {
	var earlier int64
	for i := 0; i < mc.before; i++ {
		earlier += mc.usage.Units[i].Quantity
	}
	return []billing.Step{{Rule: "B15", Text: fmt.Sprintf(
		"%s has %d postpaid calls of %s: %d on earlier bills and %d on this one",
		mc.usage.Month, mc.total, mc.cat.TagName(mc.usage.Tag), earlier, mc.total-earlier)}}
}

// unitSteps explain the amounts of units [i, j): one step a price list, days with the same list
// and price taken together.
func (mc *monthCharge) unitSteps(i, j int) []billing.Step {
	var steps []billing.Step
	for i < j {
		p := &mc.usage.Units[i].Prices
		k := i
		for k < j && mc.usage.Units[k].Prices.ID == p.ID && sameFactors(&mc.usage.Units[k].Prices, p) {
			k++
		}
		steps = append(steps, billing.Step{Rule: "B15", Text: describePrices(p)})
		steps = append(steps, mc.dayStep(i, k))
		i = k
	}
	return steps
}

func sameFactors(a, b *rating.Prices) bool {
	if len(a.Factors) != len(b.Factors) {
		return false
	}
	for i := range a.Factors {
		if a.Factors[i].ID != b.Factors[i].ID {
			return false
		}
	}
	return true
}

// dayStep multiplies out units [i, k), which share one price list.
func (mc *monthCharge) dayStep(i, k int) billing.Step {
	var prices []decimal.Decimal
	quantities := map[string]int64{}
	sum := decimal.Zero
	for n := i; n < k; n++ {
		sum = sum.Add(mc.shown[n].Amount)
		for _, piece := range mc.shown[n].Pieces {
			key := piece.UnitPrice.String()
			if _, seen := quantities[key]; !seen {
				prices = append(prices, piece.UnitPrice)
			}
			quantities[key] += piece.Quantity
		}
	}
	parts := make([]string, len(prices))
	for n, p := range prices {
		parts[n] = fmt.Sprintf("%d x %s", quantities[p.String()], p)
	}
	first, last := mc.usage.Units[i].Day, mc.usage.Units[k-1].Day
	days := first.String()
	if first != last {
		days += " to " + last.String()
	}
	return billing.Step{Rule: "B16", Text: fmt.Sprintf(
		"%s: %s = %s", days, strings.Join(parts, " + "), sum)}
}

// describePrices names a price list, how it works, its tiers, its source and its discounts.
func describePrices(p *rating.Prices) string {
	var b strings.Builder
	how := "all units of the month take the price of the tier it reached"
	if p.Graduated {
		how = "each unit takes the price of the tier of its position in the month"
	}
	if len(p.Tiers) == 1 {
		how = "flat price"
	}
	fmt.Fprintf(&b, "price list %s (source: %s), %s:", p.ID, p.Source, how)
	for i, t := range p.Tiers {
		if i > 0 {
			b.WriteByte(',')
		}
		if t.Unpublished {
			fmt.Fprintf(&b, " from %d not published", t.From)
		} else {
			fmt.Fprintf(&b, " from %d at %s", t.From, t.Price)
		}
	}
	for _, f := range p.Factors {
		fmt.Fprintf(&b, "; discount %s x %s (source: %s)", f.ID, f.Value, f.Source)
	}
	return b.String()
}

// explainCovered tells which package paid and in which order packages were tried.
func (a *Account) explainCovered(cat *catalog.Catalog, l *billing.BillLine) {
	var tried []string
	for i := range a.Packages {
		p := &a.Packages[i]
		if p.ID != l.PackageID {
			if a.reaches(cat, p, l) {
				tried = append(tried, p.ID+" ("+p.whyNot(l)+")")
			}
			continue
		}
		kind := "paid"
		if p.Free {
			kind = "free"
		}
		if p.OffList {
			l.Flags = append(l.Flags, billing.FlagOffList)
		}
		l.Explain = append(l.Explain, billing.Step{Rule: "B8", Text: fmt.Sprintf(
			"%s package %s of %s covers calls of [%s, %s); %d of its %d calls are used",
			kind, p.ID, cat.TagName(p.Tag), p.First, p.End, p.Used, p.Quota)})
		break
	}
	before := "none"
	if len(tried) > 0 {
		before = strings.Join(tried, ", ")
	}
	l.Explain = append(l.Explain, billing.Step{Rule: "B10", Text: "packages of this tag that come " +
		"before it: " + before + "; each call takes one unit from the first that lives on its day " +
		"and has calls left (order: " + strings.Join(cat.Settings.PackageOrder, ", ") + ")"})
}

// reaches tells whether a package could have covered the calls of a line: by the line's tag, or by
// the legacy tag of the package that did.
func (a *Account) reaches(cat *catalog.Catalog, p *Package, l *billing.BillLine) bool {
	for i := range a.Packages {
		if a.Packages[i].ID == l.PackageID && a.Packages[i].Tag == p.Tag {
			return true
		}
	}
	return cat.Reaches(p.Tag, catalog.TagID(l.Tag), "")
}

// whyNot says in a few words why a package did not cover a line's calls.
func (p *Package) whyNot(l *billing.BillLine) string {
	switch {
	case p.Refunded:
		return "refunded"
	case p.Used == p.Quota:
		return fmt.Sprintf("all %d used", p.Quota)
	case p.End.String() <= l.Period:
		return "ended before " + p.End.String()
	}
	return fmt.Sprintf("%d of %d used, of days [%s, %s)", p.Used, p.Quota, p.First, p.End)
}

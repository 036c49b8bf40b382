package naive

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// unit is one postpaid call on a bill, with the price list that it was billed under, which it
// keeps for ever, and what bills charged for it up to now.
type unit struct {
	account string
	tag     catalog.TagID
	day     billing.Day
	list    prices
	paid    decimal.Decimal
}

// prices is a price list, or a contract, in force on a day.
type prices struct {
	graduated bool
	tiers     []billing.Tier
	factors   []decimal.Decimal
}

// bill makes the bill of a period, if there is anything to say (B20).
func (b *biller) bill(a *account, period billing.Period, at billing.Instant) error {
	callers := b.callers(a)
	lines, err := b.lines(a, period)
	if err != nil || len(lines) == 0 {
		return err
	}
	sum := decimal.Zero
	for _, l := range lines {
		sum = sum.Add(l.Amount)
	}
	total := b.roundUpHalf(sum)
	if !total.Equal(sum) {
		lines = append(lines, Line{Kind: billing.RoundingLine, Amount: total.Sub(sum)})
	}
	before := balance(b.moves(a), at, false)
	b.bills = append(b.bills, Bill{
		ID: a.id + "/" + period.String(), ClosedAt: at, Lines: lines, Total: total,
		Before: before, After: before.Sub(total), Callers: callers,
	})
	b.owners = append(b.owners, a.id)
	return nil
}

// callers splits the takes that are on no bill yet by the sub-accounts that made the calls.
func (b *biller) callers(a *account) map[Caller]int64 {
	split := map[Caller]int64{}
	for _, t := range b.taken {
		if t.account != a.id || t.billed || !t.judged.charged || t.call.AccountID == a.id {
			continue
		}
		c := Caller{t.call.AccountID, billing.UsageLine, t.judged.postpaid}
		switch {
		case t.covered != "":
			c.Kind, c.Tag = billing.CoveredLine, t.judged.prepaid
		case t.off:
			c.Kind = billing.UncoveredLine
		}
		split[c]++
	}
	return split
}

// roundUpHalf rounds to the bill's places: the half goes away from zero (B17).
func (b *biller) roundUpHalf(sum decimal.Decimal) decimal.Decimal {
	places := b.cat.Settings.RoundingPlaces
	up := sum.Abs().Shift(places).Add(decimal.New(5, -1)).Floor().Shift(-places)
	if sum.IsNegative() {
		return up.Neg()
	}
	return up
}

// lines sorts the takes that are on no bill yet into lines.
func (b *biller) lines(a *account, period billing.Period) ([]Line, error) {
	var lines []Line
	add := func(l Line) {
		for i := range lines {
			x := &lines[i]
			if x.Kind == l.Kind && x.Tag == l.Tag && x.Period == l.Period &&
				x.PackageID == l.PackageID {
				x.Quantity += l.Quantity
				x.Amount = x.Amount.Add(l.Amount)
				return
			}
		}
		lines = append(lines, l)
	}
	var fresh []*unit
	for _, t := range b.taken {
		if t.account != a.id || t.billed || !t.judged.charged {
			continue
		}
		t.billed = true
		of := billing.PeriodOf(a.cycle, t.day).String()
		switch {
		case t.covered != "":
			add(Line{Kind: billing.CoveredLine, Tag: t.judged.prepaid, Period: of,
				PackageID: t.covered, Quantity: 1})
		case t.off:
			add(Line{Kind: billing.UncoveredLine, Tag: t.judged.postpaid, Period: of, Quantity: 1})
		default:
			list, err := b.pricesOn(a, t.judged.postpaid, t.day)
			if err != nil {
				return nil, err
			}
			fresh = append(fresh, &unit{account: a.id, tag: t.judged.postpaid, day: t.day, list: list})
		}
	}
	gone := b.voidedLines(a, add)
	b.charge(a, period, fresh, gone, add)
	return lines, nil
}

// voidedLines puts calls that were taken back on the bill and lists the postpaid ones (B27).
func (b *biller) voidedLines(a *account, add func(Line)) []*take {
	var gone []*take
	for _, t := range b.taken {
		if t.account != a.id || !t.reversed || t.returned || !t.judged.charged {
			continue
		}
		t.returned = true
		l := Line{Kind: billing.VoidedLine, Tag: t.judged.postpaid, PackageID: t.covered,
			Period: billing.PeriodOf(a.cycle, t.day).String(), Quantity: -1}
		if t.covered != "" {
			l.Tag = t.judged.prepaid
		} else if !t.off {
			gone = append(gone, t)
		}
		add(l)
	}
	return gone
}

// charge prices every unit of every month in which something changed. New units stand after those
// billed before, by day; each unit is asked for its price alone (B15, B16, B19).
func (b *biller) charge(
	a *account, period billing.Period, fresh []*unit, gone []*take, add func(Line),
) {
	slices.SortStableFunc(fresh, func(x, y *unit) int { return cmp.Compare(x.day, y.day) })
	isFresh := map[*unit]bool{}
	changed := fresh
	for _, u := range fresh {
		isFresh[u] = true
	}
	b.charged = append(b.charged, fresh...)
	for _, t := range gone {
		changed = append(changed, b.leave(a, t, isFresh, period, add))
	}
	asked := map[string]bool{}
	for _, f := range changed {
		key := string(f.tag) + f.day.Month().String()
		if !asked[key] {
			asked[key] = true
			b.chargeMonth(a, period, f, isFresh, add)
		}
	}
}

// leave takes the unit of a voided call out of its month: of the units of its day the one that was
// charged last. What bills charged for it goes back.
func (b *biller) leave(
	a *account, t *take, isFresh map[*unit]bool, period billing.Period, add func(Line),
) *unit {
	for i := len(b.charged) - 1; i >= 0; i-- {
		u := b.charged[i]
		if u.account != a.id || u.tag != t.judged.postpaid || u.day != t.day {
			continue
		}
		of := billing.PeriodOf(a.cycle, u.day)
		if isFresh[u] { // it stands on this bill on both lines, and costs nothing
			add(Line{Kind: usageKind(of, period), Tag: u.tag, Period: of.String(), Quantity: 1})
		}
		add(Line{Kind: billing.VoidedLine, Tag: u.tag, Period: of.String(), Amount: u.paid.Neg()})
		b.charged = slices.Delete(b.charged, i, i+1)
		return u
	}
	panic("a postpaid call was voided that no bill charged")
}

func usageKind(of, period billing.Period) billing.LineKind {
	if of == period {
		return billing.UsageLine
	}
	return billing.LateUsageLine
}

// chargeMonth charges for the month of a unit what it costs now less what was charged for it.
func (b *biller) chargeMonth(
	a *account, period billing.Period, f *unit, isFresh map[*unit]bool, add func(Line),
) {
	var month []*unit
	for _, u := range b.charged {
		if u.account == a.id && u.tag == f.tag && u.day.Month() == f.day.Month() {
			month = append(month, u)
		}
	}
	change := decimal.Zero
	for position, u := range month {
		price := b.unitPrice(u.list, int64(position), int64(len(month)))
		if isFresh[u] {
			of := billing.PeriodOf(a.cycle, u.day)
			add(Line{Kind: usageKind(of, period), Tag: u.tag, Period: of.String(), Quantity: 1,
				Amount: price})
		} else {
			change = change.Add(price.Sub(u.paid))
		}
		u.paid = price
	}
	if !change.IsZero() {
		add(Line{Kind: billing.TierAdjustmentLine, Tag: f.tag, Amount: change,
			Period: f.day.Month().String()})
	}
}

// unitPrice is the price of the unit that has position units of its month before it. Under a
// whole-volume list the month's quantity decides for all of them.
func (b *biller) unitPrice(list prices, position, quantity int64) decimal.Decimal {
	var price decimal.Decimal
	for i, tier := range list.tiers {
		reached := i == 0 || quantity > tier.From
		if quantity == tier.From && b.cat.Settings.TierLowerBound == "inclusive" {
			reached = true
		}
		if list.graduated {
			reached = position >= tier.From
		}
		if reached && !tier.Unpublished {
			price = tier.Price
		}
	}
	for _, factor := range list.factors {
		price = price.Mul(factor)
	}
	return price
}

// pricesOn finds what prices units of a tag and day: the contract that arrived last, else the list
// of the account's cohort, else that of the cohorts it falls back to (B15).
func (b *biller) pricesOn(a *account, tag catalog.TagID, day billing.Day) (prices, error) {
	var contract *billing.AccountEvent
	for i := range a.events {
		ev := &a.events[i]
		if ev.Type == billing.PriceAgreed && b.tagNamed(ev.TagName) == tag && ev.From <= day &&
			(ev.To == 0 || day < ev.To) && b.lastClosed(ev.Arrival.Appended) < day {
			contract = ev
		}
	}
	if contract != nil {
		return prices{graduated: contract.Graduated, tiers: contract.Tiers}, nil
	}
	for _, cohort := range append([]string{a.cohort}, b.cat.Settings.PriceFallback...) {
		for _, p := range b.cat.Prices {
			if p.Cohort != cohort || p.Tag != tag || p.From != nil && day < *p.From ||
				p.Until != nil && day > *p.Until {
				continue
			}
			return prices{graduated: p.Graduated, tiers: p.Tiers, factors: b.factors(tag, day)}, nil
		}
	}
	return prices{}, fmt.Errorf("no price for %s on %s", tag, day)
}

func (b *biller) factors(tag catalog.TagID, day billing.Day) []decimal.Decimal {
	var list []decimal.Decimal
	for _, d := range b.cat.Discounts {
		if d.Applies == catalog.Postpaid && has(d.Tags, tag) && d.From <= day && day <= d.To {
			list = append(list, d.Factor)
		}
	}
	return list
}

package closing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/rating"
)

// Explanations say what a person needs to do a line's sum again by hand, with the bill and the
// published documents and without this code: each number that goes in, where it stands, and every
// product and sum, written as one. They are not part of the digest.

func step(rule, format string, args ...any) billing.Step {
	return billing.Step{Rule: rule, Text: fmt.Sprintf(format, args...)}
}

// say is step for what nearly every line says: its parts follow each other.
func say(rule string, parts ...string) billing.Step {
	return billing.Step{Rule: rule, Text: strings.Join(parts, "")}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// monthStep counts the month's units, which choose the tier.
func (mc *monthCharge) monthStep() billing.Step {
	var earlier, here, voided int64
	for i, n := range mc.removed {
		voided += n
		if i < mc.before {
			earlier += mc.usage.Units[i].Quantity + n
		} else {
			here += mc.usage.Units[i].Quantity + n
		}
	}
	parts := ", all on this bill"
	if earlier != 0 || voided != 0 {
		parts = fmt.Sprintf(" = %d on earlier bills + %d on this bill", earlier, here)
	}
	if voided != 0 {
		parts += fmt.Sprintf(" - %d voided", voided)
	}
	return say("B15", mc.usage.Month.String(), " has ", number(mc.total), " postpaid ",
		calls(mc.total), " of ", mc.cat.TagName(mc.usage.Tag), parts)
}

// unitSteps adds the steps that explain the amounts of units [i, j): each price list where it first
// comes up, and the days that have one list multiplied out together.
func (mc *monthCharge) unitSteps(steps []billing.Step, i, j int) []billing.Step {
	var described []*rating.Prices
	var before *rating.Prices
	var sums []string
	total := decimal.Zero
	for i < j {
		p := &mc.usage.Units[i].Prices
		k := mc.runEnd(i, j)
		if product, sum := mc.product(i, k); product != "" {
			same := func(q *rating.Prices) bool { return samePrices(p, q) }
			if !slices.ContainsFunc(described, same) {
				steps = append(steps, mc.priceSteps(p)...)
				described = append(described, p)
			} else if !same(before) {
				steps = append(steps, step("B15", "again %s", priceName(p)))
			}
			before = p
			text := billing.Text(sum)
			steps = append(steps, say("B16", mc.daysOf(i, k), product, " = ", text))
			sums, total = append(sums, text), billing.Plus(total, sum)
		}
		i = k
	}
	if len(sums) > 1 {
		steps = append(steps, step("B16", "together %s = %s", strings.Join(sums, " + "), total))
	}
	return steps
}

// runEnd is the end of the units from i on that are explained together. Under a graduated list a
// run ends where calls were voided, since places in the month are counted without them.
func (mc *monthCharge) runEnd(i, j int) int {
	p := &mc.usage.Units[i].Prices
	k := i + 1
	for k < j && samePrices(&mc.usage.Units[k].Prices, p) && !(p.Graduated && mc.removed[k-1] > 0) {
		k++
	}
	return k
}

// samePrices tells whether one description serves for both. Two versions of a catalogue can give
// different lists one name.
func samePrices(a, b *rating.Prices) bool {
	return a.ID == b.ID && a.Same(b) && slices.EqualFunc(a.Factors, b.Factors,
		func(x, y rating.Factor) bool { return x.ID == y.ID })
}

// product multiplies out units [i, k), which share one price list; it is "" where none are left.
func (mc *monthCharge) product(i, k int) (string, decimal.Decimal) {
	if k == i+1 {
		return multiplied(mc.shown[i].Pieces), mc.shown[i].Amount
	}
	var pieces []rating.Piece
	sum := decimal.Zero
	for n := i; n < k; n++ {
		sum = billing.Plus(sum, mc.shown[n].Amount)
		pieces = append(pieces, mc.shown[n].Pieces...)
	}
	return multiplied(pieces), sum
}

// multiplied writes pieces as products, those of one price together: "9 x 1 + 4 x 0.85".
func multiplied(pieces []rating.Piece) string {
	if len(pieces) == 1 {
		return productText(pieces[0].Quantity, billing.Text(pieces[0].UnitPrice))
	}
	var prices []string
	quantities := map[string]int64{}
	for _, piece := range pieces {
		price := billing.Text(piece.UnitPrice)
		if !slices.Contains(prices, price) {
			prices = append(prices, price)
		}
		quantities[price] += piece.Quantity
	}
	var products []string
	for _, price := range prices {
		if product := productText(quantities[price], price); product != "" {
			products = append(products, product)
		}
	}
	return strings.Join(products, " + ")
}

// productText is "9 x 1"; "" where there is nothing to multiply.
func productText(quantity int64, price string) string {
	if quantity == 0 {
		return ""
	}
	return number(quantity) + " x " + price
}

// daysOf names the days of units [i, k), and their places in the month where these choose prices.
func (mc *monthCharge) daysOf(i, k int) string {
	units := mc.usage.Units
	first, last := units[i].Day, units[i].Day
	place, quantity := int64(1), int64(0)
	for n := range k {
		if n < i {
			place += units[n].Quantity
			continue
		}
		first, last = min(first, units[n].Day), max(last, units[n].Day)
		quantity += mc.counts[n]
	}
	if p := &units[i].Prices; !p.Graduated || len(p.Tiers) == 1 {
		return daysText(first, last) + ": "
	}
	return fmt.Sprintf("%s, calls %d to %d of the month: ", daysText(first, last), place,
		place+quantity-1)
}

func daysText(first, last billing.Day) string {
	if first == last {
		return first.String()
	}
	return first.String() + " to " + last.String()
}

func priceName(p *rating.Prices) string {
	if p.Contract {
		return "contract price by event " + p.Source
	}
	return "price list " + p.ID
}

// priceSteps tell where a price list comes from, what it says, which tier the month reached, and
// what discounts make of it.
func (mc *monthCharge) priceSteps(p *rating.Prices) []billing.Step {
	steps := []billing.Step{mc.originStep(p)}
	at := rating.TierAt(p.Tiers, mc.total, mc.bound)
	price, reached := p.Tiers[at].Price, len(p.Tiers) == 1
	switch {
	case reached:
		steps = append(steps, say("B15", "flat price: ", billing.Text(price), " a call"))
	case p.Graduated:
		steps = append(steps, step("B15", "graduated by place in the month: %s",
			tiersText(p.Tiers, 1, 1)))
	default:
		reached = true
		above := int64(0)
		if mc.bound == rating.Exclusive {
			above = 1
		}
		steps = append(steps,
			step("B15", "whole-volume: %s", tiersText(p.Tiers, 0, above)),
			step("B15", "%d %s: tier %s, %s a call%s", mc.total, calls(mc.total),
				tierText(p.Tiers, at, 0, above), price, heldText(p.Tiers[at])))
	}
	for i := range p.Factors {
		f := &p.Factors[i]
		of := "every price"
		if reached {
			of = fmt.Sprintf("%s x %s = %s", price, f.Value, price.Mul(f.Value))
			price = price.Mul(f.Value)
		} else {
			of += " x " + f.Value.String()
		}
		steps = append(steps, step("B15", "discount %s%s, by %s: %s", f.ID, mc.discountDays(f.ID),
			documents(mc.cat, f.Source), of))
	}
	return steps
}

func heldText(t billing.Tier) string {
	if t.Unpublished {
		return ", the last published price (" + billing.FlagContractPriceMissing + ")"
	}
	return ""
}

// tiersText lists tiers by the quantities that they hold: the first from least on, each other from
// its lower bound and above on.
func tiersText(tiers []billing.Tier, least, above int64) string {
	parts := make([]string, len(tiers))
	for i, t := range tiers {
		price := " at " + t.Price.String()
		if t.Unpublished {
			price = " not published"
		}
		parts[i] = tierText(tiers, i, least, above) + price
	}
	return strings.Join(parts, ", ")
}

func tierText(tiers []billing.Tier, i int, least, above int64) string {
	first := least
	if i > 0 {
		first = tiers[i].From + above
	}
	if i+1 == len(tiers) {
		return fmt.Sprintf("%d or more", first)
	}
	return fmt.Sprintf("%d to %d", first, tiers[i+1].From-1+above)
}

// originStep names a price list, its days and its document, or the event that agreed a contract.
func (mc *monthCharge) originStep(p *rating.Prices) billing.Step {
	a := mc.account
	for i := range a.Contracts {
		if a.Contracts[i].Prices.ID == p.ID {
			return a.Contracts[i].originStep()
		}
	}
	list := mc.cat.PriceListByID(p.ID)
	if list == nil || !p.Same(&rating.Prices{
		Graduated: list.Graduated, Tiers: list.Tiers, Factors: p.Factors,
	}) {
		return step("B15", "price list %s of an earlier catalogue, by %s", p.ID,
			documents(mc.cat, p.Source))
	}
	why := ""
	if list.Cohort != a.Cohort {
		why = fmt.Sprintf(" (cohort %s has none for this tag)", a.Cohort)
	}
	return say("B15", "price list ", p.ID, inForce(list.From, list.Until), why, ", by ",
		documents(mc.cat, p.Source))
}

func (c *Contract) originStep() billing.Step {
	var last *billing.Day
	if c.To != 0 {
		day := c.To - 1
		last = &day
	}
	moved := ""
	if c.Agreed != 0 && c.Agreed < c.From {
		moved = fmt.Sprintf(" (agreed from %s on, and it arrived when %s was closed)", c.Agreed,
			c.From-1)
	}
	return step("B15", "contract price%s%s, by event %s", inForce(&c.From, last), moved,
		c.Prices.Source)
}

func (mc *monthCharge) discountDays(id string) string {
	for i := range mc.cat.Discounts {
		if d := &mc.cat.Discounts[i]; d.ID == id {
			return inForce(&d.From, &d.To)
		}
	}
	return ""
}

func inForce(from, last *billing.Day) string {
	text := ""
	if from != nil {
		text += " from " + from.String()
	}
	if last != nil {
		text += " to " + last.String()
	}
	return text
}

// documents gives the published documents of a list of source ids: "P-day 价格说明(日结), 2023".
func documents(cat *catalog.Catalog, sources string) string {
	if s, known := cat.Sources[sources]; known && s.Date != "" { // mostly there is only one
		return sources + ": " + s.Title + " (" + s.Date + ")"
	}
	ids := strings.Split(sources, ", ")
	for i, id := range ids {
		s, known := cat.Sources[id]
		switch {
		case known && s.Date == "":
			ids[i] += ": " + s.Title + " (undated)"
		case known:
			ids[i] += ": " + s.Title + " (" + s.Date + ")"
		}
	}
	return strings.Join(ids, "; ")
}

// adjustmentSteps subtract what earlier bills charged for a month's units from what these cost at
// the price now reached.
func (mc *monthCharge) adjustmentSteps(now, was decimal.Decimal) []billing.Step {
	steps := []billing.Step{mc.monthStep()}
	charged := decimal.Zero
	var amounts []string
	for _, b := range mc.usage.Bills {
		steps = append(steps, step("B19", "bill %s charged %d %s of %s: %s", b.BillID, b.Quantity,
			calls(b.Quantity), mc.usage.Month, b.Amount))
		charged = charged.Add(b.Amount)
		amounts = append(amounts, b.Amount.String())
	}
	if len(amounts) > 1 {
		steps = append(steps, step("B19", "earlier bills: %s = %s", strings.Join(amounts, " + "),
			charged))
	}
	if back := charged.Sub(was); !back.IsZero() {
		steps = append(steps, step("B27", "less what this bill's voided line gives back: %s - %s = %s",
			charged, back, was))
	}
	steps = mc.unitSteps(steps, 0, mc.before)
	return append(steps, step("B19", "now less charged: %s - %s = %s", now, was, now.Sub(was)))
}

// takenBackStep explains what a voided line gives back for units of entry i: what was charged with
// them, less what is charged without them.
func (mc *monthCharge) takenBackStep(i int, with, without rating.Rated) billing.Step {
	of := "on this bill's usage line"
	if i < mc.before {
		of = fmt.Sprintf("charged last on bill %s, at the price of %d calls in %s",
			mc.usage.Units[i].Bill, mc.totalBefore(), mc.usage.Month)
	}
	pieces := slices.Clone(with.Pieces)
	for _, p := range without.Pieces {
		p.Quantity = -p.Quantity
		pieces = append(pieces, p)
	}
	return step("B27", "%s, %s: %s = %s", mc.usage.Units[i].Day, of, multiplied(pieces),
		with.Amount.Sub(without.Amount))
}

// totalBefore is the month's postpaid quantity as the bill before this one left it.
func (mc *monthCharge) totalBefore() int64 {
	var total int64
	for i := range mc.before {
		total += mc.usage.Units[i].Quantity + mc.removed[i]
	}
	return total
}

// voidSteps name the events that took back calls of a tag, outcome and package in a period.
func voidSteps(voided []VoidedCount, same func(*VoidedCount) bool) []billing.Step {
	var steps []billing.Step
	for i := range voided {
		if v := &voided[i]; same(v) {
			steps = append(steps, step("B27", "%s: %d %s of %s taken back", v.Cause, v.Quantity,
				calls(v.Quantity), v.Day))
		}
	}
	return steps
}

func calls(n int64) string {
	if n == 1 {
		return "call"
	}
	return "calls"
}

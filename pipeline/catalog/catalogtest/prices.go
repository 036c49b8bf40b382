package catalogtest

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// prices compares the list in force: a flat price, its tiers, its id, the discounts of the day.
func (run *runner) prices(d *diffs, f catalog.Fields, cohort string, tag catalog.TagID,
	day billing.Day,
) {
	list, ok := run.cat.PriceListFor(cohort, tag, day)
	if !ok {
		list = &catalog.PriceList{}
	}
	run.text(d, f, "list", list.ID)
	if f.Has("price") {
		want := run.Decimal(f.Get("price")).String()
		got := "tiers " + tiersText(list.Tiers)
		if len(list.Tiers) == 1 {
			got = list.Tiers[0].Price.String()
		}
		d.compare("price", want, got)
	}
	if f.Has("tiers") {
		d.compare("tiers", run.tiersWanted(f.Get("tiers")), tiersText(list.Tiers))
	}
	if f.Has("discount") {
		got := discountOf(run.cat, tag, day)
		d.compare("discount", run.Decimal(f.Get("discount")).String(), got.String())
	}
}

func tiersText(tiers []billing.Tier) string {
	parts := make([]string, len(tiers))
	for i, t := range tiers {
		price := t.Price.String()
		if t.Unpublished {
			price = "unpublished"
		}
		parts[i] = fmt.Sprintf("%d: %s", t.From, price)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (run *runner) tiersWanted(n *yaml.Node) string {
	var parts []string
	for _, e := range run.Entries(n, "tiers") {
		price := "unpublished"
		if e.Value.Value != price {
			price = run.Decimal(e.Value).String()
		}
		parts = append(parts, e.Key+": "+price)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func discountOf(cat *catalog.Catalog, tag catalog.TagID, day billing.Day) decimal.Decimal {
	factor := decimal.NewFromInt(1)
	for _, d := range cat.PostpaidDiscountsOn(tag, day) {
		factor = factor.Mul(d.Factor)
	}
	return factor
}

// month prices a month in which every call falls on days with the same list and discounts.
func (run *runner) month(n, want *yaml.Node) []string {
	f := run.Fields(n, "a month", "opened", "tag", "on", "calls", "covered")
	zone := run.cat.Settings.Zone
	cohort := run.cat.CohortOf(run.Moment(f.Need("opened"), zone))
	tag := run.anyTag(f.Need("tag"))
	day := billing.DayOf(run.Moment(f.Need("on"), zone), zone)
	quantity := run.Int(f.Need("calls"), 0)
	if f.Has("covered") {
		quantity -= run.Int(f.Get("covered"), 0)
	}
	w := run.Fields(want, "expect", "unit_price", "amount", "unpublished", "list")
	list, ok := run.cat.PriceListFor(cohort.Name, tag, day)
	if !ok {
		return []string{fmt.Sprintf("no price of %s for cohort %s on %s", tag, cohort.Name, day)}
	}
	factor := discountOf(run.cat, tag, day)
	reached := list.Tiers[run.reached(list.Tiers, quantity)]
	amount := reached.Price.Mul(decimal.NewFromInt(quantity))
	if list.Graduated {
		amount = run.graduated(list.Tiers, quantity)
	}
	var d diffs
	run.text(&d, w, "list", list.ID)
	if w.Has("unit_price") {
		got := reached.Price.Mul(factor).String()
		d.compare("unit_price", run.Decimal(w.Get("unit_price")).String(), got)
	}
	if w.Has("amount") {
		got := amount.Mul(factor).String()
		d.compare("amount", run.Decimal(w.Get("amount")).String(), got)
	}
	run.truth(&d, w, "unpublished", reached.Unpublished)
	return d
}

// reached is the tier of a whole quantity, by the catalogue's rule for the boundary (A2).
func (run *runner) reached(tiers []billing.Tier, quantity int64) int {
	at := 0
	inclusive := run.cat.Settings.TierLowerBound == "inclusive"
	for i, t := range tiers {
		if t.From < quantity || t.From == quantity && inclusive {
			at = i
		}
	}
	return at
}

// graduated prices each part of the quantity at its own tier.
func (run *runner) graduated(tiers []billing.Tier, quantity int64) decimal.Decimal {
	sum := decimal.Zero
	for i, t := range tiers {
		end := quantity
		if i+1 < len(tiers) {
			end = min(end, tiers[i+1].From)
		}
		if end > t.From {
			sum = sum.Add(t.Price.Mul(decimal.NewFromInt(end - t.From)))
		}
	}
	return sum
}

func (run *runner) packagePrice(n, want *yaml.Node) []string {
	f := run.Fields(n, "package_price", "tag", "size", "on")
	tag := run.anyTag(f.Need("tag"))
	size := run.Int(f.Need("size"), 1)
	zone := run.cat.Settings.Zone
	day := billing.DayOf(run.Moment(f.Need("on"), zone), zone)
	price, listed := run.cat.ListedPackagePrice(tag, size, day)
	w := run.Fields(want, "expect", "price", "listed")
	var d diffs
	run.truth(&d, w, "listed", listed)
	if w.Has("price") {
		got := "not on the list"
		if listed {
			got = price.String()
		}
		d.compare("price", run.Decimal(w.Get("price")).String(), got)
	}
	return d
}

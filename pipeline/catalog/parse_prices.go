package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
)

const unpublished = "unpublished" // the price of a tier above the published ones

func (l *loader) prices(n *yaml.Node) {
	for _, cohort := range l.Entries(n, "prices") {
		l.cohort(cohort.At, cohort.Key)
		for _, tag := range l.Entries(cohort.Value, "prices of cohort "+cohort.Key) {
			l.checkTag(tag.At, tag.Key)
			l.priceLists(cohort.Key, tag)
		}
	}
}

// priceLists reads the dated lists of one cohort and tag.
func (l *loader) priceLists(cohort string, tag Entry) {
	var before *PriceList
	items := l.List(tag.Value, "prices of "+tag.Key)
	for _, item := range items {
		p := l.priceList(item, cohort, TagID(tag.Key))
		if before != nil && dayOr(p.From, firstDay) <= dayOr(before.Until, lastDay) {
			l.Fault(item, fmt.Sprintf("the dates overlap those of the list before (%s)", before.ID),
				"end that one the day before this one begins; list them by date")
		}
		before = p
		l.cat.Prices = append(l.cat.Prices, p)
	}
	if tag.Value.Kind == yaml.SequenceNode && len(items) == 0 {
		l.Fault(tag.Value, "no price list", "write one or drop the tag here")
	}
}

func dayOr(d *billing.Day, otherwise billing.Day) billing.Day {
	if d == nil {
		return otherwise
	}
	return *d
}

func (l *loader) priceList(n *yaml.Node, cohort string, tag TagID) *PriceList {
	f := l.Fields(n, "a price list",
		"from", "until", "price", "mode", "tiers", "source", "note")
	p := &PriceList{ID: cohort + "/" + string(tag), Cohort: cohort, Tag: tag}
	p.From, p.Until = l.Day(f.Get("from")), l.Day(f.Get("until"))
	if p.From != nil {
		p.ID += "/" + p.From.String()
	}
	l.ordered(f, p.From, p.Until)
	p.Source = l.source(f.Need("source"))
	switch {
	case f.Has("price") && (f.Has("tiers") || f.Has("mode")):
		l.Fault(f.Get("price"), "both a price and tiers", "keep one; mode belongs to tiers")
	case f.Has("price"):
		p.Tiers = []billing.Tier{{Price: l.Decimal(f.Get("price"))}}
	default:
		mode := l.OneOf(f.Need("mode"), "mode", "volume", "graduated")
		p.Graduated = mode == "graduated"
		p.Tiers = l.tiers(f.Need("tiers"))
	}
	return p
}

// tiers reads `{0: "1.00", 1000: "0.85", 200000: unpublished}`: lower bounds and prices.
func (l *loader) tiers(n *yaml.Node) []billing.Tier {
	var tiers []billing.Tier
	for _, e := range l.Entries(n, "tiers") {
		t := billing.Tier{From: l.count(e.At, 0)}
		switch {
		case len(tiers) == 0 && t.From != 0:
			l.Fault(e.At, "the first tier does not begin at 0", "add the tier of the first calls")
		case len(tiers) > 0 && t.From <= tiers[len(tiers)-1].From:
			l.Fault(e.At, "tiers out of order", "list them by rising lower bound")
		}
		published := len(tiers) == 0 || !tiers[len(tiers)-1].Unpublished
		switch {
		case e.Value.Kind == yaml.ScalarNode && e.Value.Value == unpublished && len(tiers) > 0:
			t.Unpublished, t.Price = true, tiers[len(tiers)-1].Price
		case !published:
			l.Fault(e.At, "a tier above an unpublished one", "only the last can be unpublished")
		default:
			t.Price = l.Decimal(e.Value)
		}
		tiers = append(tiers, t)
	}
	if n != nil && n.Kind == yaml.MappingNode && len(tiers) == 0 {
		l.Fault(n, "no tier", `write at least {0: "1.00"}`)
	}
	return tiers
}

// count reads a key that is a number of calls.
func (l *loader) count(n *yaml.Node, least int64) int64 {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || v < least || strconv.FormatInt(v, 10) != n.Value {
		l.Fault(n, fmt.Sprintf("%q is not a number of calls", n.Value), "write plain digits")
		return least
	}
	return v
}

func (l *loader) packages(n *yaml.Node) {
	l.cat.Packages = map[TagID]*PackageOffer{}
	for _, item := range l.List(n, "packages") {
		f := l.Fields(item, "a package offer", "tags", "covers", "prices", "source", "note")
		offer := PackageOffer{Source: l.source(f.Need("source"))}
		if f.Has("covers") {
			c := l.Fields(f.Get("covers"), "covers", "prepaid", "legacy", "note")
			offer.CoversPrepaid = l.tagIDs(c.Get("prepaid"), "prepaid")
			offer.CoversLegacy = l.tagIDs(c.Get("legacy"), "legacy")
		}
		offer.Prices = l.packagePrices(f.Need("prices"))
		for _, tag := range l.Items(f.Need("tags"), "tags") {
			l.checkTag(tag.At, tag.Key)
			if l.cat.Packages[TagID(tag.Key)] != nil {
				l.Fault(tag.At, fmt.Sprintf("tag %q has a package offer already", tag.Key),
					"put all its prices into one offer")
			}
			of := offer
			of.Tag = TagID(tag.Key)
			if !f.Has("covers") {
				of.CoversPrepaid = []TagID{of.Tag}
			}
			l.cat.Packages[of.Tag] = &of
		}
	}
}

func (l *loader) packagePrices(n *yaml.Node) []PackagePrice {
	var all []PackagePrice
	for _, item := range l.List(n, "package prices") {
		f := l.Fields(item, "package prices", "from", "until", "sizes", "source", "note")
		from, until := l.Day(f.Get("from")), l.Day(f.Get("until"))
		l.ordered(f, from, until)
		if f.Has("source") {
			l.source(f.Get("source"))
		}
		if until != nil {
			end := *until + 1 // inclusive in the file
			until = &end
		}
		for _, e := range l.Entries(f.Need("sizes"), "sizes") {
			p := PackagePrice{From: from, Until: until, Size: l.count(e.At, 1)}
			p.Price = l.Decimal(e.Value)
			if slices.ContainsFunc(all, p.overlaps) {
				l.Fault(e.At, fmt.Sprintf("size %d has two prices on some days", p.Size),
					"end one the day before the other begins")
			}
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b PackagePrice) int {
		return cmp.Or(cmp.Compare(dayOr(a.From, firstDay), dayOr(b.From, firstDay)),
			cmp.Compare(a.Size, b.Size))
	})
	return all
}

func (p PackagePrice) overlaps(o PackagePrice) bool {
	return p.Size == o.Size && dayOr(p.From, firstDay) < dayOr(o.Until, lastDay) &&
		dayOr(o.From, firstDay) < dayOr(p.Until, lastDay)
}

func (l *loader) discounts(n *yaml.Node) {
	for _, e := range l.Entries(n, "discounts") {
		l.checkName(e.At, e.Key)
		f := l.Fields(e.Value, "discount "+e.Key,
			"from", "to", "applies", "tags", "factor", "source", "note")
		d := Discount{
			ID:      e.Key,
			Applies: l.OneOf(f.Need("applies"), "thing to discount", Postpaid, PackageSales),
			Tags:    l.tagIDs(f.Need("tags"), "tags"),
			Factor:  l.Decimal(f.Need("factor")),
			Source:  l.source(f.Need("source")),
		}
		from, to := l.Day(f.Need("from")), l.Day(f.Need("to"))
		if from != nil && to != nil {
			d.From, d.To = *from, *to
			if *to < *from {
				l.Fault(f.Get("to"), "it ends before it begins", "swap or mend the dates")
			}
		}
		if d.Factor.GreaterThan(decimal.NewFromInt(1)) {
			l.Fault(f.Get("factor"), "a factor above 1 raises the price", `write 20 % off as "0.8"`)
		}
		l.cat.Discounts = append(l.cat.Discounts, d)
	}
}

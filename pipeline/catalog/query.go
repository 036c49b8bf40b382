package catalog

import (
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// CohortOf is the cohort of an account by the moment it opened the product (B3).
func (c *Catalog) CohortOf(openedAt billing.Instant) *Cohort {
	for i := len(c.Cohorts) - 1; i > 0; i-- {
		if c.Cohorts[i].OpenedFrom <= openedAt {
			return &c.Cohorts[i]
		}
	}
	return &c.Cohorts[0]
}

// DimensionNames are the names of the dimensions, in the order in which call records have them.
func (c *Catalog) DimensionNames() []string {
	names := make([]string, len(c.Dimensions))
	for i := range names {
		names[i] = c.Dimensions[i].Name
	}
	return names
}

// Cohort is the cohort of that name, nil if there is none.
func (c *Catalog) Cohort(name string) *Cohort {
	for i := range c.Cohorts {
		if c.Cohorts[i].Name == name {
			return &c.Cohorts[i]
		}
	}
	return nil
}

// DimensionIndex is the place of a dimension in CallRecord.Dims, -1 if it is not one.
func (c *Catalog) DimensionIndex(name string) int {
	if i, ok := c.index.dimensions[name]; ok {
		return i
	}
	return -1
}

// Channel finds a channel by its key or an alias.
func (c *Catalog) Channel(keyOrAlias string) (*Channel, bool) {
	ch, ok := c.index.channels[keyOrAlias]
	return ch, ok
}

// ChannelsRunning are the channels that run an action, in the order of the file.
func (c *Catalog) ChannelsRunning(action string) []*Channel { return c.index.running[action] }

// TagBySpelling finds a tag by its id, which must match literally, or by any published spelling,
// in which brackets, spaces and the case of Latin letters do not matter (A1).
func (c *Catalog) TagBySpelling(s string) (TagID, bool) {
	if _, ok := c.Tags[TagID(s)]; ok {
		return TagID(s), true
	}
	id, ok := c.index.spellings[normalise(s)]
	return id, ok
}

// TagName is the spelling printed on bills; the id itself if the catalogue does not have the tag.
func (c *Catalog) TagName(id TagID) string {
	if t, ok := c.Tags[id]; ok {
		return t.Name
	}
	return string(id)
}

// PriceListFor is the list in force on a day: the cohort's own, else the one of the first fallback
// cohort that has one that day (B15).
func (c *Catalog) PriceListFor(cohort string, tag TagID, day billing.Day) (*PriceList, bool) {
	if p := c.priceList(cohort, tag, day); p != nil {
		return p, true
	}
	for _, other := range c.Settings.PriceFallback {
		if p := c.priceList(other, tag, day); p != nil {
			return p, true
		}
	}
	return nil, false
}

// PriceListByID is the list of that id, nil where this catalogue has none.
func (c *Catalog) PriceListByID(id string) *PriceList {
	if i := slices.IndexFunc(c.Prices, func(p *PriceList) bool { return p.ID == id }); i >= 0 {
		return c.Prices[i]
	}
	return nil
}

func (c *Catalog) priceList(cohort string, tag TagID, day billing.Day) *PriceList {
	for _, p := range c.index.prices[priceKey{cohort, tag}] {
		if dayOr(p.From, firstDay) <= day && day <= dayOr(p.Until, lastDay) {
			return p
		}
	}
	return nil
}

// PostpaidDiscountsOn are the published discounts on a tag's list price that day (B15).
func (c *Catalog) PostpaidDiscountsOn(tag TagID, day billing.Day) []Discount {
	return c.discountsOn(Postpaid, tag, day)
}

func (c *Catalog) discountsOn(applies string, tag TagID, day billing.Day) []Discount {
	var on []Discount
	for _, d := range c.index.discounts[applies][tag] {
		if d.From <= day && day <= d.To {
			on = append(on, d)
		}
	}
	return on
}

// Reaches tells whether a package of one tag covers calls with these prepaid and legacy tags (B9).
// A package of a tag that the catalogue does not offer covers that tag.
func (c *Catalog) Reaches(packageTag, prepaid, legacy TagID) bool {
	offer := c.Packages[packageTag]
	if offer == nil {
		return packageTag != "" && packageTag == prepaid
	}
	return containsTag(offer.CoversPrepaid, prepaid) || containsTag(offer.CoversLegacy, legacy)
}

// ListedPackagePrice is the published price of a package of that size on a day, discounts
// included; listed is false where the size was not on sale then (B8).
func (c *Catalog) ListedPackagePrice(tag TagID, size int64, day billing.Day) (
	price decimal.Decimal, listed bool,
) {
	offer := c.Packages[tag]
	if offer == nil {
		return decimal.Zero, false
	}
	i := slices.IndexFunc(offer.Prices, func(p PackagePrice) bool {
		return p.Size == size && dayOr(p.From, firstDay) <= day && day < dayOr(p.Until, lastDay)
	})
	if i < 0 {
		return decimal.Zero, false
	}
	price = offer.Prices[i].Price
	for _, d := range c.discountsOn(PackageSales, tag, day) {
		price = price.Mul(d.Factor)
	}
	return price, true
}

// At is the place of the selector's dimension in CallRecord.Dims.
func (s Selector) At() int { return s.at }

// DecidesAt is the place of the dimension that chooses the variant, -1 where there is one variant.
func (ch *Channel) DecidesAt() int { return ch.decidesAt }

// Variant is the variant of that value, nil if there is none.
func (ch *Channel) Variant(value string) *Variant {
	for i := range ch.Variants {
		if ch.Variants[i].Value == value {
			return &ch.Variants[i]
		}
	}
	return nil
}

// RuleOn is the rule that holds for a cohort on a day.
func (v *Variant) RuleOn(cohort string, day billing.Day) *TagRule {
	for i := len(v.Tags) - 1; i >= 0; i-- {
		r := &v.Tags[i]
		if dayOr(r.From, firstDay) <= day && slices.Contains(r.Cohorts, cohort) {
			return r
		}
	}
	return nil
}

// ReplacedBy is the channel whose tags and codes a call of this channel takes because of a flag in
// its dimensions, nil if it keeps its own.
func (ch *Channel) ReplacedBy(dims []string) *Channel {
	for i := range ch.Replaced {
		r := &ch.Replaced[i]
		if r.at >= 0 && r.at < len(dims) && dims[r.at] == r.Value {
			return r.target
		}
	}
	return nil
}

// CodesFor is the table of result codes that judges a call of this channel.
func (ch *Channel) CodesFor(dims []string) *CodeTable {
	for i := range ch.Codes {
		if ch.Codes[i].holds(dims) {
			return ch.Codes[i].table
		}
	}
	return nil
}

func (cc *CodeChoice) holds(dims []string) bool {
	for _, cond := range cc.conditions {
		if cond.at >= len(dims) || dims[cond.at] != cond.value {
			return false
		}
	}
	return true
}

// Lookup tells whether a code is charged on a day, and whether the table has ever heard of it
// (B5). The last version whose day has come decides, else the first.
func (t *CodeTable) Lookup(code string, day billing.Day) (charged, known bool) {
	version := &t.Versions[0]
	for i := range t.Versions {
		if from := t.Versions[i].From; from == nil || *from <= day {
			version = &t.Versions[i]
		}
	}
	if version.Charged[code] {
		return true, true
	}
	return false, t.heard[code] || t.KnownFree.has(code)
}

// ChargedOn are the codes that are charged on a day, sorted.
func (t *CodeTable) ChargedOn(day billing.Day) []string {
	var codes []string
	for _, code := range sortedKeys(t.heard) {
		if charged, _ := t.Lookup(code, day); charged {
			codes = append(codes, code)
		}
	}
	return codes
}

func (s *CodeSet) has(code string) bool {
	if s.Exact[code] {
		return true
	}
	for _, p := range s.Prefixes {
		if strings.HasPrefix(code, p) {
			return true
		}
	}
	if len(s.Ranges) == 0 || strings.Trim(code, "-0123456789") != "" {
		return false // also keeps ParseInt from making an error for every text code
	}
	n, err := strconv.ParseInt(code, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != code {
		return false
	}
	return slices.ContainsFunc(s.Ranges, func(r [2]int64) bool { return r[0] <= n && n <= r[1] })
}

package generate

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// offer is one package on sale.
type offer struct {
	tag   catalog.TagID
	size  int64
	price decimal.Decimal
}

// offers are the packages on sale on a day that cover one of the account's ways to call, from the
// smallest.
func (s *script) offers(day billing.Day) []offer {
	cat, seen := s.opts.Catalog, map[catalog.TagID]bool{}
	var list []offer
	for _, which := range s.a.favourites {
		r := &s.shapes.rulings[s.a.cohort.Name][s.shapes.epoch(day)][which]
		for tag, o := range cat.Packages { // sorted below
			if !r.ok || seen[tag] || !cat.Reaches(tag, r.prepaid, r.legacy) {
				continue
			}
			seen[tag] = true
			for _, p := range o.Prices {
				if price, listed := cat.ListedPackagePrice(tag, p.Size, day); listed &&
					!slices.ContainsFunc(list, func(o offer) bool {
						return o.tag == tag && o.size == p.Size
					}) {
					list = append(list, offer{tag, p.Size, price})
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b offer) int {
		return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.tag, b.tag))
	})
	return list
}

// packages buys some, mostly small ones, off the price list now and then, and asks for refunds.
func (s *script) packages() {
	for range s.IntN(4) {
		at := s.moment()
		list := s.offers(s.dayOf(at))
		if len(list) == 0 {
			continue
		}
		o := list[s.IntN(1+len(list)/2)]
		if s.chance(0.2) { // a size and price that no document has
			o.size = 1 + s.calls/int64(2+s.IntN(8))
			o.price = o.price.Mul(decimal.New(9, -1)).Round(2)
		}
		if s.chance(0.85) {
			s.topUp(at-10*billing.Second, o.price.Mul(decimal.New(11, -1)))
		}
		delivered := at
		if s.chance(0.2) { // sold now, live in some days
			delivered += s.between(billing.Hour, 10*24*billing.Hour)
		}
		id := s.deliver(at, min(delivered, at+20*billing.Hour), o.tag, false, o.size, o.price)
		if s.chance(0.25) {
			back := at + s.between(billing.Hour, 10*24*billing.Hour) // some of them too late
			s.tell(billing.PackageRefunded, back, func(e *object) { e.text("package_id", id) })
		}
	}
}

// deliver is a package.delivered event; it gives the package's id.
func (s *script) deliver(at, delivered billing.Instant, tag catalog.TagID, free bool, quota int64,
	price decimal.Decimal,
) string {
	id, kind := "pkg-"+strconv.Itoa(s.events+1), "paid"
	if free {
		kind = "free"
	}
	s.tell(billing.PackageDelivered, at, func(o *object) {
		o.text("package_id", id)
		o.text("tag", s.spelling(tag))
		o.text("kind", kind)
		o.count("quota", quota)
		o.text("price", price.String())
		o.text("delivered_at", delivered.In(s.opts.Catalog.Settings.Zone))
	})
	return id
}

// spelling is a tag's id or one of its published names.
func (s *script) spelling(tag catalog.TagID) string {
	all := []string{string(tag)}
	if t := s.opts.Catalog.Tags[tag]; t != nil {
		all = append(all, t.Names...)
	}
	return pick(s.dice, all)
}

// contract agrees on prices below the list, whole-volume or graduated.
func (s *script) contract() {
	if !s.chance(0.15) {
		return
	}
	tag, at := s.pickTags().postpaid, s.moment()
	base := decimal.New(1, 0)
	if list, ok := s.priceList(tag, s.dayOf(at)); ok && len(list.Tiers) > 0 {
		base = list.Tiers[0].Price
	}
	from := s.dayOf(at)
	if s.chance(0.5) {
		from = from.Month().FirstDay()
	}
	mode := pick(s.dice, []string{"volume", "graduated"})
	s.tell(billing.PriceAgreed, at, func(o *object) {
		o.text("tag", s.spelling(tag))
		o.text("from", from.String())
		if s.chance(0.3) {
			o.text("to", (from + 1 + billing.Day(s.IntN(60))).String())
		}
		o.text("mode", mode)
		tiers := "["
		quantity := int64(0)
		for i, percent := range []int64{90, 80, 65} {
			t := object{}
			t.count("from_quantity", quantity)
			t.text("unit_price", base.Mul(decimal.New(percent, -2)).Round(6).String())
			if i > 0 {
				tiers += ","
			}
			tiers += string(t.bytes())
			quantity += 1 + s.calls/int64(3+s.IntN(4))
		}
		o.raw("tiers", tiers+"]")
	})
}

// contradictions are well-formed events that cannot be true.
func (s *script) contradictions() {
	zone := s.opts.Catalog.Settings.Zone
	switch s.IntN(4) {
	case 0: // opened again, at another time
		s.tell(billing.AccountOpened, s.moment(), func(o *object) {
			o.text("opened_at", (s.a.opened + billing.Hour).In(zone))
		})
	case 1: // another account's sub-account
		other := pick(s.dice, s.accounts)
		if len(other.subs) > 0 {
			s.tell(billing.SubAccountAdded, s.end()-billing.Hour, func(o *object) {
				o.text("sub_account_id", other.subs[0].id)
			})
		}
	case 2: // a package that was never delivered
		s.tell(billing.PackageRefunded, s.moment(), func(o *object) {
			o.text("package_id", "pkg-none")
		})
	default: // a package of a tag that does not exist
		s.tell(billing.PackageDelivered, s.moment(), func(o *object) {
			o.text("package_id", "pkg-unknown")
			o.text("tag", "no such tag")
			o.text("kind", "paid")
			o.count("quota", 100)
			o.text("price", "1")
			o.text("delivered_at", s.a.start.In(zone))
		})
	}
}

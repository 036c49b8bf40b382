package closing

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/rating"
)

// Moment is one closing: the nominal close time and the day that it closes (B18).
type Moment struct {
	At  billing.Instant
	Day billing.Day
}

// MomentOf gives the closing of a day.
func MomentOf(cat *catalog.Catalog, day billing.Day) Moment {
	s := &cat.Settings
	return Moment{At: (day + 1).At(s.CloseClock, s.Zone), Day: day}
}

// LastMomentBy gives the latest closing whose time is at or before an instant.
func LastMomentBy(cat *catalog.Catalog, at billing.Instant) Moment {
	m := MomentOf(cat, billing.DayOf(at, cat.Settings.Zone)-1)
	if m.At > at {
		return MomentOf(cat, m.Day-1)
	}
	return m
}

// WindowStart is the append time from which on the closing of a day looks at copies of accounts
// that it knew: the day before begins then. A call lies at most 24 hours after its arrival (B7), so
// one that arrived earlier was decided by the closing before; a broker's clock may step back by 32
// hours. Days are what the store cuts copies by, so that two identical ones that it has merged
// were both within the window or neither was.
func WindowStart(day billing.Day, zone *time.Location) billing.Instant {
	return (day - 1).Start(zone)
}

// closesMonth tells whether the moment also closes the month of its day.
func (m Moment) closesMonth() bool { return m.Day.Month() != (m.Day + 1).Month() }

// period is the period that the moment ends for a cycle; false where it ends none.
func (m Moment) period(c billing.Cycle) (billing.Period, bool) {
	return billing.PeriodOf(c, m.Day), c == billing.Daily || m.closesMonth()
}

// ActsAt is the moment from which an event influences balance, refunds and postpaid switching:
// its own, or the time of the last closing that missed it (B25 and "missed events").
func ActsAt(ev *billing.AccountEvent, missed Moment) billing.Instant {
	return max(ev.EffectiveAt, missed.At)
}

// Apply lets an event take effect on the account. The event is accepted already: its tag exists,
// its package id is new. Missed is the last closing whose barrier the event lies beyond.
func (a *Account) Apply(cat *catalog.Catalog, ev billing.AccountEvent, missed Moment) {
	at := ActsAt(&ev, missed)
	switch ev.Type {
	case billing.BalanceToppedUp:
		a.move(Move{At: at, Kind: "top_up", Amount: ev.Amount, Cause: ev.EventID})
	case billing.BalanceAdjusted:
		a.move(Move{At: at, Kind: "adjustment", Amount: ev.Amount, Cause: ev.EventID})
	case billing.PackageDelivered:
		a.deliver(cat, &ev, at, missed)
	case billing.PackageRefunded:
		r := Refund{At: at, EffectiveAt: ev.EffectiveAt, PackageID: ev.PackageID, Event: ev}
		a.Refunds = insertAfter(a.Refunds, r, func(x Refund) bool { return x.At > at })
	case billing.PostpaidDisabled, billing.PostpaidEnabled:
		s := Switch{At: at, On: ev.Type == billing.PostpaidEnabled, EventID: ev.EventID}
		a.Switches = insertAfter(a.Switches, s, func(x Switch) bool { return x.At > at })
	case billing.PriceAgreed:
		a.agree(cat, &ev, missed)
	case billing.CatalogCorrected:
		tag, _ := cat.TagBySpelling(ev.TagName) // none: every tag
		a.Pending.Corrected = append(a.Pending.Corrected,
			Correction{EventID: ev.EventID, Tag: tag, From: ev.From, To: ev.To})
	}
}

// insertAfter puts x before the first element that comes later, so that ties keep arrival order.
func insertAfter[T any](list []T, x T, later func(T) bool) []T {
	i := sort.Search(len(list), func(i int) bool { return later(list[i]) })
	return slices.Insert(list, i, x)
}

func (a *Account) move(m Move) {
	a.Moves = insertAfter(a.Moves, m, func(x Move) bool {
		return x.At > m.At || (x.At == m.At && x.Bill && !m.Bill)
	})
}

func (a *Account) deliver(
	cat *catalog.Catalog, ev *billing.AccountEvent, at billing.Instant, missed Moment,
) {
	tag, _ := cat.TagBySpelling(ev.TagName)
	first := billing.DayOf(ev.DeliveredAt, cat.Settings.Zone)
	listed, known := cat.ListedPackagePrice(tag, ev.Quota, first)
	p := Package{
		ID: ev.PackageID, Tag: tag, Free: ev.Free, Quota: ev.Quota, Price: ev.Price,
		Delivered: ev.DeliveredAt, First: first, End: first.AddYears(cat.Settings.PackageYears),
		Since:   missed.Day + 1,
		OffList: !ev.Free && (!known || !listed.Equal(ev.Price)),
	}
	a.Packages = append(a.Packages, p)
	slices.SortStableFunc(a.Packages, packageOrder(cat.Settings.PackageOrder))
	if !ev.Price.IsZero() {
		a.move(Move{At: at, Kind: "purchase", Amount: ev.Price.Neg(), Cause: ev.EventID})
	}
}

// packageOrder compares packages as the catalogue's setting says (B10, A14).
func packageOrder(order []string) func(a, b Package) int {
	return func(a, b Package) int {
		for _, key := range order {
			c := 0
			switch key {
			case "free_first":
				c = cmp.Compare(boolRank(a.Free), boolRank(b.Free))
			case "earliest_end":
				c = cmp.Compare(a.End, b.End)
			case "earliest_delivery":
				c = cmp.Compare(a.Delivered, b.Delivered)
			case "package_id":
				c = cmp.Compare(a.ID, b.ID)
			}
			if c != 0 {
				return c
			}
		}
		return 0
	}
}

func boolRank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// agree records a contract price. It acts from the first day not yet closed when it arrived.
func (a *Account) agree(cat *catalog.Catalog, ev *billing.AccountEvent, missed Moment) {
	tag, _ := cat.TagBySpelling(ev.TagName)
	a.Contracts = append(a.Contracts, Contract{
		EventID: ev.EventID, Tag: tag, From: max(ev.From, missed.Day+1), To: ev.To, Agreed: ev.From,
		Prices: rating.Prices{
			ID: "contract/" + ev.EventID, Source: "price.agreed " + ev.EventID, Contract: true,
			Graduated: ev.Graduated, Tiers: ev.Tiers,
		},
	})
}

// pricesFor finds the price list in force for a tag on a day: the contract that arrived last, else
// the catalogue's list with its discounts (B15).
func (a *Account) pricesFor(
	cat *catalog.Catalog, tag catalog.TagID, day billing.Day,
) (rating.Prices, bool) {
	for i := len(a.Contracts) - 1; i >= 0; i-- {
		c := &a.Contracts[i]
		if c.Tag == tag && c.From <= day && (c.To == 0 || day < c.To) {
			return c.Prices, true
		}
	}
	list, ok := cat.PriceListFor(a.Cohort, tag, day)
	if !ok {
		return rating.Prices{}, false
	}
	p := rating.Prices{
		ID: list.ID, Source: list.Source, Graduated: list.Graduated, Tiers: list.Tiers,
	}
	for _, d := range cat.PostpaidDiscountsOn(tag, day) {
		p.Factors = append(p.Factors, rating.Factor{ID: d.ID, Source: d.Source, Value: d.Factor})
	}
	return p, true
}

// balanceAt sums the balance with every known move up to an instant, that instant's bills left
// out: the balance before a bill of that instant (B23).
func (a *Account) balanceAt(at billing.Instant) decimal.Decimal {
	sum := a.Settled
	for _, m := range a.Moves {
		if m.At < at || (m.At == at && !m.Bill) {
			sum = billing.Plus(sum, m.Amount)
		}
	}
	return sum
}

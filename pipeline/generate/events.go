package generate

import (
	"slices"
	"strconv"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// script writes the events of one account.
type script struct {
	*Generator
	dice
	a      *account
	events int
	budget decimal.Decimal // what the account's calls cost, roughly
	calls  int64           // how many it makes, roughly
}

// planEvents makes the events of all accounts, in the order of their arrival.
func (g *Generator) planEvents() {
	for i, a := range g.accounts {
		s := script{Generator: g, dice: newDice(g.opts.Seed, eventDice|uint64(i)), a: a}
		s.estimate()
		s.opening()
		s.money()
		s.packages()
		s.contract()
		s.switches()
		if a.wrong {
			s.contradictions()
		}
		if a.closed != never {
			s.tell(billing.AccountClosed, a.closed, func(*object) {})
		}
	}
	g.spoilEvents()
	slices.SortStableFunc(g.events, func(x, y pending) int {
		switch {
		case x.before(&y):
			return -1
		case y.before(&x):
			return 1
		}
		return 0
	})
}

// estimate guesses calls and their cost, so that top-ups and packages fit the account.
func (s *script) estimate() {
	all := s.accounts[len(s.accounts)-1].through
	s.calls = 1 + int64(share(s.a.weight, uint64(s.opts.Calls), all))
	price := decimal.New(1, 0)
	if list, ok := s.priceList(s.pickTags().postpaid, s.firstDay()); ok && len(list.Tiers) > 0 {
		price = list.Tiers[0].Price
	}
	s.budget = price.Mul(decimal.NewFromInt(s.calls)).Add(decimal.New(10, 0))
}

func (s *script) firstDay() billing.Day {
	return max(s.dayOf(s.a.start), s.opts.Spans[0].First)
}

func (s *script) dayOf(at billing.Instant) billing.Day {
	return billing.DayOf(at, s.opts.Catalog.Settings.Zone)
}

func (s *script) priceList(tag catalog.TagID, day billing.Day) (*catalog.PriceList, bool) {
	return s.opts.Catalog.PriceListFor(s.a.cohort.Name, tag, day)
}

// pickTags are the tags of one of the account's ways to call, when it begins.
func (s *script) pickTags() *ruling {
	return &s.shapes.rulings[s.a.cohort.Name][s.shapes.epoch(s.firstDay())][pick(s.dice,
		s.a.favourites)]
}

// event writes an event and when it arrives.
func (s *script) event(t billing.EventType, effective, arrived billing.Instant,
	fields func(o *object),
) {
	s.events++
	o := object{}
	o.text("event_id", "ev-"+s.a.id+"-"+strconv.Itoa(s.events))
	o.text("type", string(t))
	o.text("account_id", s.a.id)
	zone := s.opts.Catalog.Settings.Zone
	o.text("effective_at", effective.In(zone))
	fields(&o)
	value := o.bytes()
	s.planned.Events[t]++
	s.plan(arrived, s.eventRecord(s.a.id, value))
	if s.chance(s.opts.Rates.Duplicates) {
		s.planned.EventDuplicates++
		again := arrived + s.between(billing.Second, 24*billing.Hour)
		s.plan(again, s.eventRecord(s.a.id, value))
	}
}

// plan puts an event among those that arrive.
func (g *Generator) plan(at billing.Instant, r Record) {
	g.events = append(g.events, pending{at: wholeMillis(at), made: uint64(len(g.events)), Record: r})
}

// tell is an event that arrives soon after its effect, seldom hours later.
func (s *script) tell(t billing.EventType, at billing.Instant, fields func(o *object)) {
	arrived := at + s.between(100*billing.Millisecond, 2*billing.Second)
	if s.chance(0.05) {
		arrived += s.between(billing.Hour, 30*billing.Hour)
	}
	s.event(t, at, arrived, fields)
}

// opening tells of the account itself. New accounts are sometimes heard of after their first
// calls, which then wait.
func (s *script) opening() {
	a, zone := s.a, s.opts.Catalog.Settings.Zone
	arrived := a.start + s.between(100*billing.Millisecond, 2*billing.Second)
	if a.opened == a.start && s.chance(0.3) {
		arrived = a.start + s.between(10*billing.Minute, 2*billing.Hour)
	}
	s.event(billing.AccountOpened, a.start, arrived, func(o *object) {
		o.text("opened_at", a.opened.In(zone))
		o.text("name", pick(s.dice, names)+" "+a.id)
	})
	for _, sub := range a.subs {
		at := sub.from + s.between(2*billing.Second, 4*billing.Second)
		s.event(billing.SubAccountAdded, at, at+billing.Second, func(o *object) {
			o.text("sub_account_id", sub.id)
		})
	}
	quota := s.opts.Catalog.FreeQuota[a.cohort.Name]
	tags := make([]catalog.TagID, 0, len(quota))
	for tag := range quota { // sorted below
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	for _, tag := range tags {
		if s.chance(0.7) {
			at := a.start + 5*billing.Second
			s.deliver(at, at, tag, true, quota[tag], decimal.Zero)
		}
	}
}

var names = []string{"Lanhai Bank", "Qingshan Logistics", "Xinhe Insurance", "Yunqi Rental",
	"Mingde School", "Haitang Games", "Beidou Travel", "Jinse Securities"}

// money is how the account pays: ahead and enough, or too little and too late.
func (s *script) money() {
	a := s.a
	first := s.budget.Mul(decimal.New(15, -1))
	if a.thrifty {
		first = s.budget.Mul(decimal.New(5, -2))
	}
	s.topUp(a.start+6*billing.Second, first)
	for range 1 + s.IntN(3) {
		part := s.budget.Mul(decimal.New(int64(1+s.IntN(4)), -1))
		s.topUp(s.moment(), part)
	}
	if s.chance(0.05) {
		s.tell(billing.BalanceAdjusted, s.moment(), func(o *object) {
			o.text("amount", pick(s.dice, []string{"-12.34", "0.01", "88", "-0.5"}))
			o.text("reason", pick(s.dice, []string{"goodwill", "voucher", "misposted transfer"}))
		})
	}
}

func (s *script) topUp(at billing.Instant, amount decimal.Decimal) {
	amount = amount.Round(2)
	if !amount.IsPositive() {
		amount = decimal.New(1, -2)
	}
	s.tell(billing.BalanceToppedUp, at, func(o *object) { o.text("amount", amount.String()) })
}

// moment is some time in the account's life within the story.
func (s *script) moment() billing.Instant {
	at := s.between(s.a.start+billing.Minute, min(s.end(), s.a.closed))
	return at / billing.Second * billing.Second
}

// switches turn postpaid billing off and on again.
func (s *script) switches() {
	if !s.chance(0.12) {
		return
	}
	off := s.moment()
	s.tell(billing.PostpaidDisabled, off, func(*object) {})
	if s.chance(0.8) {
		on := off + s.between(billing.Hour, 72*billing.Hour)
		s.tell(billing.PostpaidEnabled, on, func(*object) {})
	}
}

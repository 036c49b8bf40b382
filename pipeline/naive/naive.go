// Package naive makes bills by the definition: it walks an account's calls one by one, as
// docs/rules.md is written, and keeps nothing between closings but what was decided about each
// call. At every closing it looks at all records below the barrier again: who is who, whose money
// moved when, which package has how much left, what each single unit of a month costs. It is slow
// on purpose and used by tests only (pipeline/props): the engine has to say the same.
//
// It shares nouns (billing), the wire format (decode) and the catalogue's data with the engine, and
// no code that decides anything: not the queries of catalog, not tagging, accounts, claim, rating
// or closing. It does not own explanations, ledger entries, digests or flags.
package naive

import (
	"cmp"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/decode"
)

// Record is one input record. Records are given in arrival order.
type Record struct {
	IsCall  bool
	Value   []byte
	Arrival billing.Arrival
}

// Bill is what can be compared of a bill.
type Bill struct {
	ID                   string
	ClosedAt             billing.Instant
	Lines                []Line
	Total, Before, After decimal.Decimal
	// Callers counts the calls of sub-accounts by who called, what it became and its tag (B2).
	Callers map[Caller]int64
}

// Caller is a sub-account's share of a bill.
type Caller struct {
	AccountID string
	Kind      billing.LineKind
	Tag       catalog.TagID
}

// Line is a bill line without its price, flags and explanation.
type Line struct {
	Kind      billing.LineKind
	Tag       catalog.TagID
	Period    string
	PackageID string
	Quantity  int64
	Amount    decimal.Decimal
}

// Status is a change of an account's status.
type Status struct {
	AccountID string
	Status    billing.Status
	At        billing.Instant
	Balance   decimal.Decimal
}

// Result is everything that came out.
type Result struct {
	Bills  []Bill
	Status []Status
	// Quarantined gives, for every record in quarantine, the reasons that hold. There can be
	// several for a refund, of which the rules do not say which one has to be named.
	Quarantined map[billing.Arrival][]billing.Reason
	// Fates tells for every well-formed call record what became of it.
	Fates map[billing.Arrival]Fate
	// Moves are all amounts that moved a balance, for comparison with a ledger.
	Moves []Move
	// Reversals counts the calls that were taken back after they had been taken.
	Reversals int
}

// Move is an amount, not 0, that moved an account's balance at an instant.
type Move struct {
	AccountID string
	At        billing.Instant
	Amount    decimal.Decimal
}

// Fate is what became of one copy of a call.
type Fate string

// The fates of a copy.
const (
	Free        Fate = "free"
	Charged     Fate = "charged"
	Duplicate   Fate = "duplicate"
	Quarantined Fate = "quarantined"
	Waiting     Fate = "waiting"
)

// biller holds the records and what closings decided. Nothing in it is derived from the two.
type biller struct {
	cat    *catalog.Catalog
	events []billing.AccountEvent
	copies []billing.CallRecord
	broken map[billing.Arrival]billing.Reason // records that cannot be decoded

	taken   []*take    // in the order in which they were taken
	refunds []decision // in the order in which they were decided
	bills   []Bill
	owners  []string // of the bills
	charged []*unit  // in the order in which they were charged
	fates   map[billing.Arrival]Fate
	why     map[billing.Arrival]billing.Reason // why a copy is in quarantine or waits
}

// Run makes the bills of every closing up to and including until.
func Run(cat *catalog.Catalog, records []Record, until billing.Instant) (*Result, error) {
	b := &biller{
		cat: cat, broken: map[billing.Arrival]billing.Reason{},
		fates: map[billing.Arrival]Fate{}, why: map[billing.Arrival]billing.Reason{},
	}
	if len(records) == 0 {
		return b.result(until), nil
	}
	b.decode(records, until)
	first := records[0].Arrival.Appended
	for day := b.day(first) - 1; b.closeTime(day) <= until; day++ {
		if b.closeTime(day) <= first {
			continue
		}
		if err := b.closeDay(day); err != nil {
			return nil, err
		}
	}
	return b.result(until), nil
}

func (b *biller) decode(records []Record, until billing.Instant) {
	calls, events := decode.NewCalls(b.cat), decode.NewEvents(b.cat)
	for _, r := range records {
		if r.Arrival.Appended > until {
			continue
		}
		if r.IsCall {
			rec, refusal := calls.Decode(r.Value, r.Arrival)
			if refusal != nil {
				b.broken[r.Arrival] = refusal.Reason
				continue
			}
			b.copies = append(b.copies, rec)
			continue
		}
		ev, refusal := events.Decode(r.Value, r.Arrival)
		if refusal != nil {
			b.broken[r.Arrival] = refusal.Reason
			continue
		}
		b.events = append(b.events, ev)
	}
}

func (b *biller) day(at billing.Instant) billing.Day {
	return billing.DayOf(at, b.cat.Settings.Zone)
}

// closeTime is 08:00 of the next day (B18).
func (b *biller) closeTime(day billing.Day) billing.Instant {
	return (day + 1).Start(b.cat.Settings.Zone) +
		billing.Instant(b.cat.Settings.CloseClock.Microseconds())
}

// lastClosed is the last day whose closing missed a record of that arrival: a record that arrives
// exactly at a close time is beyond the barrier (B21).
func (b *biller) lastClosed(arrival billing.Instant) billing.Day {
	day := b.day(arrival)
	for b.closeTime(day) > arrival {
		day--
	}
	return day
}

// actsAt is the moment at which an event acts on balance, refunds and postpaid switching: an event
// that missed closings of after its effective_at acts at the time of the last of them (B25).
func (b *biller) actsAt(ev *billing.AccountEvent) billing.Instant {
	if last := b.closeTime(b.lastClosed(ev.Arrival.Appended)); last > ev.EffectiveAt {
		return last
	}
	return ev.EffectiveAt
}

// closeDay is one closing: take calls for every account, then make the bills of periods that end.
func (b *biller) closeDay(day billing.Day) error {
	barrier := b.closeTime(day)
	who := b.whoIsWho(func(at billing.Instant) bool { return at < barrier })
	b.takeBack(who)
	calls := b.callsToTake(who, day, barrier)
	for _, a := range who.accounts {
		b.walk(a, calls[a.id], day)
		period := billing.PeriodOf(a.cycle, day)
		if period.End != day+1 {
			continue
		}
		if err := b.bill(a, period, barrier); err != nil {
			return err
		}
	}
	return nil
}

// result collects the statuses and the quarantine as they are at the moment until.
func (b *biller) result(until billing.Instant) *Result {
	r := &Result{Bills: b.bills, Quarantined: map[billing.Arrival][]billing.Reason{}}
	who := b.whoIsWho(func(at billing.Instant) bool { return at <= until })
	for _, a := range who.accounts {
		for _, m := range b.moves(a) {
			if !m.amount.IsZero() {
				r.Moves = append(r.Moves, Move{AccountID: a.id, At: m.at, Amount: m.amount})
			}
		}
		for _, s := range b.timeline(a) {
			if s.At <= until {
				r.Status = append(r.Status, s)
			}
		}
	}
	slices.SortStableFunc(r.Status, func(x, y Status) int {
		return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.AccountID, y.AccountID))
	})
	b.leftOver(who)
	for at, reason := range b.broken {
		r.Quarantined[at] = []billing.Reason{reason}
	}
	for at, reason := range who.refused {
		r.Quarantined[at] = []billing.Reason{reason}
	}
	for _, d := range b.refunds {
		if len(d.against) > 0 {
			r.Quarantined[d.event.Arrival] = d.against
		}
	}
	for at, fate := range b.fates {
		if reason, held := b.why[at]; held && (fate == Waiting || fate == Quarantined) {
			r.Quarantined[at] = []billing.Reason{reason}
		}
	}
	r.Fates = b.fates
	for _, t := range b.taken {
		if t.reversed {
			r.Reversals++
		}
	}
	return r
}

package closing

import (
	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/rating"
)

// Account is everything that closings know of one main account: what events said, what earlier
// closings decided, and what waits for the next bill. It is a value: Close returns a new one, and
// the snapshot that the settle loop stores is its JSON. Slices are kept in a defined order, so
// that equal histories give equal bytes.
type Account struct {
	ID       string
	Name     string
	OpenedAt billing.Instant
	Cohort   string
	Cycle    billing.Cycle

	Packages  []Package  `json:",omitempty"` // by (free first, end, delivery, id), rule B10
	Contracts []Contract `json:",omitempty"` // in arrival order; the last that covers a day wins
	Switches  []Switch   `json:",omitempty"` // postpaid off and on, by (ActsAt, arrival)
	Refunds   []Refund   `json:",omitempty"` // asked for and not decided yet, by (ActsAt, arrival)

	// Settled is the balance up to, and without, the instant FixedTo. Money from FixedTo on is
	// kept as moves, because an event that missed a closing acts at that closing's time (B25).
	Settled     decimal.Decimal
	FixedTo     billing.Instant
	Moves       []Move         `json:",omitempty"` // by (At, class, arrival)
	Status      billing.Status // just before FixedTo
	ArrearsFrom billing.Instant
	Suspensions []Span `json:",omitempty"` // when packages paused (B12); an open one has To 0

	Months  []MonthUsage `json:",omitempty"` // by (tag, month): postpaid units billed so far
	Pending Pending      // taken and not yet on a bill

	LastDigest string
	LastBill   string
}

// Package is a delivered resource package (资源包).
type Package struct {
	ID        string
	Tag       catalog.TagID
	Free      bool
	Quota     int64
	Used      int64
	Price     decimal.Decimal
	Delivered billing.Instant
	First     billing.Day // covers calls of days [First, End), rule B8
	End       billing.Day
	Since     billing.Day `json:",omitempty"` // the first closing that knew it closed this day (B11)
	Refunded  bool        `json:",omitempty"`
	OffList   bool        `json:",omitempty"`
}

// Contract is an agreed price for a tag on days [From, To); From is already moved to the first
// day that was not closed when the contract arrived (B15). To 0 means open.
type Contract struct {
	EventID string
	Tag     catalog.TagID
	From    billing.Day
	To      billing.Day `json:",omitempty"`
	Agreed  billing.Day `json:",omitempty"` // from when on the event says, for explaining
	Prices  rating.Prices
}

// Switch turns postpaid on or off from an instant on (B13).
type Switch struct {
	At      billing.Instant
	On      bool
	EventID string `json:",omitempty"`
}

// Refund is a request to take a package back (B14).
type Refund struct {
	At          billing.Instant
	EffectiveAt billing.Instant
	PackageID   string
	Event       billing.AccountEvent
}

// Move is an amount that moves the balance at an instant. Bills come after everything else of
// their instant (B24).
type Move struct {
	At     billing.Instant
	Bill   bool `json:",omitempty"`
	Kind   string
	Amount decimal.Decimal // signed, CNY
	Cause  string          // event id or bill id
	Booked bool            `json:",omitempty"` // the ledger has its entry
}

// Span is a half-open span of time; To 0 means that it has not ended.
type Span struct{ From, To billing.Instant }

// MonthUsage is the postpaid usage of one tag in one month, as billed.
type MonthUsage struct {
	Tag   catalog.TagID
	Month billing.Month
	Units []BilledUnits // in the order in which they were charged
	Bills []MonthBill   `json:",omitempty"` // in their order, to explain what was charged before
}

// MonthBill is what one bill charged for a tag and month, all its lines of them together.
type MonthBill struct {
	BillID   string
	Quantity int64
	Amount   decimal.Decimal
}

// BilledUnits are units of one day on one bill, and what all bills together charged for them.
type BilledUnits struct {
	Bill     string `json:",omitempty"` // its id, for explaining
	Day      billing.Day
	Quantity int64
	Prices   rating.Prices
	Charged  decimal.Decimal
}

// Pending are the calls taken since the last bill, by what happened to them. Each list is in the
// order of its key.
type Pending struct {
	Postpaid  []DayCount     `json:",omitempty"`
	Uncovered []DayCount     `json:",omitempty"`
	Covered   []CoveredCount `json:",omitempty"`
	BySub     []SubCount     `json:",omitempty"`
	Voided    []VoidedCount  `json:",omitempty"`
	Tried     []Tried        `json:",omitempty"` // closing by closing, as calls were taken
	Corrected []Correction   `json:",omitempty"` // in arrival order
}

// Correction asks to price units that were billed before anew (catalog.corrected, rule B26): those
// of a tag, or of all where it is empty, and of days [From, To); To 0 means open.
type Correction struct {
	EventID string
	Tag     catalog.TagID `json:",omitempty"`
	From    billing.Day
	To      billing.Day `json:",omitempty"`
}

func (c *Correction) concerns(tag catalog.TagID, day billing.Day) bool {
	return (c.Tag == "" || c.Tag == tag) && c.From <= day && (c.To == 0 || day < c.To)
}

// DayCount counts calls of a tag and day.
type DayCount struct {
	Tag      catalog.TagID
	Day      billing.Day
	Quantity int64
}

// CoveredCount counts calls of a prepaid tag and day that a package paid.
type CoveredCount struct {
	Tag       catalog.TagID
	Day       billing.Day
	PackageID string
	Quantity  int64
}

// VoidedCount counts taken calls that were taken back (B27), by what they had become.
type VoidedCount struct {
	Outcome   Outcome
	Tag       catalog.TagID
	Day       billing.Day
	PackageID string `json:",omitempty"`
	Cause     string `json:",omitempty"` // the usage.voided that took them back, with its reason
	Quantity  int64
}

// SubCount counts calls by the account that made them.
type SubCount struct {
	AccountID string
	Kind      billing.LineKind
	Tag       catalog.TagID
	Quantity  int64
}

func (p *Pending) empty() bool {
	return len(p.Postpaid) == 0 && len(p.Uncovered) == 0 && len(p.Covered) == 0 &&
		len(p.Voided) == 0 && len(p.Corrected) == 0
}

// Open makes the account of an account.opened event.
func Open(cat *catalog.Catalog, ev billing.AccountEvent) *Account {
	cohort := cat.CohortOf(ev.OpenedAt)
	return &Account{
		ID: ev.AccountID, Name: ev.Name, OpenedAt: ev.OpenedAt,
		Cohort: cohort.Name, Cycle: cohort.Cycle, Status: billing.Active,
	}
}

// postpaidOn tells whether postpaid is switched on at an instant; it is unless switched off.
func (a *Account) postpaidOn(at billing.Instant) bool {
	on := true
	for _, s := range a.Switches {
		if s.At > at {
			break
		}
		on = s.On
	}
	return on
}

// suspendedAt tells whether the account was suspended at an instant before FixedTo.
func (a *Account) suspendedAt(at billing.Instant) bool {
	for i := len(a.Suspensions) - 1; i >= 0; i-- {
		if s := a.Suspensions[i]; s.From <= at {
			return s.To == 0 || at < s.To
		}
	}
	return false
}

// HasPending tells whether calls were taken that are not on a bill yet.
func (a *Account) HasPending() bool { return !a.Pending.empty() }

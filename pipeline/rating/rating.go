// Package rating turns quantities into amounts: which tier a month reached, which price a unit of
// a day takes, what a month's units cost (rules B15 and B16). It owns that arithmetic and nothing
// else: which price list is in force on a day is said by its caller, through Prices.
//
// Invariants: amounts are exact products of decimals and integers; the amounts of a month's units
// depend only on the list of units given, in its order; nothing is rounded here (B17).
package rating

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// Prices is the price list in force for some units: a list of the catalogue with its discounts,
// or a contract. It is self-contained, so that units billed before can be rated again when the
// catalogue has changed (B26).
type Prices struct {
	ID        string
	Source    string
	Contract  bool
	Graduated bool
	Tiers     []billing.Tier
	Factors   []Factor
}

// Same tells whether two price lists charge the same for every unit, whatever their names.
func (p *Prices) Same(o *Prices) bool {
	return p.Graduated == o.Graduated &&
		slices.EqualFunc(p.Tiers, o.Tiers, func(a, b billing.Tier) bool {
			return a.From == b.From && a.Unpublished == b.Unpublished && a.Price.Equal(b.Price)
		}) &&
		slices.EqualFunc(p.Factors, o.Factors, func(a, b Factor) bool {
			return a.Value.Equal(b.Value)
		})
}

// Factor is a published discount that multiplies a list price on its days.
type Factor struct {
	ID     string
	Source string
	Value  decimal.Decimal
}

// Units are postpaid units of one tag and month that are rated alike: one day's within one bill.
type Units struct {
	Day      billing.Day
	Quantity int64
	Prices   *Prices
}

// Piece is a part of some units that takes one unit price.
type Piece struct {
	Quantity    int64
	UnitPrice   decimal.Decimal // after discounts
	Tier        billing.Tier
	Unpublished bool // the quantity lies above the last published tier
}

// Rated is the amount of one Units, with the pieces that it is made of.
type Rated struct {
	Amount decimal.Decimal
	Pieces []Piece
}

// Bound tells on which side of a tier's first quantity the quantity itself lies (A2).
type Bound string

// The two readings of a tier's lower bound.
const (
	Inclusive Bound = "inclusive" // 1000 units are in the tier "from 1000"
	Exclusive Bound = "exclusive" // 1000 units are still in the tier below
)

// Month rates the units of one tag and month, given in the order in which they were charged:
// bill by bill, and within a bill by day. Under a whole-volume list all units of the month take
// the tier that the month's sum reached; under a graduated one each unit takes the tier of its
// position among all of them.
func Month(units []Units, bound Bound) []Rated {
	var total int64
	for _, u := range units {
		total += u.Quantity
	}
	return MonthAt(units, total, bound)
}

// MonthAt is Month with the month's quantity given, for units whose month has other units too
// that come after them.
func MonthAt(units []Units, total int64, bound Bound) []Rated {
	rated := make([]Rated, len(units))
	var before int64
	for i, u := range units {
		if u.Prices.Graduated {
			rated[i] = graduated(u, before)
		} else {
			rated[i] = wholeVolume(u, total, bound)
		}
		before += u.Quantity
	}
	return rated
}

func wholeVolume(u Units, total int64, bound Bound) Rated {
	at := TierAt(u.Prices.Tiers, total, bound)
	return rate(u.Prices, []Piece{{Quantity: u.Quantity, Tier: u.Prices.Tiers[at]}}, at)
}

func graduated(u Units, before int64) Rated {
	tiers := u.Prices.Tiers
	var pieces []Piece
	left, position, first := u.Quantity, before, -1
	for i := range tiers {
		if left == 0 {
			break
		}
		n := left
		if i+1 < len(tiers) {
			n = min(left, max(0, tiers[i+1].From-position))
		}
		if n == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		pieces = append(pieces, Piece{Quantity: n, Tier: tiers[i]})
		left, position = left-n, position+n
	}
	return rate(u.Prices, pieces, first)
}

// rate prices pieces whose tiers follow each other from tier number first on.
func rate(p *Prices, pieces []Piece, first int) Rated {
	var sum decimal.Decimal
	for i := range pieces {
		price, unpublished := publishedPrice(p.Tiers, max(0, first)+i)
		for _, f := range p.Factors {
			price = price.Mul(f.Value)
		}
		pieces[i].UnitPrice, pieces[i].Unpublished = price, unpublished
		sum = billing.Plus(sum, times(price, pieces[i].Quantity))
	}
	return Rated{Amount: sum, Pieces: pieces}
}

// times is price x quantity.
func times(price decimal.Decimal, quantity int64) decimal.Decimal {
	if quantity == 1 {
		return price
	}
	return price.Mul(decimal.NewFromInt(quantity))
}

// publishedPrice gives the price of tier i, or of the last published one below it (B15).
func publishedPrice(tiers []billing.Tier, i int) (decimal.Decimal, bool) {
	unpublished := tiers[i].Unpublished
	for i > 0 && tiers[i].Unpublished {
		i--
	}
	return tiers[i].Price, unpublished
}

// TierAt is the index of the tier that a month's quantity reaches.
func TierAt(tiers []billing.Tier, quantity int64, bound Bound) int {
	at := 0
	for i, t := range tiers {
		if quantity > t.From || (quantity == t.From && bound == Inclusive) {
			at = i
		}
	}
	return at
}

// CheckTiers refuses a list of tiers that does not begin at 0 or does not rise.
func CheckTiers(tiers []billing.Tier) error {
	if len(tiers) == 0 || tiers[0].From != 0 {
		return fmt.Errorf("the first tier starts at 0")
	}
	for i := 1; i < len(tiers); i++ {
		if tiers[i].From <= tiers[i-1].From {
			return fmt.Errorf("tier %d starts at %d, not above %d", i+1, tiers[i].From, tiers[i-1].From)
		}
	}
	return nil
}

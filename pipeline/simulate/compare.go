package simulate

import (
	"cmp"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// Sum is a number of calls and an amount.
type Sum struct {
	Quantity int64
	Amount   decimal.Decimal // exact
}

func (s *Sum) add(quantity int64, amount decimal.Decimal) {
	s.Quantity, s.Amount = s.Quantity+quantity, s.Amount.Add(amount)
}

// Change is a sum as it is stored and as the other catalogue makes it.
type Change struct{ Old, New Sum }

// Difference is the new amount less the old one.
func (c *Change) Difference() decimal.Decimal { return c.New.Amount.Sub(c.Old.Amount) }

// Differs tells whether amount or quantity are not the same.
func (c *Change) Differs() bool {
	return c.Old.Quantity != c.New.Quantity || !c.Old.Amount.Equal(c.New.Amount)
}

func (c *Change) add(o *Change) {
	c.Old.add(o.Old.Quantity, o.Old.Amount)
	c.New.add(o.New.Quantity, o.New.Amount)
}

// Account compares a main account's bills of the range's closings, and its status after the last.
type Account struct {
	AccountID string
	Change           // of all bills together
	Bills     []Bill // by closing
	OldStatus billing.Status
	NewStatus billing.Status
}

// Differs tells whether a bill or the status differs.
func (a *Account) Differs() bool {
	return a.OldStatus != a.NewStatus || slices.ContainsFunc(a.Bills, func(b Bill) bool {
		return b.Differs()
	})
}

// Bill compares one bill. Its amounts are totals, zero where there is no such bill; its quantities
// count the calls on it.
type Bill struct {
	BillID   string
	Period   billing.Period
	ClosedAt billing.Instant
	Change
	Lines []Line // in the order of a bill
}

// Differs tells whether the total or a line differs.
func (b *Bill) Differs() bool {
	return b.Change.Differs() || slices.ContainsFunc(b.Lines, func(l Line) bool {
		return l.Differs()
	})
}

// Differing is the account with only the bills and lines that differ. Its sums stay those of all.
func (a *Account) Differing() Account {
	out := *a
	out.Bills = nil
	for _, b := range a.Bills {
		if b.Differs() {
			same := func(l Line) bool { return !l.Differs() }
			b.Lines = slices.DeleteFunc(slices.Clone(b.Lines), same)
			out.Bills = append(out.Bills, b)
		}
	}
	return out
}

// Line compares what a bill has of one kind and tag, whatever periods and packages its lines name.
type Line struct {
	Kind    billing.LineKind
	Tag     string // id, "" of rounding
	TagName string // as the other catalogue spells it, where it makes such a line
	Change
}

// pair is a stored bill and the one made again; either may be nil.
type pair struct{ stored, made *billing.Bill }

// pairs are the bills of some accounts by account and bill id.
type pairs map[string]map[string]*pair

// of is the place of a bill.
func (p pairs) of(b *billing.Bill) *pair {
	bills := p[b.AccountID]
	if bills == nil {
		bills = map[string]*pair{}
		p[b.AccountID] = bills
	}
	if bills[b.BillID] == nil {
		bills[b.BillID] = &pair{}
	}
	return bills[b.BillID]
}

// compare compares the bills of an account.
func (p pairs) compare(account string) Account {
	out := Account{AccountID: account}
	for _, x := range p[account] { // sorted below
		b := x.compare()
		out.Bills = append(out.Bills, b)
		out.add(&b.Change)
	}
	slices.SortFunc(out.Bills, func(a, b Bill) int {
		return cmp.Or(cmp.Compare(a.ClosedAt, b.ClosedAt), cmp.Compare(a.BillID, b.BillID))
	})
	return out
}

func (p *pair) compare() Bill {
	var out Bill
	out.count(p.stored, func(c *Change) *Sum { return &c.Old })
	out.count(p.made, func(c *Change) *Sum { return &c.New })
	rank := func(k billing.LineKind) int { return slices.Index(billing.LineKinds[:], k) }
	slices.SortFunc(out.Lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.Tag, b.Tag))
	})
	return out
}

// count puts a bill, if there is one, on its side of the comparison.
func (b *Bill) count(from *billing.Bill, side func(*Change) *Sum) {
	if from == nil {
		return
	}
	b.BillID, b.Period, b.ClosedAt = from.BillID, from.Period, from.ClosedAt
	side(&b.Change).Amount = from.Total
	for i := range from.Lines {
		l := &from.Lines[i]
		side(&b.Change).Quantity += l.Quantity
		side(&b.line(l).Change).add(l.Quantity, l.Amount)
	}
}

// line finds or makes the place of a bill line.
func (b *Bill) line(l *billing.BillLine) *Line {
	i := slices.IndexFunc(b.Lines, func(x Line) bool { return x.Kind == l.Kind && x.Tag == l.Tag })
	if i < 0 {
		i = len(b.Lines)
		b.Lines = append(b.Lines, Line{Kind: l.Kind, Tag: l.Tag})
	}
	b.Lines[i].TagName = l.TagName
	return &b.Lines[i]
}

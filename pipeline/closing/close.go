package closing

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// Result is what one closing of one account produced.
type Result struct {
	Bill    *billing.Bill // nil where no period ends or there is nothing to say (B20)
	Status  []billing.StatusChange
	Ledger  []billing.LedgerEntry
	Taken   []Taken
	Refused []RefusedEvent
	Charged Charged
}

// Close closes one account at a moment. The account has had every event below this closing's
// barriers applied; calls are all calls of closed days below the barriers that were not taken
// before, in the order of billing.CompareCalls; voided are calls that closings before took and that
// the account takes back now. Close changes the account. On an error, which is a
// broken invariant and never a bad record, the account must be thrown away and the closing halted.
func Close(
	cat *catalog.Catalog, a *Account, m Moment, calls []Call, voided []Reversed,
) (Result, error) {
	if !slices.IsSortedFunc(calls, compareTaken) {
		return Result{}, fmt.Errorf("closing %s of %s: calls are out of order", m.Day, a.ID)
	}
	var r Result
	r.Ledger = a.book() // of the events applied since the closing before, whenever they act
	r.Status = a.advance(m.At, cat.Settings.SuspendAfter)
	if err := a.reverse(voided); err != nil {
		return Result{}, fmt.Errorf("closing %s of %s: %w", m.Day, a.ID, err)
	}
	w := &walker{cat: cat, account: a, moment: m}
	w.take(calls)
	r.Taken, r.Refused, r.Charged = w.taken, w.refused, w.counts

	if period, ends := m.period(a.Cycle); ends {
		bill, err := a.bill(cat, m, period)
		if err != nil {
			return Result{}, fmt.Errorf("closing %s of %s: %w", m.Day, a.ID, err)
		}
		r.Bill = bill
	}
	r.Ledger = append(r.Ledger, a.book()...) // of this closing's refunds and its bill
	if err := a.check(&w.counts); err != nil {
		return Result{}, fmt.Errorf("closing %s of %s: %w", m.Day, a.ID, err)
	}
	return r, nil
}

func compareTaken(a, b Call) int { return billing.CompareCalls(&a.CallRecord, &b.CallRecord) }

// Idle tells whether a closing without new events and calls would change anything.
func (a *Account) Idle(cat *catalog.Catalog, m Moment) bool { return a.DueAt(cat, m) > m.At }

// NeverDue is the DueAt of an account that only events and calls can wake.
const NeverDue = billing.Instant(1) << 62

// DueAt is the time of the closing, after all that came before moment m, that changes the account
// even without new events and calls: a bill of what is pending, a status that time alone moves, a
// refund to decide, money that takes effect.
func (a *Account) DueAt(cat *catalog.Catalog, m Moment) billing.Instant {
	due := NeverDue
	if !a.Pending.empty() {
		last := m.Day
		if a.Cycle == billing.Monthly {
			last = (m.Day.Month() + 1).FirstDay() - 1
		}
		due = MomentOf(cat, last).At
	}
	if len(a.Moves) > 0 {
		due = min(due, a.Moves[0].At+1)
	}
	if a.Status == billing.InArrears {
		due = min(due, a.ArrearsFrom+cat.Settings.SuspendAfter+1)
	}
	if len(a.Refunds) > 0 {
		due = min(due, MomentOf(cat, billing.DayOf(a.Refunds[0].At, cat.Settings.Zone)).At)
	}
	return due
}

// check verifies the invariants that stay on in production.
func (a *Account) check(c *Charged) error {
	for i := range a.Packages {
		if p := &a.Packages[i]; p.Used < 0 || p.Used > p.Quota {
			return fmt.Errorf("package %s has used %d of %d", p.ID, p.Used, p.Quota)
		}
	}
	if c.Calls != c.Free+c.Covered+c.Postpaid+c.Uncovered {
		return fmt.Errorf("%d calls are not %d free + %d covered + %d postpaid + %d uncovered",
			c.Calls, c.Free, c.Covered, c.Postpaid, c.Uncovered)
	}
	return nil
}

// bill makes the bill of the period that ends, or none where there is nothing to say.
func (a *Account) bill(
	cat *catalog.Catalog, m Moment, period billing.Period,
) (*billing.Bill, error) {
	lines, err := a.lines(cat, period)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	s := &cat.Settings
	b := &billing.Bill{
		BillID: billing.BillID(a.ID, period), AccountID: a.ID, Period: period,
		PeriodStart: period.First.Start(s.Zone), PeriodEnd: period.End.Start(s.Zone),
		ClosedAt: m.At, Currency: cat.Currency,
		CatalogVersion: cat.Version, CatalogDigest: cat.Digest, RuleVersion: s.RuleVersion,
		SubAccounts: a.subAccounts(), PreviousDigest: a.LastDigest,
	}
	b.Lines, b.Total = withRounding(lines, s.RoundingPlaces)
	b.BalanceBefore = a.balanceAt(m.At)
	b.BalanceAfter = b.BalanceBefore.Sub(b.Total)
	b.Digest = Digest(b)
	if err := checkBill(b); err != nil {
		return nil, err
	}
	if !b.Total.IsZero() {
		a.move(Move{At: m.At, Bill: true, Kind: "bill", Amount: b.Total.Neg(), Cause: b.BillID})
	}
	a.LastDigest, a.LastBill, a.Pending = b.Digest, b.BillID, Pending{}
	return b, nil
}

// withRounding numbers the lines in their order and adds the line that takes the exact sum to the
// bill's precision, half away from zero (B17).
func withRounding(lines []billing.BillLine, places int32) ([]billing.BillLine, decimal.Decimal) {
	sum := decimal.Zero
	for i := range lines {
		sum = billing.Plus(sum, lines[i].Amount)
	}
	total := sum.Round(places)
	if diff := total.Sub(sum); !diff.IsZero() {
		lines = append(lines, billing.BillLine{
			Kind: billing.RoundingLine, Amount: diff,
			Explain: []billing.Step{{Rule: "B17", Text: fmt.Sprintf(
				"the other lines sum to %s, the total is that rounded half away from zero to %d "+
					"places: %s - %s = %s", sum, places, total.StringFixed(places), sum, diff)}},
		})
	}
	sortLines(lines)
	for i := range lines {
		lines[i].No = i + 1
	}
	return lines, total
}

func checkBill(b *billing.Bill) error {
	sum := decimal.Zero
	for i := range b.Lines {
		sum = billing.Plus(sum, b.Lines[i].Amount)
	}
	if !sum.Equal(b.Total) {
		return fmt.Errorf("bill %s: lines sum to %s, the total is %s", b.BillID, sum, b.Total)
	}
	return nil
}

func (a *Account) subAccounts() []billing.SubAccountUsage {
	var out []billing.SubAccountUsage
	for _, s := range a.Pending.BySub {
		out = append(out, billing.SubAccountUsage{
			AccountID: s.AccountID, Kind: s.Kind, Tag: string(s.Tag), Quantity: s.Quantity,
		})
	}
	return out
}

// book writes the ledger entries of the moves that have none yet (B23). Every entry moves its
// amount from one book to another, so the books always sum to zero.
func (a *Account) book() []billing.LedgerEntry {
	var out []billing.LedgerEntry
	for i := range a.Moves {
		m := &a.Moves[i]
		if m.Booked {
			continue
		}
		m.Booked = true
		out = append(out, a.entry(m))
	}
	return out
}

func (a *Account) entry(m *Move) billing.LedgerEntry {
	balance, other := "balance:"+a.ID, counterBooks[m.Kind]
	e := billing.LedgerEntry{
		EntryID: a.ID + "/" + m.Kind + "/" + m.Cause, AccountID: a.ID, At: m.At, Kind: m.Kind,
		Debit: other, Credit: balance, Amount: m.Amount, Cause: m.Cause,
	}
	if m.Amount.IsNegative() {
		e.Debit, e.Credit, e.Amount = balance, other, m.Amount.Neg()
	}
	return e
}

// counterBooks names the book on the other side of each kind of move.
var counterBooks = map[string]string{
	"top_up":     "payments",
	"adjustment": "adjustments",
	"purchase":   "package_sales",
	"refund":     "package_sales",
	"bill":       "usage_revenue",
}

package naive

import (
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// move is an amount that moves a balance at an instant.
type move struct {
	at     billing.Instant
	amount decimal.Decimal
	isBill bool
}

// moves lists all money of an account: what its events say, refunds granted, bills made.
func (b *biller) moves(a *account) []move {
	var list []move
	for _, ev := range a.events {
		switch ev.Type {
		case billing.BalanceToppedUp, billing.BalanceAdjusted:
			list = append(list, move{at: b.actsAt(&ev), amount: ev.Amount})
		case billing.PackageDelivered:
			list = append(list, move{at: b.actsAt(&ev), amount: ev.Price.Neg()})
		}
	}
	for _, d := range b.refunds {
		if d.account == a.id && len(d.against) == 0 {
			list = append(list, move{at: d.at, amount: d.price})
		}
	}
	for i, bill := range b.bills {
		if b.owners[i] == a.id {
			list = append(list, move{at: bill.ClosedAt, amount: bill.Total.Neg(), isBill: true})
		}
	}
	return list
}

// balance sums all money up to an instant, that instant's bill only where asked for.
func balance(moves []move, at billing.Instant, withBill bool) decimal.Decimal {
	sum := decimal.Zero
	for _, m := range moves {
		if m.at < at || m.at == at && (withBill || !m.isBill) {
			sum = sum.Add(m.amount)
		}
	}
	return sum
}

// timeline steps through every instant at which something can happen, which is when money moves
// and 24 hours later, and asks at each for the balance: first without the instant's bill, then the
// 24-hour check, then with the bill (B24).
func (b *biller) timeline(a *account) []Status {
	moves := b.moves(a)
	var instants []billing.Instant
	for _, m := range moves {
		instants = append(instants, m.at, m.at+b.cat.Settings.SuspendAfter)
	}
	slices.Sort(instants)
	var changes []Status
	now, since := billing.Active, billing.Instant(0)
	become := func(s billing.Status, at billing.Instant, money decimal.Decimal) {
		now = s
		changes = append(changes, Status{AccountID: a.id, Status: s, At: at, Balance: money})
	}
	for _, at := range slices.Compact(instants) {
		for _, withBill := range []bool{false, true} {
			money := balance(moves, at, withBill)
			switch {
			case !money.IsNegative() && now != billing.Active:
				become(billing.Active, at, money)
			case money.IsNegative() && now == billing.Active:
				since = at
				become(billing.InArrears, at, money)
			}
			if now == billing.InArrears && at-since >= b.cat.Settings.SuspendAfter {
				become(billing.Suspended, at, money)
			}
		}
	}
	return changes
}

// statusAt is the status that holds at an instant.
func (b *biller) statusAt(a *account, at billing.Instant) billing.Status {
	now := billing.Active
	for _, change := range b.timeline(a) {
		if change.At <= at {
			now = change.Status
		}
	}
	return now
}

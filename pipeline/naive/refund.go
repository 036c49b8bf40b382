package naive

import (
	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// refundsDue are the refunds that a closing decides: those that act by the end of the day it
// closes and that no closing before decided (B14).
func (b *biller) refundsDue(a *account, day billing.Day) []billing.AccountEvent {
	var due []billing.AccountEvent
	for _, ev := range a.events {
		if ev.Type == billing.PackageRefunded && b.day(b.actsAt(&ev)) <= day && !b.decided(&ev) {
			due = append(due, ev)
		}
	}
	b.sortByActing(due)
	return due
}

func (b *biller) decided(ev *billing.AccountEvent) bool {
	for _, d := range b.refunds {
		if d.event.Arrival == ev.Arrival {
			return true
		}
	}
	return false
}

// decideRefund collects everything that speaks against a refund; where nothing does, the package
// ceases to cover and its price returns.
func (b *biller) decideRefund(a *account, ev billing.AccountEvent, day billing.Day) {
	d := decision{account: a.id, event: ev, at: b.closeTime(day), price: decimal.Zero}
	var p *pack
	for _, other := range b.packages(a) {
		if other.id == ev.PackageID {
			p = other
		}
	}
	if p == nil {
		d.against = []billing.Reason{billing.UnknownPackage}
		b.refunds = append(b.refunds, d)
		return
	}
	d.price = p.price
	asked := b.day(ev.EffectiveAt)
	against := func(speaks bool, why billing.Reason) {
		if speaks {
			d.against = append(d.against, why)
		}
	}
	against(p.free, billing.RefundFree)
	against(p.refunded, billing.RefundedTwice)
	against(p.used > 0, billing.RefundUsed)
	against(asked < b.cat.Settings.RefundsSince, billing.RefundBeforeStart)
	against(ev.EffectiveAt < p.delivered, billing.RefundTooEarly)
	against(asked-p.first > billing.Day(b.cat.Settings.RefundDays), billing.RefundTooLate)
	b.refunds = append(b.refunds, d)
}

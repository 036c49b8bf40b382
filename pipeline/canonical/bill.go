package canonical

import (
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// Bill is a bill as the contract's JSON. Times are RFC 3339 in the zone of the deployment; amounts
// are decimal strings without trailing zeros, total and balances with two places.
func Bill(b *billing.Bill, zone *time.Location) []byte {
	lines := make([]any, len(b.Lines))
	for i := range b.Lines {
		lines[i] = LineObject(&b.Lines[i])
	}
	o := Object{
		"bill_id": b.BillID, "account_id": b.AccountID, "cycle": string(b.Period.Cycle),
		"period": b.Period.String(), "period_start": b.PeriodStart.In(zone),
		"period_end": b.PeriodEnd.In(zone), "closed_at": b.ClosedAt.In(zone),
		"currency": b.Currency, "catalog_version": b.CatalogVersion,
		"catalog_digest": b.CatalogDigest, "rule_version": b.RuleVersion, "lines": lines,
		"total": Money(b.Total), "balance_before": Money(b.BalanceBefore),
		"balance_after": Money(b.BalanceAfter), "previous_digest": b.PreviousDigest,
		"digest": b.Digest,
	}
	if len(b.SubAccounts) > 0 {
		subs := make([]any, len(b.SubAccounts))
		for i, s := range b.SubAccounts {
			subs[i] = Object{"account_id": s.AccountID, "kind": string(s.Kind), "tag": s.Tag,
				"quantity": s.Quantity}
		}
		o["sub_accounts"] = subs
	}
	return JSON(o)
}

// LineObject is one bill line as the contract's JSON.
func LineObject(l *billing.BillLine) Object {
	o := Object{
		"line_no": l.No, "kind": string(l.Kind), "tag": orNull(l.Tag),
		"tag_name": orNull(l.TagName), "period": orNull(l.Period), "quantity": l.Quantity,
		"unit_price": nil, "amount": l.Amount.String(), "package_id": orNull(l.PackageID),
		"flags": append([]string{}, l.Flags...), "explain": StepObjects(l.Explain),
	}
	if l.UnitPrice != nil {
		o["unit_price"] = l.UnitPrice.String()
	}
	return o
}

// StepObjects are the steps of an explanation as JSON.
func StepObjects(steps []billing.Step) []any {
	out := make([]any, len(steps))
	for i, s := range steps {
		out[i] = Object{"rule": s.Rule, "text": s.Text}
	}
	return out
}

// Status is a status change as the contract's JSON. Only a record said between closings has the
// fields provisional, based_on, corrects and withdraws.
func Status(s *billing.StatusChange, zone *time.Location) []byte {
	o := Object{
		"event_id": s.EventID, "account_id": s.AccountID, "status": string(s.Status),
		"effective_at": s.EffectiveAt.In(zone), "balance": Money(s.Balance), "cause": s.Cause,
	}
	if s.Provisional {
		o["provisional"], o["based_on"] = true, s.BasedOn.In(zone)
	}
	if s.Corrects != "" {
		o["corrects"] = s.Corrects
	}
	if s.Withdraws {
		o["withdraws"] = true
	}
	return JSON(o)
}

// Money is an amount with the two places of CNY.
func Money(d decimal.Decimal) string { return d.StringFixed(2) }

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

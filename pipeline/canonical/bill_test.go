package canonical

import (
	"bytes"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// FuzzBill: a bill that is written key by key is, to the byte, the object that JSON sorts, and what
// it says explains a line is that line's explanation.
func FuzzBill(f *testing.F) {
	f.Add("1300000004", "照片人脸核身", int64(2839305), int32(-3), 3, 2, uint8(0))
	f.Add(`a"\`, "<&>\u2028\xff\ufffd", int64(-1), int32(2), 0, 0, uint8(255))
	f.Add("", "", int64(0), int32(-18), 1, 1, uint8(5))
	f.Fuzz(func(t *testing.T, id, text string, n int64, exp int32, lines, steps int, odd uint8) {
		b := someBill(id, text, decimal.New(n, exp%40), lines&7, steps&7, odd)
		zone := time.FixedZone("", int(n%86400))
		have, explain := Explained(b, zone)
		if want := JSON(billObject(b, zone)); !bytes.Equal(have, want) {
			t.Fatalf("have %s\nwant %s", have, want)
		}
		for i := range b.Lines {
			want := JSON(stepObjects(b.Lines[i].Explain))
			if !bytes.Equal(explain[i], want) || !bytes.Equal(Steps(b.Lines[i].Explain), want) {
				t.Errorf("line %d: have %s\nwant %s", i, explain[i], want)
			}
			if have, want := Line(&b.Lines[i]), JSON(lineObject(&b.Lines[i])); !bytes.Equal(have, want) {
				t.Errorf("have %s\nwant %s", have, want)
			}
		}
	})
}

// someBill makes a bill whose parts are there or not by the bits of odd.
func someBill(id, text string, d decimal.Decimal, lines, steps int, odd uint8) *billing.Bill {
	at := billing.Instant(d.IntPart())
	b := &billing.Bill{BillID: id + "/" + text, AccountID: id, Total: d, BalanceBefore: d.Neg(),
		Period:      billing.PeriodOf(billing.Monthly, billing.Day(at%1e6)),
		PeriodStart: at, PeriodEnd: at + 1, ClosedAt: at / 7, Currency: text, CatalogVersion: id,
		RuleVersion: lines, Digest: text, PreviousDigest: id}
	if odd&1 != 0 {
		b.Period = billing.PeriodOf(billing.Daily, billing.Day(at%1e6))
		b.SubAccounts = []billing.SubAccountUsage{{AccountID: text, Kind: billing.UsageLine, Tag: id,
			Quantity: int64(at)}, {Quantity: -1}}
	}
	for i := range lines {
		l := billing.BillLine{No: i + 1, Kind: billing.LineKinds[i%len(billing.LineKinds)], Amount: d,
			Quantity: int64(at) - int64(i)}
		if odd&2 != 0 {
			l.Tag, l.TagName, l.Period, l.PackageID = id, text, text+id, text
		}
		if odd&4 != 0 {
			price := d.Mul(d)
			l.UnitPrice, l.Flags = &price, []string{text, id}
		}
		for s := range steps {
			l.Explain = append(l.Explain, billing.Step{Rule: id, Text: text[:len(text)*s/steps]})
		}
		b.Lines = append(b.Lines, l)
	}
	return b
}

// billObject is the bill as an object whose keys JSON sorts.
func billObject(b *billing.Bill, zone *time.Location) Object {
	lines := make([]any, len(b.Lines))
	for i := range b.Lines {
		lines[i] = lineObject(&b.Lines[i])
	}
	o := Object{
		"bill_id": b.BillID, "account_id": b.AccountID, "cycle": string(b.Period.Cycle),
		"period": b.Period.String(), "period_start": b.PeriodStart.In(zone),
		"period_end": b.PeriodEnd.In(zone), "closed_at": b.ClosedAt.In(zone),
		"currency": b.Currency, "catalog_version": b.CatalogVersion,
		"catalog_digest": b.CatalogDigest, "rule_version": b.RuleVersion, "lines": lines,
		"total": b.Total.StringFixed(2), "balance_before": b.BalanceBefore.StringFixed(2),
		"balance_after":   b.BalanceAfter.StringFixed(2),
		"previous_digest": b.PreviousDigest, "digest": b.Digest,
	}
	if len(b.SubAccounts) > 0 {
		subs := make([]any, len(b.SubAccounts))
		for i, s := range b.SubAccounts {
			subs[i] = Object{"account_id": s.AccountID, "kind": string(s.Kind), "tag": s.Tag,
				"quantity": s.Quantity}
		}
		o["sub_accounts"] = subs
	}
	return o
}

func lineObject(l *billing.BillLine) Object {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	o := Object{
		"line_no": l.No, "kind": string(l.Kind), "tag": orNull(l.Tag),
		"tag_name": orNull(l.TagName), "period": orNull(l.Period), "quantity": l.Quantity,
		"unit_price": nil, "amount": l.Amount.String(), "package_id": orNull(l.PackageID),
		"flags": append([]string{}, l.Flags...), "explain": stepObjects(l.Explain),
	}
	if l.UnitPrice != nil {
		o["unit_price"] = l.UnitPrice.String()
	}
	return o
}

func stepObjects(steps []billing.Step) []any {
	out := make([]any, len(steps))
	for i, s := range steps {
		out[i] = Object{"rule": s.Rule, "text": s.Text}
	}
	return out
}

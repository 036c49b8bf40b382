package closing

import (
	"bytes"
	"testing"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
)

// FuzzDigest: what a digest covers is the canonical JSON of the list that it names.
func FuzzDigest(f *testing.F) {
	f.Add("1300000004", "照片人脸核身", int64(2839305), int32(-3), 3, true)
	f.Add("<\"\xff", "", int64(-1), int32(2), 0, false)
	f.Fuzz(func(t *testing.T, id, text string, n int64, exp int32, lines int, priced bool) {
		d := decimal.New(n, exp%40)
		b := &billing.Bill{BillID: id + text, AccountID: id, PeriodStart: billing.Instant(n),
			Period:    billing.DayPeriod(billing.Day(n % 1e6)),
			PeriodEnd: billing.Instant(exp), ClosedAt: billing.Instant(lines), Currency: text,
			CatalogDigest: text, RuleVersion: lines, PreviousDigest: id, Total: d,
			BalanceBefore: d.Mul(d), BalanceAfter: d.Neg()}
		for i := range lines & 3 {
			l := billing.BillLine{Kind: billing.LineKinds[i], Tag: text, Period: id, Quantity: n,
				Amount: d.Mul(decimal.New(7, -2)), PackageID: text}
			if priced {
				l.UnitPrice = &d
			}
			b.Lines = append(b.Lines, l)
		}
		if have, want := digested(b), canonical.JSON(digestList(b)); !bytes.Equal(have, want) {
			t.Errorf("have %s\nwant %s", have, want)
		}
	})
}

func digestList(b *billing.Bill) []any {
	lines := make([]any, len(b.Lines))
	for i := range b.Lines {
		l := &b.Lines[i]
		var price any
		if l.UnitPrice != nil {
			price = l.UnitPrice.String()
		}
		lines[i] = []any{string(l.Kind), l.Tag, l.Period, l.Quantity, price, l.Amount.String(),
			l.PackageID}
	}
	return []any{
		int64(DigestVersion), b.BillID, b.AccountID, b.Period.String(),
		int64(b.PeriodStart), int64(b.PeriodEnd), int64(b.ClosedAt), b.Currency, lines,
		b.Total.StringFixed(2), b.BalanceBefore.StringFixed(2), b.BalanceAfter.StringFixed(2),
		b.CatalogDigest, int64(b.RuleVersion), b.PreviousDigest,
	}
}

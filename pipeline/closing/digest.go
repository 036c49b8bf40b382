package closing

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
)

// DigestVersion names the list of fields below. A bill's digest covers that list and nothing else:
// no explanation, no name, not itself (B22). A change of the list takes a new version.
const DigestVersion = 1

// Digest is the SHA-256, in hex, over the canonical JSON of the bill's money fields.
func Digest(b *billing.Bill) string {
	lines := make([]any, len(b.Lines))
	for i := range b.Lines {
		l := &b.Lines[i]
		lines[i] = []any{
			string(l.Kind), l.Tag, l.Period, l.Quantity, priceText(l.UnitPrice),
			l.Amount.String(), l.PackageID,
		}
	}
	sum := sha256.Sum256(canonical.JSON([]any{
		int64(DigestVersion), b.BillID, b.AccountID, b.Period.String(),
		int64(b.PeriodStart), int64(b.PeriodEnd), int64(b.ClosedAt), b.Currency, lines,
		b.Total.StringFixed(2), b.BalanceBefore.StringFixed(2), b.BalanceAfter.StringFixed(2),
		b.CatalogDigest, int64(b.RuleVersion), b.PreviousDigest,
	}))
	return hex.EncodeToString(sum[:])
}

func priceText(p *decimal.Decimal) any {
	if p == nil {
		return nil
	}
	return p.String()
}

package closing

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
)

// DigestVersion names the list of fields below. A bill's digest covers that list and nothing else:
// no explanation, no name, not itself (B22). A change of the list takes a new version.
const DigestVersion = 1

// Digest is the SHA-256, in hex, over the canonical JSON of the bill's money fields.
func Digest(b *billing.Bill) string {
	sum := sha256.Sum256(digested(b))
	return hex.EncodeToString(sum[:])
}

// digested is the list of money fields, as canonical.JSON would write it.
func digested(b *billing.Bill) []byte {
	text := make([]byte, 0, 512+128*len(b.Lines))
	str := func(s string) { text = append(canonical.AppendString(text, s), ',') }
	num := func(n int64) { text = append(strconv.AppendInt(text, n, 10), ',') }
	money := func(d decimal.Decimal) {
		text = append(billing.AppendMoney(append(text, '"'), d), '"', ',')
	}
	text = append(text, '[')
	num(DigestVersion)
	str(b.BillID)
	str(b.AccountID)
	str(b.Period.String())
	num(int64(b.PeriodStart))
	num(int64(b.PeriodEnd))
	num(int64(b.ClosedAt))
	str(b.Currency)
	text = append(text, '[')
	for i := range b.Lines {
		if i > 0 {
			text = append(text, ',')
		}
		l := &b.Lines[i]
		text = append(text, '[')
		str(string(l.Kind))
		str(l.Tag)
		str(l.Period)
		num(l.Quantity)
		if l.UnitPrice == nil {
			text = append(text, "null,"...)
		} else {
			text = append(billing.AppendText(append(text, '"'), *l.UnitPrice), '"', ',')
		}
		text = append(billing.AppendText(append(text, '"'), l.Amount), '"', ',')
		text = append(canonical.AppendString(text, l.PackageID), ']')
	}
	text = append(text, ']', ',')
	money(b.Total)
	money(b.BalanceBefore)
	money(b.BalanceAfter)
	str(b.CatalogDigest)
	num(int64(b.RuleVersion))
	return append(canonical.AppendString(text, b.PreviousDigest), ']')
}

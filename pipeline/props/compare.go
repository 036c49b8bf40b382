// Package props proves bills by another road: over random worlds the engine has to say what the
// naive biller says (pipeline/naive), and changes of the input that must not matter must not
// matter. A world that fails is shrunk and printed as a story in the words of pipeline/stories.
//
// What is not a test here draws worlds, shrinks and tells them, and tells bills for comparison, so
// that other tests can send the same worlds through the stream.
package props

import (
	"errors"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/naive"
	"tollstream/schemas"
)

// Catalog is the FaceID catalogue with tier bounds that few calls reach.
func Catalog() (*catalog.Catalog, error) {
	file := string(schemas.FaceIDCatalog())
	low := lowTiers(file)
	if low == file {
		return nil, errors.New("the tiers of the catalogue are written in another way; see lowTiers")
	}
	return catalog.Parse("catalog.yaml", []byte(low))
}

// BillTexts tells what can be compared of bills with the naive biller's, one line a fact. Merge
// says that calls were taken back (see lineTexts).
func BillTexts(cat *catalog.Catalog, bills []*billing.Bill, merge bool) []string {
	var text []string
	for _, b := range bills {
		text = append(text, billHead(b.BillID, b.ClosedAt.In(cat.Settings.Zone),
			b.Total.StringFixed(2), canonical.Money(b.BalanceBefore),
			canonical.Money(b.BalanceAfter)))
		lines := make([]naive.Line, len(b.Lines))
		for i, l := range b.Lines {
			lines[i] = naive.Line{Kind: l.Kind, Tag: catalog.TagID(l.Tag), Period: l.Period,
				PackageID: l.PackageID, Quantity: l.Quantity, Amount: l.Amount}
		}
		text = append(text, lineTexts(lines, merge)...)
		var split []string
		for _, s := range b.SubAccounts {
			split = append(split, callerText(s.AccountID, string(s.Kind), s.Tag, s.Quantity))
		}
		slices.Sort(split)
		text = append(text, split...)
	}
	return text
}

// NaiveBillTexts tells the same of the naive biller's bills.
func NaiveBillTexts(cat *catalog.Catalog, out *naive.Result) []string {
	var text []string
	for _, b := range out.Bills {
		text = append(text, billHead(b.ID, b.ClosedAt.In(cat.Settings.Zone), b.Total.StringFixed(2),
			b.Before.StringFixed(2), b.After.StringFixed(2)))
		text = append(text, lineTexts(b.Lines, out.Reversals > 0)...)
		var split []string
		for c, n := range b.Callers {
			split = append(split, callerText(c.AccountID, string(c.Kind), string(c.Tag), n))
		}
		slices.Sort(split)
		text = append(text, split...)
	}
	return text
}

func billHead(id, closed, total, before, after string) string {
	return fmt.Sprintf("bill %s closed %s total %s balance %s -> %s",
		id, closed, total, before, after)
}

// lineTexts tells the lines of a bill. Where calls were taken back, the rules do not say how the
// change of a month is split between what was charged for them and the tier of the others, nor
// whether voided calls of one tag stand on one line; merge compares such a change as one amount.
func lineTexts(lines []naive.Line, merge bool) []string {
	var text []string
	changes, counts := map[string]decimal.Decimal{}, map[string]int64{}
	for _, l := range lines {
		key := fmt.Sprintf("  %s %s %s %s", l.Kind, l.Tag, l.Period, l.PackageID)
		if !merge || l.Kind == billing.RoundingLine || l.PackageID != "" {
			text = append(text, fmt.Sprintf("%s %d x = %s", key, l.Quantity, l.Amount))
			continue
		}
		month := fmt.Sprintf("  %s %s", l.Tag, l.Period[:len("2006-01")])
		changes[month] = changes[month].Add(l.Amount)
		counts[key] += l.Quantity
	}
	for key, n := range counts {
		if n != 0 {
			text = append(text, fmt.Sprintf("%s %d x", key, n))
		}
	}
	for month, amount := range changes {
		if !amount.IsZero() {
			text = append(text, fmt.Sprintf("%s changes by %s", month, amount))
		}
	}
	slices.Sort(text)
	return text
}

func callerText(account, kind, tag string, quantity int64) string {
	return fmt.Sprintf("  of these %s called %s %s %d", account, kind, tag, quantity)
}

// Difference is the first line in which two texts differ, "" if they do not.
func Difference(engine, naive []string) string {
	for i := range max(len(engine), len(naive)) {
		e, n := "(nothing)", "(nothing)"
		if i < len(engine) {
			e = engine[i]
		}
		if i < len(naive) {
			n = naive[i]
		}
		if e != n {
			return fmt.Sprintf("engine: %s\nnaive:  %s", e, n)
		}
	}
	return ""
}

// Package text writes bills for people: aligned, with Chinese names at their display width. It
// owns layout only; every number on it is one of the bill's, unrounded. Machines read the
// canonical JSON instead.
package text

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// Bill writes a bill: header, lines, total, balances and digest. Times are shown in the zone.
func Bill(w io.Writer, b *billing.Bill, zone *time.Location) error {
	if err := Header(w, b, zone); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%s\n\n", lineTable(b).Render()); err != nil {
		return err
	}
	t := plainTable(2)
	t.AppendRow(table.Row{"Total", Money(b.Total), b.Currency})
	t.AppendRow(table.Row{"Balance before", Money(b.BalanceBefore), b.Currency})
	t.AppendRow(table.Row{"Balance after", Money(b.BalanceAfter), b.Currency})
	if _, err := fmt.Fprintln(w, t.Render()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nDigest     %s\nPrevious   %s\n", b.Digest,
		cmp.Or(b.PreviousDigest, "none, the account's first bill"))
	return err
}

// Header writes which bill it is.
func Header(w io.Writer, b *billing.Bill, zone *time.Location) error {
	short := "2006-01-02 15:04"
	_, err := fmt.Fprintf(w, "Bill       %s\nAccount    %s\nPeriod     %s (%s), [%s, %s) %s\n"+
		"Closed at  %s\nCatalogue  %s (%s), rules %d\n",
		clean(b.BillID), clean(b.AccountID), b.Period, b.Period.Cycle,
		b.PeriodStart.Time().In(zone).Format(short), b.PeriodEnd.Time().In(zone).Format(short),
		zone, b.ClosedAt.In(zone), b.CatalogVersion, abbreviated(b.CatalogDigest), b.RuleVersion)
	return err
}

func lineTable(b *billing.Bill) table.Writer {
	t := plainTable(1, 5, 6, 7)
	t.AppendHeader(table.Row{"#", "Kind", "Tag", "Period", "Quantity", "Unit price",
		"Amount " + b.Currency, "Package", "Flags"})
	prices, amounts := make([]string, len(b.Lines)), make([]string, len(b.Lines))
	for i := range b.Lines {
		l := &b.Lines[i]
		prices[i], amounts[i] = priceText(l), Money(l.Amount)
	}
	alignPoints(prices)
	alignPoints(amounts)
	for i := range b.Lines {
		l := &b.Lines[i]
		t.AppendRow(table.Row{l.No, l.Kind, tagText(l), l.Period, quantityText(l), prices[i],
			amounts[i], clean(l.PackageID), strings.Join(l.Flags, ", ")})
	}
	return t
}

// Money shows an amount exactly, with at least two places.
func Money(d decimal.Decimal) string {
	if -d.Exponent() <= 2 {
		return d.StringFixed(2)
	}
	s := d.String()
	if _, places, ok := strings.Cut(s, "."); !ok || len(places) < 2 {
		return d.StringFixed(2)
	}
	return s
}

func priceText(l *billing.BillLine) string {
	switch {
	case l.UnitPrice != nil:
		return Money(*l.UnitPrice)
	case l.Quantity != 0 && !l.Amount.IsZero():
		return "several"
	}
	return ""
}

func quantityText(l *billing.BillLine) string {
	if l.Kind == billing.RoundingLine {
		return ""
	}
	return strconv.FormatInt(l.Quantity, 10)
}

func tagText(l *billing.BillLine) string {
	if l.TagName == "" {
		return l.Tag
	}
	return l.TagName
}

// abbreviated keeps enough of a digest to recognize it.
func abbreviated(digest string) string { return digest[:min(len(digest), 12)] }

// alignPoints pads numbers on the right, so that their decimal points stand below each other when
// they are aligned to the right.
func alignPoints(numbers []string) {
	places := func(s string) int {
		if i := strings.IndexByte(s, '.'); i >= 0 {
			return len(s) - i
		}
		return 0
	}
	most := 0
	for _, s := range numbers {
		most = max(most, places(s))
	}
	for i, s := range numbers {
		if n := places(s); n > 0 {
			numbers[i] = s + strings.Repeat(" ", most-n)
		}
	}
}

// clean keeps what a producer wrote from steering a terminal: ids may hold any character.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// plainTable has columns two spaces apart and no frame; the columns named are aligned to the right.
func plainTable(right ...int) table.Writer {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header, style.Format.Footer = text.FormatDefault, text.FormatDefault
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	var configs []table.ColumnConfig
	for _, n := range right {
		configs = append(configs, table.ColumnConfig{
			Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight,
		})
	}
	t.SetColumnConfigs(configs)
	return t
}

// Table renders rows below a header in the same style; the columns named, from 1, are aligned to
// the right.
func Table(w io.Writer, head []any, rows [][]any, right ...int) error {
	t := plainTable(right...)
	t.AppendHeader(table.Row(head))
	for _, row := range rows {
		for i := range row {
			if s, ok := row[i].(string); ok {
				row[i] = clean(s)
			}
		}
		t.AppendRow(row)
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

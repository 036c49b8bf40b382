package text

import (
	"fmt"
	"io"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/simulate"
)

// Simulation writes what another catalogue would have changed: the bills with their lines, the
// accounts, the tags and the total, amounts in the currency.
func Simulation(
	w io.Writer, accounts []simulate.Account, totals *simulate.Totals, currency string,
) error {
	var bills, sums, tags changes
	for i := range accounts {
		a := &accounts[i]
		sums.add(&a.Change, a.AccountID, statusText(a.OldStatus, a.NewStatus))
		for j := range a.Bills {
			b := &a.Bills[j]
			bills.add(&b.Change, b.BillID, "", "")
			for k := range b.Lines {
				l := &b.Lines[k]
				bills.add(&l.Change, "", string(l.Kind), l.TagName)
			}
		}
	}
	for i := range totals.Tags {
		t := &totals.Tags[i]
		tags.add(&t.Change, tagName(t))
	}
	tags.add(&totals.Change, "Total")
	for _, part := range []struct {
		rows *changes
		head []any
	}{
		{&bills, []any{"Bill", "Kind", "Tag"}},
		{&sums, []any{"Account", "Status"}},
		{&tags, []any{"Tag"}},
	} {
		if err := part.rows.write(w, part.head, currency); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d of %d bills and %d of %d accounts differ; the status after the "+
		"last closing differs for %d\n", totals.BillsDiffer, totals.Bills, totals.AccountsDiffer,
		totals.Accounts, totals.StatusesDiffer)
	return err
}

func tagName(t *simulate.Tag) string {
	if t.Tag == "" {
		return string(billing.RoundingLine)
	}
	return t.TagName
}

func statusText(was, is billing.Status) string {
	if was == is {
		return string(is)
	}
	return fmt.Sprintf("%s, was %s", is, was)
}

// changes are rows of a table whose last columns compare calls and amounts.
type changes struct {
	names            [][]any
	calls            [][2]int64
	old, new, differ []string
}

func (c *changes) add(of *simulate.Change, names ...any) {
	c.names = append(c.names, names)
	c.calls = append(c.calls, [2]int64{of.Old.Quantity, of.New.Quantity})
	c.old = append(c.old, Money(of.Old.Amount))
	c.new = append(c.new, Money(of.New.Amount))
	c.differ = append(c.differ, signed(of.Difference()))
}

// signed shows a difference with its sign, and nothing where there is none.
func signed(d decimal.Decimal) string {
	switch {
	case d.IsZero():
		return ""
	case d.IsPositive():
		return "+" + Money(d)
	}
	return Money(d)
}

// write writes the table, if it has rows, and an empty line.
func (c *changes) write(w io.Writer, head []any, currency string) error {
	if len(c.names) == 0 {
		return nil
	}
	alignPoints(c.old)
	alignPoints(c.new)
	alignPoints(c.differ)
	rows := make([][]any, len(c.names))
	for i := range rows {
		rows[i] = append(c.names[i], c.calls[i][0], c.calls[i][1], c.old[i], c.new[i], c.differ[i])
	}
	n := len(head)
	head = append(head, "Old calls", "New calls", "Old "+currency, "New "+currency, "Difference")
	if err := Table(w, head, rows, n+1, n+2, n+3, n+4, n+5); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

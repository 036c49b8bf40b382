package text

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"tollstream/pipeline/billing"
)

// Explain writes how the numbers of a bill came about: the steps of each line, or of one where
// line is not 0, each followed by what more writes, then the split by sub-account and where to look
// further. More may be nil.
func Explain(w io.Writer, b *billing.Bill, line int, more func(*billing.BillLine) error) error {
	lines, err := Lines(b, line)
	if err != nil {
		return err
	}
	for i := range lines {
		if err := explainLine(w, &lines[i], b.Currency); err != nil {
			return err
		}
		if more == nil {
			continue
		}
		if err := more(&lines[i]); err != nil {
			return err
		}
	}
	if line == 0 && len(b.SubAccounts) > 0 {
		if err := subAccounts(w, b); err != nil {
			return err
		}
	}
	return pointers(w, b)
}

// Lines are the line of that number, or all where it is 0.
func Lines(b *billing.Bill, line int) ([]billing.BillLine, error) {
	switch {
	case line == 0:
		return b.Lines, nil
	case line < 0 || line > len(b.Lines):
		return nil, fmt.Errorf("bill %s has no line %d: its lines are 1 to %d",
			b.BillID, line, len(b.Lines))
	}
	return b.Lines[line-1 : line], nil
}

func explainLine(w io.Writer, l *billing.BillLine, currency string) error {
	_, err := fmt.Fprintf(w, "\nLine %d: %s", l.No, l.Kind)
	for _, part := range []string{tagText(l), tagID(l), l.Period, l.PackageID} {
		if part != "" && err == nil {
			_, err = fmt.Fprintf(w, ", %s", clean(part))
		}
	}
	if err != nil {
		return err
	}
	if q := quantityText(l); q != "" {
		unit := "calls"
		if l.Quantity == 1 || l.Quantity == -1 {
			unit = "call"
		}
		_, err = fmt.Fprintf(w, ": %s %s, %s %s\n", q, unit, Money(l.Amount), currency)
	} else {
		_, err = fmt.Fprintf(w, ": %s %s\n", Money(l.Amount), currency)
	}
	for _, s := range l.Explain {
		if err == nil {
			_, err = fmt.Fprintf(w, "  %-4s %s\n", s.Rule, clean(s.Text))
		}
	}
	return err
}

func tagID(l *billing.BillLine) string {
	if l.Tag == tagText(l) {
		return ""
	}
	return l.Tag
}

func subAccounts(w io.Writer, b *billing.Bill) error {
	if _, err := fmt.Fprintln(w, "\nCalls made by sub-accounts (rule B2):"); err != nil {
		return err
	}
	var rows [][]any
	for _, s := range b.SubAccounts {
		rows = append(rows, []any{s.AccountID, string(s.Kind), s.Tag, s.Quantity})
	}
	return Table(w, []any{"Sub-account", "Kind", "Tag", "Quantity"}, rows, 4)
}

// pointers are statements that a person can run; they need not be told apart by time of day, since
// there is one closing a day.
func pointers(w io.Writer, b *billing.Bill) error {
	callers := []string{sqlText(b.AccountID)}
	for _, s := range b.SubAccounts {
		if id := sqlText(s.AccountID); !slices.Contains(callers, id) {
			callers = append(callers, id)
		}
	}
	calls := "SELECT * FROM calls_billed WHERE account_id IN (" + strings.Join(callers, ", ") + ")"
	_, err := fmt.Fprintf(w, `
Where to look further
  one by one  tollstream bills explain %[7]s LINE --calls
  calls       %[1]s
                AND day >= '%[2]s' AND day < '%[3]s' AND toDate(closed_at) <= '%[3]s'
  late calls  %[1]s
                AND day < '%[2]s' AND toDate(closed_at) > '%[2]s' AND toDate(closed_at) <= '%[3]s'
  closing     SELECT * FROM settlements WHERE day = '%[4]s'
  money       SELECT * FROM ledger_entries WHERE account_id = %[5]s ORDER BY at
  catalogue   SELECT yaml FROM catalogs WHERE digest = '%[6]s'
`, calls, b.Period.First, b.Period.End, b.Period.End-1, sqlText(b.AccountID), b.CatalogDigest,
		clean(b.BillID))
	return err
}

// sqlText quotes a text for SQL, for statements that a person copies.
func sqlText(s string) string {
	s = clean(s)
	out := []byte{'\''}
	for i := range len(s) {
		if s[i] == '\'' || s[i] == '\\' {
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return string(append(out, '\''))
}

package stories

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
)

// shows are the things that show can print.
var shows = map[string]func(w io.Writer, s *story, of string){
	"bills": showBills, "status": showStatus, "ledger": showLedger, "books": showBooks,
	"quarantine": showQuarantine, "digests": showDigests,
}

// show bills|status|ledger|digests [ACCOUNT or BILL] or quarantine|books: what the closings said.
func show(s *story, l *line) {
	what := shows[l.word(0, "what to show")]
	if what == nil {
		l.ts.Fatalf("show knows %s", slices.Sorted(maps.Keys(shows)))
	}
	s.closed(l.ts, "show")
	of := ""
	if len(l.words) > 1 {
		of = l.words[1]
	}
	what(l.ts.Stdout(), s, of)
}

func (s *story) closed(ts *testscript.TestScript, verb string) {
	if s.out == nil {
		ts.Fatalf("%s comes after close", verb)
	}
}

// chosen are the bills of an account, or the one of that id, or all.
func (s *story) chosen(of string) []*billing.Bill {
	var list []*billing.Bill
	for _, b := range s.out.Bills {
		if of == "" || of == b.AccountID || of == b.BillID {
			list = append(list, b)
		}
	}
	return list
}

func showBills(w io.Writer, s *story, of string) {
	for _, b := range s.chosen(of) {
		fmt.Fprintf(w, "BILL %s  %s  closed %s\n", b.BillID, b.Period.Cycle, s.time(b.ClosedAt))
		for i := range b.Lines {
			writeLine(w, &b.Lines[i])
		}
		for _, u := range b.SubAccounts {
			fmt.Fprintf(w, "     of %s: %d %s of %s\n", u.AccountID, u.Quantity, u.Kind,
				s.cat().TagName(catalog.TagID(u.Tag)))
		}
		fmt.Fprintf(w, "     total %s  balance %s -> %s\n", canonical.Money(b.Total),
			canonical.Money(b.BalanceBefore), canonical.Money(b.BalanceAfter))
	}
}

func writeLine(w io.Writer, l *billing.BillLine) {
	price := "-"
	if l.UnitPrice != nil {
		price = l.UnitPrice.String()
	}
	text := fmt.Sprintf("%3d  %-15s  %-30s  %-10s  %6d x %-6s = %10s  %s %s", l.No, l.Kind,
		l.TagName, l.Period, l.Quantity, price, l.Amount, l.PackageID,
		strings.Join(l.Flags, " "))
	fmt.Fprintln(w, strings.TrimRight(text, " "))
}

func (s *story) time(at billing.Instant) string { return at.In(s.cat().Settings.Zone) }

func showStatus(w io.Writer, s *story, of string) {
	for _, c := range s.out.Status {
		if of == "" || of == c.AccountID {
			fmt.Fprintf(w, "%s  %-10s  balance %s  %s\n", s.time(c.EffectiveAt), c.Status,
				canonical.Money(c.Balance), c.Cause)
		}
	}
}

func showLedger(w io.Writer, s *story, of string) {
	for _, e := range s.out.Ledger {
		if of == "" || of == e.AccountID {
			fmt.Fprintf(w, "%s  %-10s  %8s  from %s to %s  %s\n", s.time(e.At), e.Kind,
				canonical.Money(e.Amount), e.Debit, e.Credit, e.Cause)
		}
	}
}

// showDigests prints the digests of bills and which bill each one follows. They change with every
// edit of the catalogue, so a story compares them with each other.
func showDigests(w io.Writer, s *story, of string) {
	ids := map[string]string{"": "none"}
	for _, b := range s.out.Bills {
		ids[b.Digest] = b.BillID
	}
	for _, b := range s.chosen(of) {
		fmt.Fprintf(w, "%s %s after %s\n", b.BillID, b.Digest, ids[b.PreviousDigest])
	}
}

// showQuarantine prints what is refused or waits, in the order of arrival; records that follow one
// another with the same fate are one line.
func showQuarantine(w io.Writer, s *story, _ string) {
	var lines []string
	for _, q := range s.out.Quarantined {
		if !s.requeued[key(q.Arrival, q.Value)] {
			lines = append(lines, fmt.Sprintf("%s: %s", q.Refusal.Reason, q.Refusal.Detail))
		}
	}
	for len(lines) > 0 {
		n := 1
		for n < len(lines) && lines[n] == lines[0] {
			n++
		}
		fmt.Fprint(w, lines[0])
		if n > 1 {
			fmt.Fprintf(w, "  (%d records)", n)
		}
		fmt.Fprintln(w)
		lines = lines[n:]
	}
}

// showBooks prints what became of every record of each topic (B21).
func showBooks(w io.Writer, s *story, _ string) {
	for _, log := range slices.Sorted(maps.Keys(s.out.Books)) {
		b := s.out.Books[log]
		fmt.Fprintf(w, "%s: %d read = %s\n", strings.TrimSuffix(log, "/0"), b.Read, fates(b))
	}
}

func fates(b *batch.Books) string {
	var parts []string
	for _, f := range []struct {
		n    int64
		name string
	}{
		{b.Events, "events"}, {b.Charged, "charged"}, {b.Free, "free"},
		{b.Duplicate, "duplicate"}, {b.Quarantined, "quarantined"}, {b.Waiting, "waiting"},
	} {
		if f.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", f.n, f.name))
		}
	}
	return strings.Join(parts, " + ")
}

// explain BILL LINE prints the steps of a line.
func explain(s *story, l *line) {
	s.closed(l.ts, "explain")
	bill, no := l.word(0, "bill"), l.word(1, "line")
	for _, b := range s.chosen(bill) {
		for i := range b.Lines {
			if b.BillID == bill && fmt.Sprint(b.Lines[i].No) == no {
				for _, step := range b.Lines[i].Explain {
					fmt.Fprintf(l.ts.Stdout(), "%s: %s\n", step.Rule, step.Text)
				}
				return
			}
		}
	}
	l.ts.Fatalf("there is no bill %s with a line %s", bill, no)
}

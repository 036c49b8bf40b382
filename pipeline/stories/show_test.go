package stories

import (
	"fmt"
	"io"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
)

// show bills ACCOUNT | status ACCOUNT | quarantine | books prints what the closings said.
func show(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(storyKey{}).(*story)
	if s.out == nil || len(args) == 0 {
		ts.Fatalf("show comes after close and needs to know what: bills, status or quarantine")
	}
	w := ts.Stdout()
	switch args[0] {
	case "bills":
		for _, b := range s.out.Bills {
			if len(args) < 2 || b.AccountID == args[1] {
				writeBill(w, b, s)
			}
		}
	case "status":
		for _, c := range s.out.Status {
			if len(args) < 2 || c.AccountID == args[1] {
				fmt.Fprintf(w, "%s  %-10s  balance %s  %s\n", c.EffectiveAt.In(s.cat.Settings.Zone),
					c.Status, canonical.Money(c.Balance), c.Cause)
			}
		}
	case "quarantine":
		for _, q := range s.out.Quarantined {
			fmt.Fprintf(w, "%s: %s\n", q.Refusal.Reason, q.Refusal.Detail)
		}
	default:
		ts.Fatalf("show %s is not known", args[0])
	}
}

func writeBill(w io.Writer, b *billing.Bill, s *story) {
	fmt.Fprintf(w, "BILL %s  %s  closed %s\n", b.BillID, b.Period.Cycle,
		b.ClosedAt.In(s.cat.Settings.Zone))
	for i := range b.Lines {
		l := &b.Lines[i]
		price := "-"
		if l.UnitPrice != nil {
			price = l.UnitPrice.String()
		}
		text := fmt.Sprintf("%3d  %-15s  %-30s  %-10s  %6d x %-6s = %10s  %s %s", l.No, l.Kind,
			l.TagName, l.Period, l.Quantity, price, l.Amount, l.PackageID,
			strings.Join(l.Flags, " "))
		fmt.Fprintln(w, strings.TrimRight(text, " "))
	}
	fmt.Fprintf(w, "     total %s  balance %s -> %s\n", canonical.Money(b.Total),
		canonical.Money(b.BalanceBefore), canonical.Money(b.BalanceAfter))
}

// explain BILL LINE prints the steps of a line.
func explain(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(storyKey{}).(*story)
	for _, b := range s.out.Bills {
		for i := range b.Lines {
			if len(args) == 2 && b.BillID == args[0] && fmt.Sprint(b.Lines[i].No) == args[1] {
				for _, step := range b.Lines[i].Explain {
					fmt.Fprintf(ts.Stdout(), "%s: %s\n", step.Rule, step.Text)
				}
			}
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/simulate"
	"tollstream/sinks/clickhouse"
)

// simulateFlags are the flags of `tollstream simulate`, those of the configuration apart.
type simulateFlags struct {
	bills  billFilterFlags
	format string
	all    bool
}

func newSimulateCommand(open storeOpener) *cobra.Command {
	var f simulateFlags
	c := &cobra.Command{
		Use:   "simulate --catalog FILE --from DAY --to DAY",
		Short: "Say what closed bills would have been under another catalogue; writes nothing",
		Long: `Makes the closings of the days [from, to) again with the catalogue of --catalog, from the
accounts as the closing before left them, and compares the bills with the stored ones: by bill,
account and tag. Calls in quarantine for want of a tag are billed where the catalogue has one.
A difference is no error.`,
		Example: "  tollstream simulate --catalog next.yaml --from 2023-02-01 --to 2023-03-01",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			days, err := f.check(c)
			if err != nil {
				return err
			}
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, _ *time.Location,
			) error {
				_, cat, err := configuredCatalog(c)
				if err != nil {
					return err
				}
				return f.run(ctx, s, cat, days, c.OutOrStdout(), c.ErrOrStderr())
			})(c)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.bills.account, "account", "", "only this main account")
	fl.StringVar(&f.bills.from, "from", "", "first day whose closing is made again, YYYY-MM-DD")
	fl.StringVar(&f.bills.to, "to", "", "day after the last one, YYYY-MM-DD")
	fl.StringVar(&f.format, "format", "table", "table, json or csv")
	fl.BoolVar(&f.all, "all", false, "show what does not differ, too")
	return c
}

// check reads the command line.
func (f *simulateFlags) check(c *cobra.Command) (clickhouse.BillFilter, error) {
	days, err := f.bills.filter()
	switch {
	case err != nil:
		return days, err
	case f.bills.from == "" || f.bills.to == "" || !c.Flags().Changed("catalog"):
		return days, commandLine{errors.New("--catalog, --from and --to are needed")}
	case days.From >= days.To:
		return days, fmt.Errorf("--from %s is not before --to %s: %w", days.From, days.To, errUsage)
	case simulationFormats[f.format] == nil:
		return days, fmt.Errorf("--format %q is none of table, json, csv: %w", f.format, errUsage)
	}
	return days, nil
}

// simulation is what is shown: the accounts that differ, or all of them, and the sums over all.
type simulation struct {
	from, to billing.Day
	other    *catalog.Catalog
	replaced []*catalog.Catalog
	accounts []simulate.Account
	totals   simulate.Totals
	partial  billing.Period // of bills of which closings before the range took calls, or zero
}

func (f *simulateFlags) run(
	ctx context.Context, s *clickhouse.Store, cat *catalog.Catalog, days clickhouse.BillFilter,
	w, stderr io.Writer,
) error {
	sim, err := simulate.New(ctx, s, cat, days.From, days.To)
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	out := simulation{from: days.From, to: days.To, other: cat, replaced: sim.Replaced()}
	err = eachGroup(ctx, s, days.Account, stderr, func(ids []string) error {
		accounts, err := sim.Accounts(ctx, ids)
		for i := range accounts {
			out.add(sim, &accounts[i], f.all)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("simulate %w", err)
	}
	if out.totals.Accounts == 0 && days.Account != "" {
		return fmt.Errorf("simulate: no main account %s was open by %s; see the column account_id of "+
			"bills list", days.Account, days.To)
	}
	if !f.all {
		out.totals.Tags = slices.DeleteFunc(out.totals.Tags, func(t simulate.Tag) bool {
			return !t.Differs()
		})
	}
	if err := simulationFormats[f.format](w, &out); err != nil {
		return err
	}
	return out.remarks(stderr)
}

func (s *simulation) add(sim *simulate.Simulation, a *simulate.Account, all bool) {
	s.totals.Add(a)
	for i := range a.Bills {
		if b := &a.Bills[i]; sim.Partial(b) {
			s.partial = b.Period
		}
	}
	switch {
	case all:
		s.accounts = append(s.accounts, *a)
	case a.Differs():
		s.accounts = append(s.accounts, a.Differing())
	}
}

// remarks says what a reader of the numbers could take wrongly.
func (s *simulation) remarks(w io.Writer) error {
	if s.partial.End != 0 {
		_, err := fmt.Fprintf(w, "bills of %s: calls that closings before that of %s took keep their "+
			"tag, charge and package; for the whole month use --from %s\n", s.partial, s.from,
			s.partial.First)
		if err != nil {
			return err
		}
	}
	replaces := slices.ContainsFunc(s.replaced, func(c *catalog.Catalog) bool {
		return c.Digest != s.other.Digest
	})
	if replaces && s.totals.AccountsDiffer == 0 {
		_, err := fmt.Fprintln(w, "no bill differs, and the catalogue does: what it says with a date "+
			"counts for the calls from that day on; an earlier date in the file asks what if it had held")
		return err
	}
	return nil
}

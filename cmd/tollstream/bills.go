package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/sinks/clickhouse"
	"tollstream/sinks/text"
)

// storeOpener opens the store that a command's flags describe, with the zone of its bills.
type storeOpener func(*cobra.Command) (*clickhouse.Store, *time.Location, error)

// withStore runs a command over an open store.
func (open storeOpener) with(
	run func(ctx context.Context, c *cobra.Command, s *clickhouse.Store, zone *time.Location) error,
) func(*cobra.Command) error {
	return func(c *cobra.Command) error {
		s, zone, err := open(c)
		if err != nil {
			return err
		}
		defer s.Close() //nolint:errcheck // only read
		return run(c.Context(), c, s, zone)
	}
}

// newBillsCommand makes `tollstream bills` with its verbs that read ClickHouse.
func newBillsCommand(open storeOpener) *cobra.Command {
	c := &cobra.Command{Use: "bills", Short: "List, show, explain and export bills"}
	c.AddCommand(newBillsListCommand(open), newBillsShowCommand(open),
		newBillsExplainCommand(open), newBillsExportCommand(open))
	c.AddCommand(newBillsVerifyCommand(open))
	return c
}

// billFilterFlags choose bills on the command line.
type billFilterFlags struct{ account, from, to, cycle string }

func (f *billFilterFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.account, "account", "", "only bills of this main account")
	fl.StringVar(&f.from, "from", "", "first day of the periods, YYYY-MM-DD")
	fl.StringVar(&f.to, "to", "", "day before which the periods end, YYYY-MM-DD")
	fl.StringVar(&f.cycle, "cycle", "", "daily or monthly")
}

func (f *billFilterFlags) filter() (clickhouse.BillFilter, error) {
	out := clickhouse.BillFilter{Account: f.account, Cycle: billing.Cycle(f.cycle)}
	if f.cycle != "" && out.Cycle != billing.Daily && out.Cycle != billing.Monthly {
		return out, fmt.Errorf("--cycle %q is neither daily nor monthly: %w", f.cycle, errUsage)
	}
	for _, d := range []struct {
		flag, text string
		to         *billing.Day
	}{{"--from", f.from, &out.From}, {"--to", f.to, &out.To}} {
		if d.text == "" {
			continue
		}
		day, err := billing.ParseDay(d.text)
		if err != nil {
			return out, fmt.Errorf("%s: %w: %w", d.flag, err, errUsage)
		}
		*d.to = day
	}
	return out, nil
}

func newBillsListCommand(open storeOpener) *cobra.Command {
	var f billFilterFlags
	var limit int
	c := &cobra.Command{
		Use:   "list [--account A] [--from DAY] [--to DAY] [--cycle daily|monthly]",
		Short: "List bills",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			filter.Limit = limit + 1
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, zone *time.Location,
			) error {
				bills, err := s.BillTotals(ctx, filter)
				if err != nil {
					return err
				}
				return listBills(c, bills, limit, zone)
			})(c)
		},
	}
	f.add(c)
	c.Flags().IntVar(&limit, "limit", 1000, "most bills to list")
	return c
}

func listBills(
	c *cobra.Command, bills []clickhouse.BillTotal, limit int, zone *time.Location,
) error {
	more := len(bills) > limit
	if more {
		bills = bills[:limit]
	}
	rows := make([][]any, len(bills))
	for i, b := range bills {
		rows[i] = []any{b.BillID, string(b.Cycle),
			b.ClosedAt.Time().In(zone).Format("2006-01-02 15:04"), b.Lines,
			text.Money(b.Total), b.Currency, text.Money(b.BalanceAfter)}
	}
	err := text.Table(c.OutOrStdout(), []any{"Bill", "Cycle", "Closed at", "Lines", "Total", "",
		"Balance after"}, rows, 4, 5, 7)
	if more && err == nil {
		_, err = fmt.Fprintf(c.ErrOrStderr(), "there are more than %d: use --limit, or narrow "+
			"the list with --account, --from, --to\n", limit)
	}
	return err
}

func newBillsShowCommand(open storeOpener) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show a bill: lines, total, balances, digest",
		Example: "  tollstream bills show 1001/2023-01",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, zone *time.Location,
			) error {
				b, err := s.Bill(ctx, args[0])
				if err != nil {
					return err
				}
				return text.Bill(c.OutOrStdout(), b, zone)
			})(c)
		},
	}
}

// configuredCatalog reads the configuration and the catalogue that it names.
func configuredCatalog(c *cobra.Command) (*Config, *catalog.Catalog, error) {
	cfg, err := loadConfig(c)
	if err != nil {
		return nil, nil, err
	}
	cat, err := loadCatalog(cfg.Catalog)
	return cfg, cat, err
}

// configuredStore opens the store that the configuration names.
func configuredStore(c *cobra.Command) (*clickhouse.Store, *time.Location, error) {
	cfg, cat, err := configuredCatalog(c)
	if err != nil {
		return nil, nil, err
	}
	s, err := openStore(c.Context(), cfg, cat)
	if err != nil {
		return nil, nil, err
	}
	return s, cat.Settings.Zone, nil
}

// configuredOptions says where the ClickHouse of the configuration is.
func configuredOptions(c *cobra.Command) (clickhouse.Options, error) {
	cfg, cat, err := configuredCatalog(c)
	if err != nil {
		return clickhouse.Options{}, err
	}
	return storeOptions(cfg, cat), nil
}

// configured gives each verb below a command, or the command itself, the flags of the
// configuration.
func configured(c *cobra.Command) *cobra.Command {
	if !c.HasSubCommands() {
		addConfigFlags(c)
	}
	for _, sub := range c.Commands() {
		configured(sub)
	}
	return c
}

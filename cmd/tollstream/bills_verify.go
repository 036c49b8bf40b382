package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/verify"
	"tollstream/sinks/clickhouse"
)

// errDiffers ends a verification that found something with exit status 1.
var errDiffers = errors.New("bills differ from what the stored records make")

func newBillsVerifyCommand(open storeOpener) *cobra.Command {
	var f billFilterFlags
	var all bool
	c := &cobra.Command{
		Use:   "verify ID | verify --all [--from DAY] [--to DAY] [--account A]",
		Short: "Make bills again from the stored records and compare them byte for byte",
		Long: `Makes bills again from the account events and calls that are stored, as each closing saw
them by its recorded barriers, each with the catalogue of its closing, and compares them with the
stored bills: JSON, digest, row and lines. Account states and taken calls are not trusted.
A difference ends it with exit status 1.`,
		Example: "  tollstream bills verify 1001/2023-01\n  tollstream bills verify --all",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			chosen := f.account != "" || f.from != "" || f.to != ""
			switch {
			case len(args) == 1 && (all || chosen):
				return commandLine{errors.New("a bill's ID and --all, --account, --from, --to exclude " +
					"each other")}
			case len(args) == 0 && !all:
				return commandLine{errors.New("the ID of a bill or --all is needed")}
			}
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, _ *time.Location,
			) error {
				_, cat, err := configuredCatalog(c)
				if err != nil {
					return err
				}
				if len(args) == 1 {
					return verifyBill(ctx, s, cat, args[0], c.OutOrStdout())
				}
				return verifyBills(ctx, s, cat, filter, c.OutOrStdout(), c.ErrOrStderr())
			})(c)
		},
	}
	fl := c.Flags()
	fl.BoolVar(&all, "all", false, "verify every bill that the other flags choose")
	fl.StringVar(&f.account, "account", "", "only bills of this main account")
	fl.StringVar(&f.from, "from", "", "first day of the periods, YYYY-MM-DD")
	fl.StringVar(&f.to, "to", "", "day before which the periods end, YYYY-MM-DD")
	return c
}

// verifyBill verifies one bill; closings after it are not looked at.
func verifyBill(
	ctx context.Context, s *clickhouse.Store, cat *catalog.Catalog, id string, w io.Writer,
) error {
	if _, err := s.BillJSON(ctx, id); err != nil {
		return err
	}
	account := id[:strings.LastIndexByte(id, '/')]
	v, err := verify.New(ctx, s, cat)
	if err != nil {
		return err
	}
	stored, err := s.StoredBills(ctx, []string{account}, 0, 0)
	if err != nil {
		return err
	}
	selection := verify.Selection{ID: id}
	for _, b := range stored {
		if b.Row.BillID == id {
			selection.Until = b.Row.ClosedAt
		}
	}
	results, err := v.Accounts(ctx, []string{account}, selection)
	if err != nil {
		return fmt.Errorf("verify bill %s: %w", id, err)
	}
	t := tally{w: w}
	if err := t.show(results); err != nil {
		return err
	}
	return t.finish()
}

// verifyBills verifies the chosen bills, some accounts together.
func verifyBills(
	ctx context.Context, s *clickhouse.Store, cat *catalog.Catalog, f clickhouse.BillFilter,
	w, stderr io.Writer,
) error {
	v, err := verify.New(ctx, s, cat)
	if err != nil {
		return err
	}
	t := tally{w: w}
	err = eachGroup(ctx, s, f.Account, stderr, func(accounts []string) error {
		results, err := v.Accounts(ctx, accounts, verify.Selection{From: f.From, To: f.To})
		if err != nil {
			return err
		}
		return t.show(results)
	})
	if err != nil {
		return fmt.Errorf("verify %w", err)
	}
	return t.finish()
}

// tally writes a line for each bill and counts them.
type tally struct {
	w           io.Writer
	ok, differs int
	first       string
}

func (t *tally) show(results []verify.Result) error {
	for i := range results {
		r := &results[i]
		word := "ok"
		switch {
		case r.Differs == "":
			t.ok++
			if r.OtherWords {
				word = "ok, explained in other words"
			}
		case t.differs == 0:
			t.first = r.BillID
			fallthrough
		default:
			t.differs++
			word = "differs: " + r.Differs
		}
		if _, err := fmt.Fprintf(t.w, "%s  %s\n", r.BillID, word); err != nil {
			return err
		}
	}
	return nil
}

func (t *tally) finish() error {
	if _, err := fmt.Fprintf(t.w, "%d bills verified: %d ok, %d differ\n", t.ok+t.differs, t.ok,
		t.differs); err != nil {
		return err
	}
	if t.differs > 0 {
		return fmt.Errorf("%w: %d of %d, the first %s; put its rows back, or find which record was "+
			"changed", errDiffers, t.differs, t.ok+t.differs, t.first)
	}
	return nil
}

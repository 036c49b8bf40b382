package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/sinks/clickhouse"
	"tollstream/sinks/file"
)

func newBillsExportCommand(open storeOpener) *cobra.Command {
	var f billFilterFlags
	var format, out string
	c := &cobra.Command{
		Use:   "export [--format json|csv] [--from DAY] [--to DAY] [--out FILE]",
		Short: "Export bills: canonical JSON, one bill a line, or CSV, one bill line a line",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			export := exportJSON
			if format == "csv" {
				export = exportCSV
			} else if format != "json" {
				return fmt.Errorf("--format %q is neither json nor csv: %w", format, errUsage)
			}
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, zone *time.Location,
			) error {
				return file.To(out, c.OutOrStdout(), func(w io.Writer) error {
					return export(ctx, w, s, filter, zone)
				})
			})(c)
		},
	}
	f.add(c)
	c.Flags().StringVar(&format, "format", "json", "json or csv")
	c.Flags().StringVar(&out, "out", "-", "file to write; - is stdout")
	return c
}

// exportJSON writes the bytes of each bill as they were when it was made.
func exportJSON(
	ctx context.Context, w io.Writer, s *clickhouse.Store, f clickhouse.BillFilter,
	_ *time.Location,
) error {
	return s.EachBill(ctx, f, func(raw []byte) error {
		_, err := w.Write(append(raw, '\n'))
		return err
	})
}

var csvHeader = []string{"bill_id", "account_id", "cycle", "period_start", "period_end",
	"closed_at", "currency", "line_no", "kind", "tag", "tag_name", "period", "quantity",
	"unit_price", "amount", "package_id", "flags", "total", "balance_before", "balance_after",
	"catalog_version", "digest"}

// exportCSV writes a row for each bill line; the columns of the bill repeat on each of its lines.
func exportCSV(
	ctx context.Context, w io.Writer, s *clickhouse.Store, f clickhouse.BillFilter,
	zone *time.Location,
) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader); err != nil {
		return err
	}
	err := s.EachBill(ctx, f, func(raw []byte) error {
		b, err := clickhouse.DecodeBill(raw)
		if err != nil {
			return err
		}
		for i := range b.Lines {
			if err := out.Write(csvRow(b, &b.Lines[i], zone)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func csvRow(b *billing.Bill, l *billing.BillLine, zone *time.Location) []string {
	price := ""
	if l.UnitPrice != nil {
		price = l.UnitPrice.String()
	}
	return []string{b.BillID, b.AccountID, string(b.Period.Cycle), b.PeriodStart.In(zone),
		b.PeriodEnd.In(zone), b.ClosedAt.In(zone), b.Currency, strconv.Itoa(l.No),
		string(l.Kind), l.Tag, l.TagName, l.Period, strconv.FormatInt(l.Quantity, 10), price,
		l.Amount.String(), l.PackageID, strings.Join(l.Flags, " "), b.Total.StringFixed(2),
		b.BalanceBefore.StringFixed(2), b.BalanceAfter.StringFixed(2), b.CatalogVersion, b.Digest}
}

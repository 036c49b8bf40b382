package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/report"
	"tollstream/sinks/clickhouse"
	"tollstream/sinks/text"
)

// newReportCommand makes `tollstream report` with what is neither bill nor book.
func newReportCommand(open storeOpener) *cobra.Command {
	c := &cobra.Command{Use: "report", Short: "Reports for those who care for customers"}
	c.AddCommand(newReportSDKCommand(open))
	return c
}

var sdkFormats = map[string]func(io.Writer, *report.SDKs) error{
	"table": text.SDKs,
	"json": func(w io.Writer, r *report.SDKs) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	},
}

func newReportSDKCommand(open storeOpener) *cobra.Command {
	var days billFilterFlags
	var format string
	command := &cobra.Command{
		Use:   "sdk [--from DAY] [--to DAY] [--format table|json]",
		Short: "Which accounts call with client libraries below the mandated versions",
		Long: `Counts the calls by account, client library and version, and lists those below the oldest version
that the catalogue allows on the day of the call. Versions are compared as versions: 4.5.10 is above
4.5.4. Calls whose library or version the catalogue does not know are only counted.`,
		Example: "  tollstream report sdk --from 2023-02-01 --to 2023-03-01",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			filter, err := days.filter()
			if err != nil {
				return err
			}
			if sdkFormats[format] == nil {
				return fmt.Errorf("--format %q is neither table nor json: %w", format, errUsage)
			}
			return open.with(func(
				ctx context.Context, command *cobra.Command, s *clickhouse.Store, _ *time.Location,
			) error {
				_, cat, err := configuredCatalog(command)
				if err != nil {
					return err
				}
				uses, err := s.SDKUses(ctx, filter.From, filter.To)
				if err != nil {
					return err
				}
				return sdkFormats[format](command.OutOrStdout(), report.OfSDKs(cat, uses))
			})(command)
		},
	}
	fl := command.Flags()
	fl.StringVar(&days.from, "from", "", "first day of the calls, YYYY-MM-DD")
	fl.StringVar(&days.to, "to", "", "day after the last one, YYYY-MM-DD")
	fl.StringVar(&format, "format", "table", "table or json")
	return command
}

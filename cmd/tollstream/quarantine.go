package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
	"tollstream/sinks/text"
)

// newQuarantineCommand makes `tollstream quarantine` with its verbs that read ClickHouse.
func newQuarantineCommand(open storeOpener) *cobra.Command {
	c := &cobra.Command{Use: "quarantine", Short: "Inspect records that were refused or wait"}
	c.AddCommand(newQuarantineListCommand(open))
	c.AddCommand(newQuarantineRequeueCommand(open))
	c.AddCommand(newQuarantineRedactCommand(open))
	return c
}

func newQuarantineListCommand(open storeOpener) *cobra.Command {
	var reason, account, since string
	var limit int
	c := &cobra.Command{
		Use:   "list [--reason R] [--account A] [--since TIME] [--limit N]",
		Short: "List records in quarantine with their reasons, and what can be done about each",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := quarantineFilter(reason, account, since)
			if err != nil {
				return err
			}
			f.Limit = limit + 1
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, zone *time.Location,
			) error {
				rows, err := s.Quarantine(ctx, f)
				if err != nil {
					return err
				}
				return listQuarantine(c, rows, limit, zone)
			})(c)
		},
	}
	fl := c.Flags()
	fl.StringVar(&reason, "reason", "", "only records refused for this reason")
	fl.StringVar(&account, "account", "", "only records that name this account")
	fl.StringVar(&since, "since", "", "only records appended since then, RFC 3339")
	fl.IntVar(&limit, "limit", 100, "most records to list")
	return c
}

func quarantineFilter(reason, account, since string) (clickhouse.QuarantineFilter, error) {
	f := clickhouse.QuarantineFilter{Reason: billing.Reason(reason), Account: account}
	if reason != "" && !slices.Contains(billing.Reasons(), f.Reason) {
		var known []string
		for _, r := range billing.Reasons() {
			known = append(known, string(r))
		}
		slices.Sort(known)
		return f, fmt.Errorf("--reason %q is not one of %s: %w", reason,
			strings.Join(known, ", "), errUsage)
	}
	if since == "" {
		return f, nil
	}
	var err error
	if f.Since, err = billing.ParseInstant(since); err != nil {
		return f, fmt.Errorf("--since: %w: %w", err, errUsage)
	}
	return f, nil
}

func listQuarantine(
	c *cobra.Command, rows []stored.Quarantined, limit int, zone *time.Location,
) error {
	w := c.OutOrStdout()
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, "the quarantine is empty for this choice")
		return err
	}
	more := len(rows) > limit
	rows = rows[:min(len(rows), limit)]
	list := make([][]any, len(rows))
	var reasons []billing.Reason
	for i := range rows {
		r := &rows[i]
		list[i] = []any{r.Arrival.Place(), r.Arrival.Appended.In(zone), string(r.Refusal.Reason),
			r.AccountID, r.ID, r.Refusal.Detail}
		if !slices.Contains(reasons, r.Refusal.Reason) {
			reasons = append(reasons, r.Refusal.Reason)
		}
	}
	err := text.Table(w, []any{"Topic/partition/offset", "Appended at", "Reason", "Account",
		"Call or event", "Detail"}, list)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintln(w, "\nWhat to do"); err != nil {
		return err
	}
	for _, r := range reasons {
		if _, err = fmt.Fprintf(w, "  %s: %s\n", r, r.Hint()); err != nil {
			return err
		}
	}
	if more {
		_, err = fmt.Fprintf(c.ErrOrStderr(), "there are more than %d: use --limit, or narrow "+
			"the list with --reason, --account, --since\n", limit)
	}
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/sinks/clickhouse"
)

// redactTogether is how many records one rewrite of the table is about.
const redactTogether = 5_000

// redactFlags choose the records whose bytes are taken away.
type redactFlags struct {
	reason, account, since, until, place, by, why string
	resolved, dryRun                              bool
	limit                                         int
}

func newQuarantineRedactCommand(open storeOpener) *cobra.Command {
	var f redactFlags
	c := &cobra.Command{
		Use:   "redact --by NAME --why TEXT [--place TOPIC/PARTITION/OFFSET] [--resolved] ...",
		Short: "Take the bytes of quarantined records away, and keep their hashes",
		Long: `Removes key, value, headers and detail of quarantined records from ClickHouse for good. Place,
reason, the value's size and its SHA-256 stay, with who asked for it and why, so that books, bills
and their digests are what they were. Ingest does not bring the bytes back when it reads a record
again. The records stay in Kafka: on their own topic and on billing.quarantine. What to do there is
said in docs/security.md.`,
		Example: "  tollstream quarantine redact --resolved --until 2026-08-01T00:00:00+08:00 " +
			"--by ops --why 'kept 90 days'",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			choice, err := f.choice()
			if err != nil {
				return err
			}
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, _ *time.Location,
			) error {
				return f.redact(ctx, s, choice, c.OutOrStdout())
			})(c)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.reason, "reason", "", "only records refused for this reason")
	fl.StringVar(&f.account, "account", "", "only records that name this account")
	fl.StringVar(&f.since, "since", "", "only records appended since then, RFC 3339")
	fl.StringVar(&f.until, "until", "", "only records appended before then, RFC 3339")
	fl.StringVar(&f.place, "place", "", "only the record that stands there, topic/partition/offset")
	fl.BoolVar(&f.resolved, "resolved", false, "only records that have left the quarantine")
	fl.StringVar(&f.by, "by", "", "who asks for it; kept")
	fl.StringVar(&f.why, "why", "", "why; kept, and shown in place of the detail")
	fl.IntVar(&f.limit, "limit", 100_000, "most records to redact, oldest first")
	fl.BoolVar(&f.dryRun, "dry-run", false, "only say how many records it would be")
	return c
}

func (f *redactFlags) choice() (clickhouse.RedactFilter, error) {
	out := clickhouse.RedactFilter{Resolved: f.resolved}
	switch {
	case f.by == "" || f.why == "":
		return out, commandLine{errors.New("--by and --why are needed: both are kept")}
	case f.reason == "" && f.account == "" && f.since == "" && f.until == "" && f.place == "":
		return out, commandLine{errors.New("choose records with --place, --reason, --account, " +
			"--since or --until")}
	case f.limit < 1:
		return out, fmt.Errorf("--limit %d is not above 0: %w", f.limit, errUsage)
	}
	var err error
	if out.QuarantineFilter, err = quarantineFilter(f.reason, f.account, f.since); err != nil {
		return out, err
	}
	if f.until != "" {
		if out.Until, err = billing.ParseInstant(f.until); err != nil {
			return out, fmt.Errorf("--until: %w: %w", err, errUsage)
		}
	}
	if f.place != "" {
		if out.Place, err = parsePlace(f.place); err != nil {
			return out, fmt.Errorf("--place: %w: %w", err, errUsage)
		}
	}
	out.Limit = f.limit
	return out, nil
}

// parsePlace reads topic/partition/offset.
func parsePlace(s string) (billing.Arrival, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 3 {
		partition, err := strconv.ParseInt(parts[1], 10, 32)
		offset, fault := strconv.ParseInt(parts[2], 10, 64)
		at := billing.Arrival{Topic: parts[0], Partition: int32(partition), Offset: offset}
		if err == nil && fault == nil && at.Place() == s {
			return at, nil
		}
	}
	return billing.Arrival{}, fmt.Errorf("%q is not topic/partition/offset", s)
}

func (f *redactFlags) redact(
	ctx context.Context, s *clickhouse.Store, choice clickhouse.RedactFilter, w io.Writer,
) error {
	places, err := s.Redactable(ctx, choice)
	if err != nil {
		return err
	}
	verb := "would redact"
	if !f.dryRun {
		verb = "redacted"
		for chunk := range slices.Chunk(places, redactTogether) {
			if err := s.Redact(ctx, chunk, f.by, f.why); err != nil {
				return fmt.Errorf("redact: run it again for the rest: %w", err)
			}
		}
	}
	fmt.Fprintf(w, "%s %d records\n", verb, len(places))
	if len(places) == f.limit {
		fmt.Fprintf(w, "there may be more: --limit is %d\n", f.limit)
	}
	return nil
}

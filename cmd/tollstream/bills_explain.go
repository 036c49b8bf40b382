package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
	"tollstream/sinks/text"
)

// explainFlags are the flags of `tollstream bills explain`.
type explainFlags struct {
	line   int // 0 for all
	calls  bool
	limit  int // calls of each line, 0 for all
	format string
}

func newBillsExplainCommand(open storeOpener) *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:   "explain ID [LINE] [--calls]",
		Short: "Show how the numbers of a bill came about, down to the calls",
		Long: `Shows the steps that lead to the numbers of a bill's lines, as they were written when the
bill was made. --calls lists the calls behind each line, in the order in which they were taken, with
their places in Kafka, and counts them again: if they are not as many as the line says, it ends with
exit status 1.`,
		Example: "  tollstream bills explain 1001/2023-01 2\n" +
			"  tollstream bills explain 1001/2023-01 2 --calls --limit 0 --format json > calls.jsonl",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(c, args); err != nil {
				return err
			}
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, zone *time.Location,
			) error {
				b, err := s.Bill(ctx, args[0])
				if err != nil {
					return err
				}
				e := &explainer{store: s, bill: b, zone: zone, flags: &f,
					out: c.OutOrStdout(), notes: c.ErrOrStderr()}
				return e.explain(ctx)
			})(c)
		},
	}
	c.Flags().BoolVar(&f.calls, "calls", false, "list the calls behind each line")
	c.Flags().IntVar(&f.limit, "limit", 1000, "with --calls: most calls of each line, 0 for all")
	c.Flags().StringVar(&f.format, "format", "text", "with --calls: text, or json for the calls "+
		"alone, one a line")
	return c
}

func (f *explainFlags) check(c *cobra.Command, args []string) error {
	if len(args) == 2 {
		var err error
		if f.line, err = strconv.Atoi(args[1]); err != nil || f.line < 1 {
			return fmt.Errorf("%q is not the number of a line: %w", args[1], errUsage)
		}
	}
	switch {
	case !f.calls && (c.Flags().Changed("limit") || c.Flags().Changed("format")):
		return commandLine{errors.New("--limit and --format go with --calls")}
	case f.limit < 0:
		return fmt.Errorf("--limit %d: give a number of calls, or 0 for all: %w", f.limit, errUsage)
	case f.format != "text" && f.format != "json":
		return fmt.Errorf("--format %q is neither text nor json: %w", f.format, errUsage)
	}
	return nil
}

// explainer writes one bill's explanation, and the calls behind its lines where they are asked for.
type explainer struct {
	store      *clickhouse.Store
	bill       *billing.Bill
	zone       *time.Location
	flags      *explainFlags
	out, notes io.Writer
	faults     []error // lines whose calls do not add up
}

func (e *explainer) explain(ctx context.Context) error {
	if e.flags.format == "json" {
		return e.json(ctx)
	}
	var more func(*billing.BillLine) error
	if e.flags.calls {
		more = func(l *billing.BillLine) error { return e.lineText(ctx, l) }
	}
	if err := text.Header(e.out, e.bill, e.zone); err != nil {
		return err
	}
	if err := text.Explain(e.out, e.bill, e.flags.line, more); err != nil {
		return err
	}
	return errors.Join(e.faults...)
}

// lineText writes the calls behind a line as tables.
func (e *explainer) lineText(ctx context.Context, l *billing.BillLine) error {
	switch l.Kind {
	case billing.RoundingLine:
		_, err := fmt.Fprintf(e.out, "\nLine %d has no calls: it rounds the sum of the others.\n", l.No)
		return err
	case billing.TierAdjustmentLine:
		before, err := e.store.LinesBefore(ctx, e.bill, l)
		if err != nil {
			return err
		}
		return text.LinesBefore(e.out, l, before)
	}
	logs, err := e.store.LineLogs(ctx, e.bill, l)
	if err != nil {
		return err
	}
	n := e.count(l, logs)
	if _, err := fmt.Fprintf(e.out, "\nCalls of line %d: %d\n", l.No, n); err != nil || n == 0 {
		return err
	}
	if err := text.Logs(e.out, logs); err != nil {
		return err
	}
	return e.pages(ctx, l, func(page []stored.LineCall) error {
		if _, err := fmt.Fprintln(e.out); err != nil {
			return err
		}
		return text.Calls(e.out, page, e.zone)
	})
}

// count compares how many calls there are with what the line says, and notes where the list will
// be cut.
func (e *explainer) count(l *billing.BillLine, logs []stored.LineLog) int64 {
	n, err := checkLineCalls(e.bill, l, logs)
	if err != nil {
		e.faults = append(e.faults, err)
	}
	if limit := int64(e.flags.limit); limit > 0 && n > limit {
		fmt.Fprintf(e.notes, "line %d: the first %d of %d calls are listed; --limit 0 lists all\n",
			l.No, limit, n)
	}
	return n
}

// checkLineCalls compares the number of calls behind a line with its quantity.
func checkLineCalls(
	b *billing.Bill, l *billing.BillLine, logs []stored.LineLog,
) (int64, error) {
	var n int64
	for i := range logs {
		n += logs[i].Calls
	}
	if n == max(l.Quantity, -l.Quantity) {
		return n, nil
	}
	unit := "calls"
	if l.Quantity == 1 || l.Quantity == -1 {
		unit = "call"
	}
	return n, fmt.Errorf("line %d of bill %s says %d %s and the store has %d: run tollstream bills "+
		"verify %s to see whether the bill is right", l.No, b.BillID, l.Quantity, unit, n, b.BillID)
}

// callsInTable is how many calls are written as one table.
const callsInTable = 1_000

// pages gives a line's calls some at a time.
func (e *explainer) pages(
	ctx context.Context, l *billing.BillLine, write func([]stored.LineCall) error,
) error {
	page := make([]stored.LineCall, 0, callsInTable)
	err := e.store.EachLineCall(ctx, e.bill, l, e.flags.limit, func(c *stored.LineCall) error {
		page = append(page, *c)
		if len(page) < callsInTable {
			return nil
		}
		full := page
		page = page[:0]
		return write(full)
	})
	if err != nil || len(page) == 0 {
		return err
	}
	return write(page)
}

// json writes the calls alone, one JSON object a line.
func (e *explainer) json(ctx context.Context) error {
	lines, err := text.Lines(e.bill, e.flags.line)
	if err != nil {
		return err
	}
	for i := range lines {
		l := &lines[i]
		if !clickhouse.OwnCalls(l.Kind) {
			fmt.Fprintf(e.notes, "line %d (%s) has no calls of its own\n", l.No, l.Kind)
			continue
		}
		logs, err := e.store.LineLogs(ctx, e.bill, l)
		if err != nil {
			return err
		}
		e.count(l, logs)
		if err := writeLineCalls(ctx, e.out, e.store, e.bill, l, e.flags.limit, e.zone); err != nil {
			return err
		}
	}
	return errors.Join(e.faults...)
}

// lineCallJSON is a call behind a bill line as the command line and the API give it.
type lineCallJSON struct {
	LineNo     int    `json:"line_no"`
	CallID     string `json:"call_id"`
	AccountID  string `json:"account_id"`
	OccurredAt string `json:"occurred_at"`
	ResultCode string `json:"result_code"`
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`
	TakenAt    string `json:"taken_at"`
	VoidedBy   string `json:"voided_by,omitempty"`
}

func writeLineCalls(
	ctx context.Context, w io.Writer, s *clickhouse.Store, b *billing.Bill, l *billing.BillLine,
	limit int, zone *time.Location,
) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return s.EachLineCall(ctx, b, l, limit, func(c *stored.LineCall) error {
		return out.Encode(lineCallJSON{LineNo: l.No, CallID: c.CallID, AccountID: c.AccountID,
			OccurredAt: c.OccurredAt.In(zone), ResultCode: c.ResultCode, Topic: c.Arrival.Topic,
			Partition: c.Arrival.Partition, Offset: c.Arrival.Offset, TakenAt: c.TakenAt.In(zone),
			VoidedBy: c.VoidedBy})
	})
}

package text

import (
	"fmt"
	"io"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// Logs writes where the calls of a line stand: how many of a day in each partition, between which
// offsets.
func Logs(w io.Writer, logs []stored.LineLog) error {
	var rows [][]any
	for _, x := range logs {
		rows = append(rows, []any{x.Day.String(), x.Topic, x.Partition, x.First, x.Last, x.Calls})
	}
	return Table(w, []any{"Day", "Topic", "Partition", "First offset", "Last offset", "Calls"},
		rows, 3, 4, 5, 6)
}

// Calls writes calls of a line, one a row. Times are shown in the zone, to the microsecond.
func Calls(w io.Writer, calls []stored.LineCall, zone *time.Location) error {
	head := []any{"Call id", "Made at", "Account", "Result", "Topic", "Partition", "Offset",
		"Taken at"}
	voided := len(calls) > 0 && calls[0].VoidedBy != ""
	if voided {
		head = append(head, "Voided by")
	}
	rows := make([][]any, len(calls))
	for i, c := range calls {
		rows[i] = []any{c.CallID, c.OccurredAt.In(zone), c.AccountID, c.ResultCode, c.Arrival.Topic,
			c.Arrival.Partition, c.Arrival.Offset,
			c.TakenAt.Time().In(zone).Format("2006-01-02 15:04")}
		if voided {
			rows[i] = append(rows[i], c.VoidedBy)
		}
	}
	return Table(w, head, rows, 6, 7)
}

// LinesBefore writes the lines that hold the units which an adjustment prices anew.
func LinesBefore(w io.Writer, l *billing.BillLine, before []stored.LineOfBill) error {
	_, err := fmt.Fprintf(w, "\nLine %d has no calls of its own. Those of %s are behind these "+
		"lines:\n", l.No, l.Period)
	if err != nil {
		return err
	}
	var rows [][]any
	for _, x := range before {
		rows = append(rows, []any{x.BillID, x.No, string(x.Kind), x.Period, x.Quantity})
	}
	return Table(w, []any{"Bill", "Line", "Kind", "Period", "Quantity"}, rows, 2, 5)
}

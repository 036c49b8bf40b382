package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/pipeline/audit"
	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/naive"
	"tollstream/pipeline/props"
	"tollstream/sinks/clickhouse"
)

// naiveRecordsMax bounds what the naive biller is asked to do: it looks at everything again at each
// closing.
const naiveRecordsMax = 30_000

// check compares what the pipeline made with what is right by the log. Its error lists all
// differences.
func (w *world) check(ctx context.Context, f *feed) error {
	l, err := w.readLog(ctx, f.until)
	if err != nil {
		return err
	}
	w.line.note("%d records are in the log, %d were acknowledged, %d given up", len(l.values),
		len(f.acked), f.givenUp)
	want, err := batch.Run(w.cat, l.records, f.until, nil)
	if err != nil {
		return fmt.Errorf("the biller in memory: %w", err)
	}
	store, err := w.store(ctx)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // only read
	return wrong(
		l.isWhatWasSent(f),
		w.naive(l.records, f.until, want),
		w.bills(ctx, store, want),
		w.books(ctx, store, want),
		w.quarantine(ctx, store, l, want),
		w.views(ctx, f, want),
	)
}

// naive checks the biller in memory, to which everything else is compared, against the definition.
func (w *world) naive(records []batch.Record, until billing.Instant, want *batch.Output) error {
	if len(records) > naiveRecordsMax {
		w.line.note("%d records are too many for the naive biller", len(records))
		return nil
	}
	out, err := naive.Run(w.cat, props.NaiveRecords(records), until)
	if err != nil {
		return fmt.Errorf("the naive biller: %w", err)
	}
	diff := props.Difference(props.BillTexts(w.cat, want.Bills, out.Reversals > 0),
		props.NaiveBillTexts(w.cat, out))
	if diff != "" {
		return fmt.Errorf("batch and naive biller differ:\n%s", diff)
	}
	return nil
}

// bills checks the bills of the view and those that were published, byte for byte.
func (w *world) bills(ctx context.Context, store *clickhouse.Store, want *batch.Output) error {
	var right, got []string
	for _, b := range want.Bills {
		right = append(right, string(canonical.Bill(b, w.cat.Settings.Zone)))
	}
	err := store.EachBill(ctx, clickhouse.BillFilter{}, func(raw []byte) error {
		got = append(got, string(raw))
		return nil
	})
	if err != nil {
		return err
	}
	published, err := w.published(ctx)
	if err != nil {
		return err
	}
	var said []string
	for _, texts := range published { // sorted by difference
		said = append(said, texts...)
	}
	return errors.Join(w.difference("bills", got, right),
		w.difference("published bills", said, right))
}

func billID(raw []byte) string {
	var b struct {
		ID string `json:"bill_id"`
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return err.Error()
	}
	return b.ID
}

// difference tells how two sets of lines differ, by the beginnings of the first lines that only one
// of them has. Both sets are written to the folder.
func (w *world) difference(what string, got, want []string) error {
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		return nil
	}
	name := strings.ReplaceAll(what, " ", "_")
	faults := []error{fmt.Errorf("%s: there are %d, there should be %d\n  only there:%s\n"+
		"  only in what is right:%s\n  all of them: %s_there.txt, %s_right.txt", what, len(got),
		len(want), only(got, want), only(want, got), name, name)}
	for file, lines := range map[string][]string{"_there.txt": got, "_right.txt": want} {
		faults = append(faults, os.WriteFile(filepath.Join(w.folder, name+file),
			[]byte(strings.Join(lines, "\n")+"\n"), 0o600))
	}
	return errors.Join(faults...)
}

// only gives the beginnings of the first of the lines that are not among the others.
func only(lines, others []string) string {
	const shown, columns = 5, 160
	var out strings.Builder
	n := 0
	for _, line := range lines {
		if _, there := slices.BinarySearch(others, line); !there && n < shown {
			n++
			out.WriteString("\n    " + line[:min(len(line), columns)])
		}
	}
	return out.String()
}

// books checks what became of every offset, and that every row stands. A partition's numbers are
// read, charged, free, duplicate, quarantined, waiting and events.
func (w *world) books(ctx context.Context, store *clickhouse.Store, want *batch.Output) error {
	report, err := audit.Run(ctx, audit.Options{Store: store, Zone: w.cat.Settings.Zone},
		audit.Choice{Partition: -1})
	if err != nil {
		return err
	}
	got, right := report.Faults(), []string(nil)
	for _, b := range report.ByPartition() {
		at := billing.Arrival{Topic: b.Topic, Partition: b.Partition}
		got = append(got, fmt.Sprint(at.Log(), batch.Books{Read: b.Data, Charged: b.Charged,
			Free: b.Free, Duplicate: b.Duplicate, Quarantined: b.Quarantined, Waiting: b.Waiting,
			Events: b.Events}))
	}
	for log, b := range want.Books { // sorted by difference
		right = append(right, fmt.Sprint(log, *b))
	}
	return w.difference("books", got, right)
}

// quarantine checks which records are there and why.
func (w *world) quarantine(
	ctx context.Context, store *clickhouse.Store, l *inLog, want *batch.Output,
) error {
	list, err := store.Quarantine(ctx, clickhouse.QuarantineFilter{})
	if err != nil {
		return err
	}
	var got, right []string
	for _, q := range list {
		if l.beyond[q.Arrival.Place()] {
			continue
		}
		got = append(got, fmt.Sprint(q.Arrival.Place(), " ", q.Refusal.Reason))
	}
	for _, q := range want.Quarantined {
		right = append(right, fmt.Sprint(q.Arrival.Place(), " ", q.Refusal.Reason))
	}
	return w.difference("quarantine", got, right)
}

// views checks that the views show each call, each closing and each ledger entry once.
func (w *world) views(ctx context.Context, f *feed, want *batch.Output) error {
	conn, err := driver.Open(&driver.Options{Protocol: driver.HTTP, Addr: []string{w.direct},
		Auth: driver.Auth{Database: clickhouse.DatabaseDefault}})
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // only read
	var taken int64
	for _, log := range slices.Sorted(maps.Keys(want.Books)) {
		taken += want.Books[log].Charged + want.Books[log].Free
	}
	var faults []error
	for _, q := range []struct {
		what, sql string
		want      int64
	}{
		{"rows of taken calls in the view calls",
			"SELECT toInt64(count()) FROM calls WHERE call_id IN (SELECT call_id FROM taken_calls)",
			taken},
		{"taken calls in the view calls",
			"SELECT toInt64(uniqExact(call_id)) FROM calls " +
				"WHERE call_id IN (SELECT call_id FROM taken_calls)", taken},
		{"calls in the closed days of usage_daily",
			"SELECT toInt64(sum(charged) + sum(free)) FROM usage_daily WHERE state = 'closed'", taken},
		{"closings that are done", "SELECT toInt64(countIf(state = 'closed')) FROM settlements",
			w.closings(f)},
		{"closings that are only decided",
			"SELECT toInt64(countIf(state != 'closed')) FROM settlements", 0},
		{"ledger entries", "SELECT toInt64(count()) FROM ledger_entries", int64(len(want.Ledger))},
		{"different ledger entries", "SELECT toInt64(uniqExact(entry_id)) FROM ledger_entries",
			int64(len(want.Ledger))},
		{"bill lines", "SELECT toInt64(count()) FROM bill_lines", linesOf(want)},
	} {
		var got int64
		if err := conn.QueryRow(ctx, q.sql).Scan(&got); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", q.what, err))
		} else if got != q.want {
			faults = append(faults, fmt.Errorf("%s: %d, not %d", q.what, got, q.want))
		}
	}
	return errors.Join(faults...)
}

// closings is how many there are, from the first day to the last close time.
func (w *world) closings(f *feed) int64 {
	return int64(billing.DayOf(f.until, w.cat.Settings.Zone) - f.first)
}

func linesOf(want *batch.Output) (n int64) {
	for _, b := range want.Bills {
		n += int64(len(b.Lines))
	}
	return n
}

// halts finds closings that were halted, for a broken sum, in the logs of the pipeline.
func (w *world) halts() error {
	var found []error
	for _, p := range w.pipeline() {
		for _, line := range logLines(w.folder, p.name) {
			if strings.Contains(line, "halted") || strings.Contains(line, "do not balance") {
				found = append(found, fmt.Errorf("%s: %s", p.name, line))
			}
		}
	}
	if len(found) > 3 {
		found = found[:3]
	}
	return wrong(found...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	rows "tollstream/pipeline/stored"
)

// sealOptions are the flags of `tollbench seal`.
type sealOptions struct {
	Index, Day     int // calls
	Days, Accounts int
	Seed           uint64
	Out            string `json:"-"`
	Data           string `json:"-"`
	self           string
	meddle         string // a statement after the copies are there, for tests
}

func newSealCommand() *cobra.Command {
	o := &sealOptions{}
	c := &cobra.Command{
		Use:   "seal",
		Short: "Measure what a closing asks of a day and of the index of taken calls",
		Long: `Fills the index of all calls that closings took, and one day of copies after it, and asks what
a closing asks before and while it takes them, with the statements of the store itself: against the
whole index, half of it and a quarter, and for the whole day, half of it and a quarter. Prints a
table, and writes seal.json into --out. The exit status is 1 where an answer is wrong.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.self, err = os.Executable(); err != nil {
				return err
			}
			r, err := measureSealing(c.Context(), o, c.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), r.text())
			return errors.Join(saveJSON(o.Out, "seal.json", r), r.fault())
		},
	}
	f := c.Flags()
	f.IntVar(&o.Index, "index", 100_000_000, "calls in the index")
	f.IntVar(&o.Day, "day", 10_000_000, "calls of the day, about; one record in 101 is a duplicate")
	f.IntVar(&o.Days, "days", 365, "days over which the index was taken")
	f.IntVar(&o.Accounts, "accounts", 100_000, "main accounts")
	f.Uint64Var(&o.Seed, "seed", 1, "number from which the calls follow")
	f.StringVar(&o.Data, "data", "", "folder for the database; a temporary one otherwise")
	f.StringVar(&o.Out, "out", "build/bench", "folder for the results")
	return c
}

// sealer is a measurement under way. The closing takes day number Days, the one after the index.
type sealer struct {
	*filled
	options *sealOptions
	notes   io.Writer
	indexed int // days of the index that are there, the last ones
}

// measureSealing lets the index grow before a whole day, and then the day shrink before the index.
func measureSealing(
	ctx context.Context, o *sealOptions, notes io.Writer,
) (_ *sealReport, err error) {
	folder := o.Data
	if folder == "" {
		if folder, err = os.MkdirTemp("", "tollbench-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder) //nolint:errcheck // temporary
	}
	h := history{Calls: o.Index, Days: o.Days, Accounts: o.Accounts, Seed: o.Seed}
	f, err := h.empty(ctx, o.self, filepath.Join(folder, "seal"))
	if err != nil {
		return nil, err
	}
	defer f.close()
	r := newSealReport(o)
	s := &sealer{filled: f, options: o, notes: notes}
	err = s.run(ctx, "accounts", map[string]string{"{accounts}": fmt.Sprint(o.Accounts),
		"{closed}": instant(closedAt(firstDay - 1))})
	if err == nil {
		err = s.fillSealed(ctx, o.Day)
	}
	for _, part := range []int{4, 2, 1} {
		if err == nil {
			err = s.index(ctx, o.Days/part)
		}
		if err == nil {
			err = s.measure(ctx, r, o.Day)
		}
	}
	for _, part := range []int{2, 4} {
		if err == nil {
			err = s.fillSealed(ctx, o.Day/part)
		}
		if err == nil {
			err = s.measure(ctx, r, o.Day/part)
		}
	}
	if err != nil {
		return nil, err
	}
	r.finish()
	return r, nil
}

// index makes the index that of so many days, those just before the day that is closed.
func (s *sealer) index(ctx context.Context, days int) error {
	for ; s.indexed < days; s.indexed++ {
		i := s.Days - 1 - s.indexed
		if err := s.run(ctx, "taken", s.day(i, s.dayRows())); err != nil {
			return fmt.Errorf("day %d: %w", i, err)
		}
	}
	// What these closings say that they took, for the proof that it is still there.
	err := s.statements(ctx, `INSERT INTO settlement_records (closed_at, day, state, calls, version)
		SELECT closed_at, toDate(closed_at) - 1, 'closed', count(), 2
		FROM taken_calls GROUP BY closed_at`)
	fmt.Fprintf(s.notes, "the index has %d days\n", s.indexed)
	return err
}

// fillSealed makes the copies of the day that is closed, and nothing else of that day.
func (s *sealer) fillSealed(ctx context.Context, calls int) error {
	err := s.statements(ctx, "TRUNCATE TABLE call_copies; TRUNCATE TABLE deliveries; "+
		"TRUNCATE TABLE quarantined_records; DELETE FROM taken_calls WHERE closed_at = "+
		instant(closedAt(firstDay+billing.Day(s.Days))))
	if err == nil {
		err = s.run(ctx, "records", s.day(s.Days, rowsFor(calls)))
	}
	if err == nil {
		err = s.statements(ctx, s.options.meddle)
	}
	return err
}

// window is what the closing of the day looks at: all of it lies below the barriers.
func (s *sealer) window(calls int) settle.Window {
	day := firstDay + billing.Day(s.Days)
	m := closing.Moment{Day: day, At: closedAt(day)}
	st := &rows.Settlement{Day: day, ClosedAt: m.At, CatalogDigest: s.digest}
	first := int64(s.Days) * int64(s.dayRows())
	for p := range 6 {
		st.Barriers = append(st.Barriers, rows.Barrier{Topic: callsTopic, Partition: int32(p),
			Low: first / 6, High: (first + int64(rowsFor(calls))) / 6})
	}
	return settle.Window{Settlement: st, Moment: m, Since: closing.WindowStart(day, shanghai),
		DayEnd: (day + 1).Start(shanghai)}
}

// measure asks what the closing of a day of so many calls asks, and adds the answers to the report.
func (s *sealer) measure(ctx context.Context, r *sealReport, calls int) error {
	w := s.window(calls)
	m := &sealedSize{Day: calls}
	if err := s.conn.QueryRow(ctx, "SELECT count() FROM taken_calls WHERE closed_at < "+
		instant(w.Moment.At)).Scan(&m.Index); err != nil {
		return err
	}
	candidates := 0
	list := []sealStep{
		{"Missing", func() (int, error) {
			missing, err := s.store.Missing(ctx, w.Settlement.Barriers)
			return -len(missing), err
		}},
		{"TakenShort", func() (int, error) {
			short, err := s.store.TakenShort(ctx, w.Since, w.Moment.At-billing.Second)
			return -len(short), err
		}},
		{"DifferingCopies", func() (int, error) {
			groups, err := s.store.DifferingCopies(ctx, w)
			return len(groups), err
		}},
		{"Candidates", func() (n int, err error) {
			n, err = countCandidates(ctx, s, w)
			candidates = n
			return n, err
		}},
		{"FinishClosing", func() (int, error) { return s.finishClosing(ctx, w) }},
	}
	for _, step := range list {
		if step.name == "FinishClosing" { // it looks at what the closing took
			if err := s.run(ctx, "taken", s.day(s.Days, rowsFor(calls))); err != nil {
				return err
			}
		}
		if err := m.ask(step, s.server.PID()); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if want, err := s.expected(ctx); err != nil || candidates != want {
		m.Faults = append(m.Faults, fmt.Sprintf("%d candidates, right are %d (%v)", candidates, want,
			err))
	}
	r.Sizes = append(r.Sizes, m)
	fmt.Fprintf(s.notes, "a day of %d calls against %d taken ones is measured\n", calls, m.Index)
	return nil
}

func countCandidates(ctx context.Context, s *sealer, w settle.Window) (n int, err error) {
	calls, err := s.store.Candidates(ctx, w)
	if err != nil {
		return 0, err
	}
	for err == nil {
		if _, err = calls.Next(); err == nil {
			n++
		}
	}
	return n, errors.Join(ignoreEOF(err), calls.Close())
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// finishClosing gives how many records the books count; records in no term, or in two, are a fault.
func (s *sealer) finishClosing(ctx context.Context, w settle.Window) (int, error) {
	books, err := s.store.FinishClosing(ctx, w)
	if err != nil {
		return 0, err
	}
	n := 0
	for i := range books.Partitions {
		p := &books.Partitions[i]
		if len(p.Odd) > 0 || p.Data != p.High-p.Low {
			return 0, fmt.Errorf("the books of partition %d are wrong: %+v", p.Partition, *p)
		}
		n += int(p.Data)
	}
	return n, nil
}

// expected is how many candidates there are: each key of a copy of a closed day once.
func (s *sealer) expected(ctx context.Context) (int, error) {
	end := instant((firstDay + billing.Day(s.Days) + 1).At(0, shanghai))
	var n uint64
	err := s.conn.QueryRow(ctx, `SELECT count() FROM (SELECT DISTINCT account_id, occurred_at,
		call_id, billing_hash FROM call_copies WHERE occurred_at < `+end+`)`).Scan(&n)
	return int(n), err
}

// sealStep is a call of the store, and what it found; less than nothing is a fault.
type sealStep struct {
	name string
	ask  func() (int, error)
}

// sealedSize is the closing of a day of some size against an index of some size.
type sealedSize struct {
	Day    int
	Index  uint64
	Faults []string `json:",omitempty"`
	Steps  []sealedStep
}

// sealedStep is what one call of the store took.
type sealedStep struct {
	Name         string
	Found        int
	Seconds, CPU float64 // CPU is ClickHouse's
	Peak         uint64  // bytes, of ClickHouse, while it was asked
	CPUOfOurs    float64 // seconds of this process
	DayTimes     float64 `json:",omitempty"` // CPU against that for half the day
	IndexTimes   float64 `json:",omitempty"` // CPU against that for half the index
}

// ask makes the call and measures it.
func (m *sealedSize) ask(step sealStep, server int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", server), []byte("5"), 0); err != nil {
		return fmt.Errorf("begin the peak of memory anew: %w", err)
	}
	before, err := usageOfBoth(os.Getpid(), server)
	if err != nil {
		return err
	}
	start := time.Now()
	found, err := step.ask()
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	after, err := usageOfBoth(os.Getpid(), server)
	if found < 0 {
		m.Faults = append(m.Faults, fmt.Sprintf("%s finds %d faults", step.name, -found))
	}
	m.Steps = append(m.Steps, sealedStep{Name: step.name, Found: found, Seconds: took,
		CPU: after[1].CPU - before[1].CPU, Peak: after[1].Peak,
		CPUOfOurs: after[0].CPU - before[0].CPU})
	return err
}

// step finds one by its name.
func (m *sealedSize) step(name string) *sealedStep {
	i := slices.IndexFunc(m.Steps, func(s sealedStep) bool { return s.Name == name })
	return &m.Steps[i]
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// queryReport is what was asked and how long the answers took.
type queryReport struct {
	Began   time.Time
	Took    string
	Commit  string
	Machine string
	Loads   [2]float64 // of the machine over one minute, before and after
	Options *queryOptions
	Sizes   []*querySize // the largest first
}

// querySize is the answers of a database of one size.
type querySize struct {
	History history
	Filled  string            // how long filling it took; 0s where it was there
	Bytes   map[string]uint64 // on disk, of each table
	Answers []*answerTimes
}

// answerTimes are the times of one question, in seconds.
type answerTimes struct {
	Question       string
	Fault          string `json:",omitempty"`
	First          float64
	Seconds        []float64 // of the later ones, from the shortest on
	P50, P95, Max  float64
	CPU            float64 // of ClickHouse, seconds, mean of the later times
	Statements     uint64  // of ClickHouse, each time
	RowsRead       uint64
	BytesRead      uint64
	Rows           int     // that came
	TimesOfSmaller float64 `json:",omitempty"` // P95 against that of the smaller database
}

// ask asks once. What fails once is a fault.
func (a *answerTimes) ask(
	ctx context.Context, q *question, m *meter, server int, first bool,
) {
	m.take()
	before, unknown := usageOf(server)
	start := time.Now()
	rows, err := q.ask(ctx)
	seconds := time.Since(start).Seconds()
	after, _ := usageOf(server)
	a.Statements, a.RowsRead, a.BytesRead = m.take()
	a.Rows = rows
	switch {
	case err != nil:
		a.Fault = err.Error()
	case unknown != nil:
		a.Fault = unknown.Error()
	case rows == 0 && q.some:
		a.Fault = "no rows"
	}
	if first {
		a.First = seconds
		return
	}
	a.Seconds = append(a.Seconds, seconds)
	a.CPU += after.CPU - before.CPU
}

// sum sorts the times up. Of twenty, the 95th percentile is the last but one.
func (a *answerTimes) sum() {
	slices.Sort(a.Seconds)
	n := len(a.Seconds)
	at := func(share float64) float64 {
		return a.Seconds[max(0, int(math.Ceil(share*float64(n)))-1)]
	}
	a.P50, a.P95, a.Max = at(0.5), at(0.95), at(1)
	a.CPU /= float64(n)
}

func newQueryReport(o *queryOptions) *queryReport {
	r := &queryReport{Began: time.Now(), Commit: commit(), Machine: machine(), Options: o}
	r.Loads[0] = loadAverage()
	return r
}

func (r *queryReport) finish() {
	for _, size := range r.Sizes {
		for _, a := range size.Answers {
			a.sum()
		}
	}
	if len(r.Sizes) > 1 {
		for i, a := range r.Sizes[0].Answers {
			if b := r.Sizes[1].Answers[i]; b.P95 > 0 {
				a.TimesOfSmaller = a.P95 / b.P95
			}
		}
	}
	r.Loads[1] = loadAverage()
	r.Took = time.Since(r.Began).Round(time.Second).String()
}

// fault is an error where a question failed.
func (r *queryReport) fault() error {
	var faults []error
	for _, size := range r.Sizes {
		for _, a := range size.Answers {
			if a.Fault != "" {
				faults = append(faults, fmt.Errorf("%d calls: %s: %s", size.History.Calls, a.Question,
					a.Fault))
			}
		}
	}
	return errors.Join(faults...)
}

// text is the table for people, the slowest first.
func (r *queryReport) text() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"question", "p50 ms", "p95 ms", "max ms", "first ms", "CPU ms",
		"rows read", "MB read", "times smaller"})
	answers := slices.Clone(r.Sizes[0].Answers)
	slices.SortFunc(answers, func(a, b *answerTimes) int { return int(1e6 * (b.P95 - a.P95)) })
	ms := func(seconds float64) string { return fmt.Sprintf("%.0f", seconds*1000) }
	for _, a := range answers {
		name := a.Question
		if a.Fault != "" {
			name += " FAILS"
		}
		growth := ""
		if a.TimesOfSmaller > 0 {
			growth = fmt.Sprintf("%.2f", a.TimesOfSmaller)
		}
		t.AppendRow(table.Row{name, ms(a.P50), ms(a.P95), ms(a.Max), ms(a.First), ms(a.CPU), a.RowsRead,
			fmt.Sprintf("%.1f", float64(a.BytesRead)/1e6), growth})
	}
	var columns []table.ColumnConfig
	for i := 2; i <= 9; i++ {
		columns = append(columns, table.ColumnConfig{Number: i, Align: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	out := t.Render() + "\n"
	for _, size := range r.Sizes {
		var bytes uint64
		for _, n := range size.Bytes { // a sum
			bytes += n
		}
		out += fmt.Sprintf("%d calls of %d accounts over %d closed days: %.1f GB on disk\n",
			size.History.Calls, size.History.Accounts, size.History.Days, float64(bytes)/1e9)
	}
	return out + fmt.Sprintf("%s, commit %s, %s, load %.1f before and %.1f after\n", r.Machine,
		r.Commit, r.Took, r.Loads[0], r.Loads[1])
}

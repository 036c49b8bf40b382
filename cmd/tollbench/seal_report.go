package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// sealReport is what sealing took, for growing indexes and then for shrinking days.
type sealReport struct {
	Began   time.Time
	Took    string
	Commit  string
	Machine string
	Loads   [2]float64
	Options *sealOptions
	Sizes   []*sealedSize
}

func newSealReport(o *sealOptions) *sealReport {
	r := &sealReport{Began: time.Now(), Commit: commit(), Machine: machine(), Options: o}
	r.Loads[0] = loadAverage()
	return r
}

// finish compares: the third size has the whole index and the whole day, the second half the index,
// the fourth half the day.
func (r *sealReport) finish() {
	for i := range r.Sizes[2].Steps {
		s := &r.Sizes[2].Steps[i]
		if half := r.Sizes[1].step(s.Name).CPU; half > 0 {
			s.IndexTimes = s.CPU / half
		}
		if half := r.Sizes[3].step(s.Name).CPU; half > 0 {
			s.DayTimes = s.CPU / half
		}
	}
	r.Loads[1] = loadAverage()
	r.Took = time.Since(r.Began).Round(time.Second).String()
}

// fault is an error where an answer was wrong.
func (r *sealReport) fault() error {
	var faults []error
	for _, m := range r.Sizes {
		for _, fault := range m.Faults {
			faults = append(faults, fmt.Errorf("a day of %d calls against %d: %s", m.Day, m.Index, fault))
		}
	}
	return errors.Join(faults...)
}

// text is the table for people.
func (r *sealReport) text() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"day", "index", "asked", "found", "s", "CPU s of ClickHouse", "of ours",
		"peak MiB", "times half the index", "times half the day"})
	times := func(x float64) string {
		if x == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", x)
	}
	for _, m := range r.Sizes {
		for _, s := range m.Steps {
			t.AppendRow(table.Row{m.Day, m.Index, s.Name, s.Found, fmt.Sprintf("%.1f", s.Seconds),
				fmt.Sprintf("%.1f", s.CPU), fmt.Sprintf("%.1f", s.CPUOfOurs), s.Peak >> 20,
				times(s.IndexTimes), times(s.DayTimes)})
		}
		t.AppendSeparator()
	}
	var columns []table.ColumnConfig
	for _, i := range []int{1, 2, 4, 5, 6, 7, 8, 9, 10} {
		columns = append(columns, table.ColumnConfig{Number: i, Align: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	return t.Render() + fmt.Sprintf("\n%s, commit %s, %s, load %.1f before and %.1f after\n",
		r.Machine, r.Commit, r.Took, r.Loads[0], r.Loads[1])
}

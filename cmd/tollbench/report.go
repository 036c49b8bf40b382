package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/prometheus/procfs"
)

// report is what was measured, where and when.
type report struct {
	Began   time.Time
	Took    string
	Commit  string
	Machine string
	Loads   [2]float64 // of the machine over one minute, before and after
	Options *ingestOptions
	Topic   *loaded
	Results []*result
}

func newReport(o *ingestOptions, contenders []contender) *report {
	r := &report{Began: time.Now(), Commit: commit(), Machine: machine(), Options: o}
	r.Loads[0] = loadAverage()
	for _, c := range contenders {
		r.Results = append(r.Results, &result{Name: c.name()})
	}
	return r
}

// finish sums everything up.
func (r *report) finish() {
	by := map[string]*result{}
	for _, x := range r.Results {
		by[x.Name] = x
	}
	if fetch, insert := by[fetchName], by[insertName]; fetch != nil && insert != nil {
		both := &result{Name: "floor: one after the other"}
		for i, x := range insert.Rounds {
			x = x.after(fetch.Rounds[i])
			x.Fault = insert.Rounds[i].fault() + fetch.Rounds[i].fault()
			both.Rounds = append(both.Rounds, x)
		}
		r.Results = append(r.Results, both)
	}
	var own []run
	if x := by[tollstream{}.name()]; x != nil {
		own = x.Rounds
	}
	for _, x := range r.Results {
		x.sum(own)
	}
	r.Loads[1] = loadAverage()
	r.Took = time.Since(r.Began).Round(time.Second).String()
}

// fault is an error where a contender is wrong or could not be measured.
func (r *report) fault() error {
	var faults []error
	for _, x := range r.Results {
		if x.Fault != "" {
			faults = append(faults, fmt.Errorf("%s: %s", x.Name, x.Fault))
		}
	}
	return errors.Join(faults...)
}

// text is the table for people.
func (r *report) text() string {
	t := newTable("contender", "records/s", "times slower", "CPU s/M", "ClickHouse",
		"both", "times the CPU", "peak MiB", "ClickHouse")
	for _, x := range r.Results {
		if x.Fault != "" {
			t.AppendRow(table.Row{x.Name, "-", "-", "-", "-", "-", "-", "-", "-"})
			continue
		}
		t.AppendRow(table.Row{x.Name, ranged(x.Rate, "%.0f"), ranged(x.TimesSlower, "%.2f"),
			fmt.Sprintf("%.2f", x.PipelineCPU.Median), fmt.Sprintf("%.2f", x.ClickHouseCPU.Median),
			fmt.Sprintf("%.2f", x.CPU.Median), ranged(x.TimesTheCPU, "%.2f"),
			fmt.Sprintf("%.0f", x.PipelinePeak.Median), fmt.Sprintf("%.0f", x.ClickHousePeak.Median)})
	}
	out := fmt.Sprintf("%s, commit %s, took %s\n%s; load average %.2f before, %.2f after\n"+
		"%d call records of %.0f bytes, %d partitions, %d rounds: median (least to most)\n\n%s\n",
		r.Began.Format(time.DateTime), r.Commit, r.Took, r.Machine, r.Loads[0], r.Loads[1],
		r.Topic.Records, r.Topic.BytesARecord, r.Options.Partitions, r.Options.Rounds, t.Render())
	for _, x := range r.Results {
		if x.Fault != "" {
			out += fmt.Sprintf("\n%s does not count: %s\n", x.Name, x.Fault)
		}
	}
	return out
}

// newTable begins a table whose columns after the first are numbers.
func newTable(names ...string) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(row(names...))
	var right []table.ColumnConfig
	for i := 2; i <= len(names); i++ {
		right = append(right, table.ColumnConfig{Number: i, Align: text.AlignRight,
			AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	return t
}

func row(cells ...string) table.Row {
	r := make(table.Row, len(cells))
	for i := range cells {
		r[i] = cells[i]
	}
	return r
}

func ranged(s spread, format string) string {
	return fmt.Sprintf(format+" ("+format+" to "+format+")", s.Median, s.Min, s.Max)
}

// save writes the report for programs and the chart.
func (r *report) save(folder string) error {
	return errors.Join(saveJSON(folder, "ingest.json", r),
		r.chart(filepath.Join(folder, "ingest.png")))
}

// saveJSON writes a report for programs.
func saveJSON(folder, name string, report any) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name), append(text, '\n'), 0o600)
}

// commit is the checkout's, with a mark where something was changed after it.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=9").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machine says on what was measured.
func machine() string {
	model := "unknown processor"
	if fs, err := procfs.NewDefaultFS(); err == nil {
		if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 {
			model = cpus[0].ModelName
		}
	}
	return fmt.Sprintf("%d cores of %s, %s, %s", runtime.NumCPU(), model, runtime.GOOS,
		runtime.Version())
}

// loadAverage is that of one minute; 0 where it is not known.
func loadAverage() float64 {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	load, err := fs.LoadAvg()
	if err != nil {
		return 0
	}
	return load.Load1
}

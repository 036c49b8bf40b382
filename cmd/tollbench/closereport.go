package main

import (
	"fmt"
	"strings"
	"time"
)

// closeReport is what was measured of closings, where and when.
type closeReport struct {
	Began   time.Time
	Commit  string
	Machine string
	Loads   [2]float64 // of the machine over one minute, before and after
	Options *closeOptions
	Runs    []*closeRun
	// Growth is the CPU of an account in the last run over that in the first; 0 where there is one.
	Growth float64 `json:",omitempty"`
}

func newCloseReport(o *closeOptions) *closeReport {
	return &closeReport{Began: time.Now(), Commit: commit(), Machine: machine(), Options: o,
		Loads: [2]float64{loadAverage()}}
}

func (r *closeReport) finish() {
	r.Loads[1] = loadAverage()
	if n := len(r.Runs); n > 1 {
		r.Growth = r.Runs[n-1].each(r.Runs[n-1].cpu()) / r.Runs[0].each(r.Runs[0].cpu())
	}
}

func (r *closeRun) cpu() float64 { return r.Settle.CPU + r.ClickHouse.CPU }

// each is what an account has of some seconds, in microseconds.
func (r *closeRun) each(seconds float64) float64 { return seconds / float64(r.Accounts) * 1e6 }

func (r *closeReport) text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, commit %s\n%s; load average %.2f before, %.2f after\n",
		r.Began.Format(time.DateTime), r.Commit, r.Machine, r.Loads[0], r.Loads[1])
	for _, x := range r.Runs {
		fmt.Fprintf(&out, `
%d accounts with calls of %d tags each
  closed in       %8.1f s  %8.1f us an account
  CPU             %8.1f s  %8.1f us an account
    settle        %8.1f s  %8.1f us an account, peak memory %.0f MiB
    ClickHouse    %8.1f s  %8.1f us an account, peak memory %.0f MiB
  merges after it %8.1f s  %8.1f us an account
  kernel alone    %8.1f s  %8.1f us an account, on one core
  rating alone    %8.1f s  %8.1f us an account, on one core
`, x.Accounts, len(closeActions), x.Seconds, x.each(x.Seconds), x.cpu(), x.each(x.cpu()),
			x.Settle.CPU, x.each(x.Settle.CPU), float64(x.Settle.Peak)/(1<<20),
			x.ClickHouse.CPU, x.each(x.ClickHouse.CPU), float64(x.ClickHouse.Peak)/(1<<20),
			x.Afterwards, x.each(x.Afterwards), x.Kernel.CPU, x.each(x.Kernel.CPU),
			x.Kernel.Amounts, x.each(x.Kernel.Amounts))
	}
	if r.Growth != 0 {
		fmt.Fprintf(&out, "\nan account's CPU is %.2f of that among %d accounts\n", r.Growth,
			r.Runs[0].Accounts)
	}
	return out.String()
}

package main

import (
	"fmt"
	"slices"
)

// run is one contender in one round.
type run struct {
	Fault                string `json:",omitempty"` // why it could not be measured
	Wrong                string `json:",omitempty"` // how what it stored is not right
	Records              int64
	Seconds              float64
	Pipeline, ClickHouse usage
	Resident             []uint64 `json:",omitempty"` // bytes of the pipeline, second by second
}

// fault says why the run does not count; "" where it does.
func (r run) fault() string {
	if r.Wrong != "" {
		return "WRONG: " + r.Wrong
	}
	return r.Fault
}

func (r run) String() string {
	if fault := r.fault(); fault != "" {
		return fault
	}
	text := fmt.Sprintf("%.2f s, %.0f records/s, %.2f s of CPU and %.2f s in ClickHouse", r.Seconds,
		r.rate(), r.Pipeline.CPU, r.ClickHouse.CPU)
	if parts := tenths(r.Resident); parts != nil {
		text += "; MiB resident, at most in each tenth:"
		for _, most := range parts {
			text += fmt.Sprintf(" %d", most>>20)
		}
	}
	return text
}

// rate is in records per second.
func (r run) rate() float64 { return float64(r.Records) / r.Seconds }

// perMillion is a number of CPU seconds for a million records.
func (r run) perMillion(cpu float64) float64 { return cpu / float64(r.Records) * 1e6 }

func (r run) cpu() float64 { return r.Pipeline.CPU + r.ClickHouse.CPU }

// after is a run that begins when another one has ended.
func (r run) after(first run) run {
	together := func(a, b usage) usage { return usage{a.CPU + b.CPU, max(a.Peak, b.Peak)} }
	return run{Records: r.Records, Seconds: first.Seconds + r.Seconds,
		Pipeline:   together(first.Pipeline, r.Pipeline),
		ClickHouse: together(first.ClickHouse, r.ClickHouse)}
}

// spread is the least, the median and the most of some rounds.
type spread struct{ Min, Median, Max float64 }

func spreadOf(all []float64) spread {
	n := len(all)
	if n == 0 {
		return spread{}
	}
	slices.Sort(all)
	return spread{all[0], (all[(n-1)/2] + all[n/2]) / 2, all[n-1]}
}

// result is how a contender came off.
type result struct {
	Name  string
	Fault string `json:",omitempty"` // of the first round that does not count; then nothing else does
	// Records per second.
	Rate spread
	// CPU seconds for a million records: of the process that reads, of ClickHouse, of both.
	PipelineCPU, ClickHouseCPU, CPU spread
	// MiB that were resident at most.
	PipelinePeak, ClickHousePeak spread
	// Beside tollstream, round by round: its rate over this one's, and this one's CPU over its.
	TimesSlower, TimesTheCPU spread
	Rounds                   []run
}

// sum sums up the rounds; those of tollstream are what they are compared with.
func (r *result) sum(tollstream []run) {
	var rate, slower, costlier, peak, serverPeak, cpu, pipeline, server []float64
	for i, x := range r.Rounds {
		if r.Fault = x.fault(); r.Fault != "" {
			return
		}
		rate = append(rate, x.rate())
		pipeline = append(pipeline, x.perMillion(x.Pipeline.CPU))
		server = append(server, x.perMillion(x.ClickHouse.CPU))
		cpu = append(cpu, x.perMillion(x.cpu()))
		peak = append(peak, float64(x.Pipeline.Peak)/(1<<20))
		serverPeak = append(serverPeak, float64(x.ClickHouse.Peak)/(1<<20))
		if i < len(tollstream) && tollstream[i].fault() == "" {
			slower = append(slower, tollstream[i].rate()/x.rate())
			costlier = append(costlier, x.cpu()/tollstream[i].cpu())
		}
	}
	r.Rate, r.CPU = spreadOf(rate), spreadOf(cpu)
	r.PipelineCPU, r.ClickHouseCPU = spreadOf(pipeline), spreadOf(server)
	r.PipelinePeak, r.ClickHousePeak = spreadOf(peak), spreadOf(serverPeak)
	r.TimesSlower, r.TimesTheCPU = spreadOf(slower), spreadOf(costlier)
}

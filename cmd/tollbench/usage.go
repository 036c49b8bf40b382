package main

import (
	"slices"
	"time"

	"github.com/prometheus/procfs"
)

// usage is what a process has used so far, as the kernel of Linux counts it.
type usage struct {
	CPU  float64 // seconds, all threads, user and system
	Peak uint64  // bytes, the most that was resident at once
}

// usageOf asks for the usage of a process; that of no process, 0, is nothing.
func usageOf(pid int) (usage, error) {
	if pid == 0 {
		return usage{}, nil
	}
	p, err := procfs.NewProc(pid)
	if err != nil {
		return usage{}, err
	}
	stat, err := p.Stat()
	if err != nil {
		return usage{}, err
	}
	status, err := p.NewStatus()
	return usage{CPU: stat.CPUTime(), Peak: status.VmHWM}, err
}

// watchResident notes every second what is resident of a process, until it is asked for that.
func watchResident(pid int) (stop func() []uint64) {
	ended, noted := make(chan struct{}), make(chan []uint64)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var all []uint64
		for {
			select {
			case <-tick.C:
			case <-ended:
				noted <- all
				return
			}
			if p, err := procfs.NewProc(pid); err == nil {
				if status, err := p.NewStatus(); err == nil {
					all = append(all, status.VmRSS)
				}
			}
		}
	}()
	return func() []uint64 {
		close(ended)
		return <-noted
	}
}

// tenths gives the most in each tenth of a series, or nil of a short one.
func tenths(series []uint64) []uint64 {
	var out []uint64
	for i := range 10 {
		part := series[i*len(series)/10 : (i+1)*len(series)/10]
		if len(part) == 0 {
			return nil
		}
		out = append(out, slices.Max(part))
	}
	return out
}

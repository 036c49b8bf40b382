package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
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
	cpu, err := cpuOf(pid)
	if err != nil {
		return usage{}, err
	}
	status, err := p.NewStatus()
	return usage{CPU: cpu, Peak: status.VmHWM}, err
}

// cpuOf reads a process's own clock, in seconds. /proc counts in hundredths of a second, and a
// short run can be over before the first of them.
func cpuOf(pid int) (float64, error) {
	const ofProcess = 2 // CPUCLOCK_SCHED, below the number of the process: see clock_getcpuclockid(3)
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|ofProcess), &spent); err != nil {
		return 0, fmt.Errorf("the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(spent.Nano()).Seconds(), nil
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

package main

import "github.com/prometheus/procfs"

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

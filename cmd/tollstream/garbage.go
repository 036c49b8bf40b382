package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
)

// collectOften has the garbage collector begin when the heap has grown by half, unless the
// environment says something else (GOGC). Most of what ingest has in memory are columns, in which
// there is nothing to look for, so that collecting twice as often costs little and saves a third.
//
// A closing is another matter: it makes and leaves a great many small things, and collecting by
// halves was a third of its time. Where there is one, the heap may grow to heapFree at any rate,
// and only beyond that by half.
func collectOften(roles []string) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(heapPercent)
	if slices.Contains(roles, roleSettle) {
		collectAgain(&collected{})
	}
}

const (
	heapPercent = 50
	heapFree    = 512 << 20
)

// collected is garbage: when it is collected, so is all else.
type collected struct{ _ *collected }

// collectAgain fits the percentage to what is alive, after each collection.
func collectAgain(c *collected) {
	runtime.SetFinalizer(c, func(c *collected) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		debug.SetGCPercent(growth(live[0].Value.Uint64()))
		collectAgain(c)
	})
}

// growth is by how many percent a heap of so many live bytes may grow.
func growth(live uint64) int {
	if live == 0 || live >= heapFree {
		return heapPercent
	}
	return max(heapPercent, int(min(1000, (heapFree-live)*100/live)))
}

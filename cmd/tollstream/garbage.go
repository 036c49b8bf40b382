package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
)

// heap is how much memory may be taken before garbage is collected: up to free at any rate, and
// beyond that so many percent more than what is alive. The process keeps to most by collecting
// sooner and returning what is free at once, where what is alive leaves room; 0 is no bound.
type heap struct {
	free    uint64 // bytes
	percent int
	most    uint64 // bytes
	ceiling int64  // bytes that the environment allows (GOMEMLIMIT)
}

// Most of what ingest has in memory are columns, in which there is nothing to look for, and it
// leaves little behind, so that collecting often costs it little. A closing is another matter: it
// makes and leaves a great many small things, and collecting by halves was a third of its time.
var (
	heapOfIngest = heap{free: 160 << 20, percent: 25, most: 232 << 20}
	heapOfSettle = heap{free: 640 << 20, percent: 50, most: 960 << 20}
)

// collectBy has the garbage collector begin as suits the roles, unless the environment says
// something else (GOGC); what it allows (GOMEMLIMIT) is a bound in any case. It gives what returns
// memory that one task took and the next will not, for after the task.
func collectBy(roles []string) (giveBack func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	h := heapOfIngest
	if slices.Contains(roles, roleSettle) {
		h = heapOfSettle
	}
	h.ceiling = debug.SetMemoryLimit(-1) // changes nothing
	h.collectAgain(&collected{})
	return h.giveBack
}

// collected is garbage: when it is collected, so is all else.
type collected struct{ _ *collected }

// collectAgain fits the bounds to what is alive, now and after each collection.
func (h heap) collectAgain(c *collected) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(h.growth(live[0].Value.Uint64()))
	debug.SetMemoryLimit(h.limit(live[0].Value.Uint64()))
	runtime.SetFinalizer(c, h.collectAgain)
}

// growth is by how many percent a heap of so many live bytes may grow.
func (h heap) growth(live uint64) int {
	if live == 0 || live >= h.free {
		return h.percent
	}
	return max(h.percent, int(min(1000, (h.free-live)*100/live)))
}

// Of a process most of whose memory is alive, besideHeap is what is not in the heap, and
// leastGrowth by how many percent the heap grows between two collections at least: collecting on
// and on would cost more than memory does.
const (
	besideHeap  = 24 << 20
	leastGrowth = 10
)

// limit is how much memory a process with so many live bytes may take.
func (h heap) limit(live uint64) int64 {
	if h.most == 0 {
		return h.ceiling
	}
	least := live + live*leastGrowth/100 + besideHeap
	return min(h.ceiling, int64(max(h.most, least))) // #nosec G115 -- bytes of memory
}

func (h heap) giveBack() {
	grown := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(grown)
	if grown[0].Value.Uint64()+grown[1].Value.Uint64() > h.free {
		debug.FreeOSMemory()
	}
}

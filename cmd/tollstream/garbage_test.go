package main

import "testing"

// TestGrowth: a small heap may grow to what is free, a large one by its percentage.
func TestGrowth(t *testing.T) {
	h := heap{free: 300 << 20, percent: 50}
	for live, want := range map[uint64]int{0: 50, 1 << 20: 1000, h.free / 3: 200, h.free / 2: 100,
		h.free * 2 / 3: 50, h.free: 50, 4 * h.free: 50} {
		if have := h.growth(live); have != want {
			t.Errorf("%d MiB may grow by %d %%, want %d", live>>20, have, want)
		}
	}
}

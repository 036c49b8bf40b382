package main

import "testing"

// TestGrowth: a small heap may grow to heapFree, a large one by half.
func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{0: 50, 1 << 20: 1000, heapFree / 3: 200, heapFree / 2: 100,
		heapFree * 2 / 3: 50, heapFree: 50, 4 * heapFree: 50} {
		if have := growth(live); have != want {
			t.Errorf("%d MiB may grow by %d %%, want %d", live>>20, have, want)
		}
	}
}

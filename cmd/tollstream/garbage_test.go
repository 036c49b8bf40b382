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

// TestLimit: a process keeps to its bound where what is alive leaves it room, and has room in any
// case, but for what the environment allows.
func TestLimit(t *testing.T) {
	h := heap{most: 300 << 20, ceiling: 800 << 20}
	for live, want := range map[uint64]int64{0: 300 << 20, 200 << 20: 300 << 20, 250 << 20: 300 << 20,
		300 << 20: 354 << 20, 1000 << 20: 800 << 20} {
		if have := h.limit(live); have != want {
			t.Errorf("%d MiB alive may take %d MiB, want %d", live>>20, have>>20, want>>20)
		}
	}
	if have := (heap{ceiling: 1 << 40}).limit(1 << 30); have != 1<<40 {
		t.Errorf("without a bound: %d", have)
	}
}

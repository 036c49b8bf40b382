package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestScale: one process and two store the same right answers, and the two share the partitions.
func TestScale(t *testing.T) {
	o := options(t)
	o.Records, o.Partitions = 6000, 4
	r, err := measureScale(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.fault(); err != nil {
		t.Error(err)
	}
	if len(r.One) != 1 || len(r.Two) != 1 || r.CPU.Median <= 0 || len(r.Two[0].Peaks) != 2 {
		t.Errorf("%+v", r)
	}
	if text := r.text(); !strings.Contains(text, "two over one, round by round: CPU a record ") {
		t.Error(text)
	}
	if err := saveJSON(o.Out, "scale.json", r); err != nil {
		t.Fatal(err)
	}
	if s, err := os.Stat(filepath.Join(o.Out, "scale.json")); err != nil || s.Size() < 1000 {
		t.Error(err)
	}
	r.Two[0].Parts = []int{3, 1}
	if err := r.fault(); err == nil {
		t.Error("partitions that are not shared evenly count")
	}
}

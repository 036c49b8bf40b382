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
	o.Records, o.Partitions = 4000, 4
	r, err := measureScale(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.fault(); err != nil {
		t.Error(err)
	}
	if len(r.One) != 1 || len(r.Two) != 1 || r.CPU.Median <= 0 || r.Two[0].Sweep <= 0 ||
		len(r.Two[0].Peaks) != 2 {
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

// TestAccounts: what is known of accounts is measured once all their events are stored.
func TestAccounts(t *testing.T) {
	o := options(t)
	o.Partitions = 1
	k, err := knowAccounts(t.Context(), o, 500)
	if err != nil || k.Pipeline.Peak == 0 || k.Seconds <= 0 {
		t.Fatalf("%+v, %v", k, err)
	}
	r := &accountsReport{Sizes: []known{k, {Accounts: 1500,
		Pipeline: usage{Peak: k.Pipeline.Peak + 64_000}}}}
	if text := r.text(); !strings.Contains(text, "64 bytes an account") {
		t.Error(text)
	}
}

package main

import (
	"strings"
	"testing"
)

// TestRebuild: both sizes are made again with the bills of the first place, and a database with
// other bills does not count.
func TestRebuild(t *testing.T) {
	o := options(t)
	o.Records, o.Accounts = 1000, 10
	r, err := measureRebuild(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.fault(); err != nil {
		t.Error(err)
	}
	text := r.text()
	for i, m := range r.Sizes {
		if m.Bills == 0 || m.Topic.Records < int64(900*(1+3*i)) || len(m.Rounds) != 1 ||
			len(m.Tables) < 10 || m.Rounds[0].Pipeline.CPU <= 0 || m.Rounds[0].Pipeline.Peak == 0 {
			t.Errorf("%+v", m)
		}
	}
	if !strings.Contains(text, "a record of 4 times as many costs ") {
		t.Error(text)
	}
	if err := saveJSON(o.Out, "rebuild.json", r); err != nil {
		t.Error(err)
	}
	r.Sizes[1].Rounds[0].Wrong = "2 bills, 3 in the first place, or not these"
	if err := r.fault(); err == nil || !strings.Contains(r.text(), "not counted: ") {
		t.Errorf("other bills count: %v", err)
	}
}

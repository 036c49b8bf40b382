package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollstream/deploy/embedded"
)

// options are those of a small measurement with programs built without the race detector, under
// which libchdb cannot run.
func options(t *testing.T) *ingestOptions {
	t.Helper()
	if _, err := embedded.LocateLibrary(""); err != nil {
		if os.Getenv("TOLLSTREAM_REQUIRE_EMBEDDED") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	folder := t.TempDir()
	out, err := exec.Command("go", "build", "-race=false", "-o", folder, "tollstream/cmd/tollstream",
		"tollstream/cmd/tollbench").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return &ingestOptions{Records: 3000, Accounts: 20, Partitions: 3, Rounds: 1, Seed: 1,
		Patience: 5 * time.Minute, Out: filepath.Join(folder, "out"),
		Program: filepath.Join(folder, "tollstream"), self: filepath.Join(folder, "tollbench")}
}

// TestIngest: every contender stores the same right answers, and the report has a number for each.
// One that loses a call, changes a field of one or has one too many is named and has no numbers.
func TestIngest(t *testing.T) {
	o := options(t)
	mistakes := []contender{
		mistaken{"forgetful", "ALTER TABLE call_copies DELETE WHERE call_id = (SELECT min(call_id) " +
			"FROM call_copies) SETTINGS mutations_sync = 1"},
		mistaken{"careless", "INSERT INTO call_copies SELECT * REPLACE (call_id || '-' AS call_id) " +
			"FROM call_copies LIMIT 1"},
		mistaken{"inexact", "ALTER TABLE call_copies UPDATE sdk_version = 'v0' WHERE call_id = " +
			"(SELECT min(call_id) FROM call_copies) SETTINGS mutations_sync = 1"},
	}
	r, err := measure(t.Context(), o, append(all(), mistakes...), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	table := r.text()
	for i, x := range r.Results {
		wrong := i >= len(all()) && i < len(all())+len(mistakes)
		if !wrong && (x.Fault != "" || x.Rate.Min <= 0 || x.TimesSlower.Median <= 0) {
			t.Errorf("%s: %+v", x.Name, x)
		}
		if wrong && (!strings.Contains(x.Fault, "WRONG: 1 of ") || x.Rate.Max != 0) {
			t.Errorf("%s passes: %+v", x.Name, x)
		}
		if wrong && !strings.Contains(table, x.Name+" does not count: WRONG") {
			t.Errorf("the table does not say that %s is wrong:\n%s", x.Name, table)
		}
	}
	if err := r.fault(); err == nil || !strings.Contains(err.Error(), "careless") {
		t.Errorf("the measurement's error: %v", err)
	}
	if err := r.save(o.Out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ingest.json", "ingest.png"} {
		if s, err := os.Stat(filepath.Join(o.Out, name)); err != nil || s.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTenths: what a long run has resident shows in its line, a short one's does not.
func TestTenths(t *testing.T) {
	one := run{Records: 1, Seconds: 1}
	for i := range uint64(25) {
		one.Resident = append(one.Resident, i<<20)
	}
	const want = "; MiB resident, at most in each tenth: 1 4 6 9 11 14 16 19 21 24"
	if text := one.String(); !strings.HasSuffix(text, want) {
		t.Error(text)
	}
	one.Resident = one.Resident[:9]
	if text := one.String(); strings.Contains(text, "resident") {
		t.Error(text)
	}
}

// TestNothingCounts: a report in which nobody counts says so, and still is one.
func TestNothingCounts(t *testing.T) {
	r := newReport(&ingestOptions{}, []contender{usual{}})
	r.Topic, r.Results[0].Rounds = &loaded{}, []run{{Fault: "ended"}}
	r.finish()
	err := r.save(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "no contender counts") {
		t.Errorf("save: %v", err)
	}
	if text := r.text(); !strings.Contains(text, "usual Go does not count: ended") {
		t.Errorf("the table:\n%s", text)
	}
}

// mistaken inserts the right rows and then makes a mistake.
type mistaken struct{ called, mistake string }

func (m mistaken) name() string { return m.called }

func (m mistaken) start(ctx context.Context, t *target) (reading, error) {
	r, err := insertFloor{}.start(ctx, t)
	return mistakenReading{r, t, m.mistake}, err
}

type mistakenReading struct {
	reading
	target  *target
	mistake string
}

func (m mistakenReading) done(ctx context.Context) error {
	if err := m.reading.done(ctx); err != nil {
		return err
	}
	return m.target.conn.Exec(ctx, m.mistake)
}

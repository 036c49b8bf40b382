package observe

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

const metricsDocument = "../../docs/metrics.md"

// TestMetricsDocument keeps docs/metrics.md what the program registers, and makes sure that what
// the program registers is what a scrape finds.
func TestMetricsDocument(t *testing.T) {
	families, m := gathered(t)
	all := m.Descriptions()
	for _, f := range families {
		i := slices.IndexFunc(all, func(d Description) bool { return d.Name == f.GetName() })
		if i < 0 {
			t.Errorf("%s is served and not described", f.GetName())
			continue
		}
		d := all[i]
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		if kind := strings.ToLower(f.GetType().String()); kind != d.Type || f.GetHelp() != d.Help ||
			!sameSet(labels, d.Labels) {
			t.Errorf("%s: described as %+v, served as %s %v: %s", d.Name, d, kind, labels, f.GetHelp())
		}
	}
	if len(families) != len(all) {
		t.Errorf("%d metrics are described, %d served; use() sets each of them", len(all),
			len(families))
	}
	want := document(all)
	if *update {
		if err := os.WriteFile(metricsDocument, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(metricsDocument)
	if err != nil || !bytes.Equal(have, want) {
		t.Errorf("docs/metrics.md is not what the program says: go test ./pipeline/observe -run "+
			"TestMetricsDocument -update (%v)", err)
	}
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// units says what the last words of a name mean, the more special first.
var units = []struct{ suffix, unit string }{
	{"_timestamp_seconds", "seconds since 1970"}, {"_seconds", "seconds"}, {"_bytes", "bytes"},
	{"_info", ""}, {"_amount_total", "currency"}, {"_offset", "offset"},
	{"_ready", "0 or 1"}, {"_leads", "0 or 1"}, {"_unbalanced", "0 or 1"},
	{"records_total", "offsets"}, {"_records", "records"}, {"records_read_total", "offsets"},
	{"records_decoded_total", "records"}, {"records_quarantined_total", "records"},
	{"_codes_total", "calls"}, {"_failures_total", "tries"}, {"_errors_total", "errors"},
	{"_closed_total", "calls"}, {"_late_total", "calls"}, {"_conflicts_total", "copies"},
	{"_closings_total", "closings"}, {"_bills_total", "bills"}, {"_changes_total", "changes"},
	{"_accounts", "accounts"}, {"_packages", "packages"}, {"_differences", "differences"},
	{"_closings", "closings"}, {"_bills", "bills"},
}

func document(all []Description) []byte {
	var b bytes.Buffer
	b.WriteString(strings.ReplaceAll(`# Metrics

Made from what the program registers: ~go test ./pipeline/observe -run TestMetricsDocument -update~
writes this page, and the test fails while it says anything else. Every process of ~run~ and ~demo~
serves all of them on ~/metrics~ (~http.listen~); those of a role move only in processes that have
it. A rebuild writes its own to a file. The collectors of Go and of the process (~go_*~,
~process_*~) are served as well. Accounts and calls are never labels: ask ClickHouse.
The alerts on these metrics are in [rules.yml](../deploy/prometheus/rules.yml), with a page each in
[runbooks](runbooks).

| name | type | unit | labels | role | meaning |
|---|---|---|---|---|---|
`, "~", "`"))
	for _, d := range all {
		unit := "?"
		for _, u := range units {
			if strings.HasSuffix(d.Name, u.suffix) {
				unit = u.unit
				break
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Name, d.Type, unit,
			strings.Join(d.Labels, ", "), d.Role, d.Help)
	}
	return b.Bytes()
}

// TestRebuiltFile: a rebuild's metrics are a file that the textfile collector reads, replaced as a
// whole.
func TestRebuiltFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tollstream.prom")
	for differences := range int64(2) {
		r := Rebuilt{Closings: 31, Bills: 62, Differences: differences, At: time.Unix(1700000000, 0)}
		if err := WriteRebuilt(file, r); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"tollstream_rebuild_closings 31", "tollstream_rebuild_bills 62",
			fmt.Sprint("tollstream_rebuild_differences ", differences),
			"tollstream_rebuild_finished_timestamp_seconds 1.7e+09"} {
			if !strings.Contains(string(text), line+"\n") {
				t.Errorf("missing: %s", line)
			}
		}
	}
	if err := WriteRebuilt(filepath.Join(file, "x"), Rebuilt{}); err == nil {
		t.Error("a file that cannot be written is no error")
	}
}

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tollstream/deploy/grafana"
)

const dashboardsFile = "testdata/dashboards.txt"

var (
	updateDashboards = flag.Bool("update-dashboards", false, "write "+dashboardsFile)
	panelsFolder     = flag.String("panels", "",
		"keep in this folder what ClickHouse answers the panels, to be drawn")
)

// The demo's month in Shanghai, in seconds since 1970: its first and its last one.
const monthFrom, monthTo = 1675180800, 1677599999

// wallClock are columns that say when the test ran.
var wallClock = []string{"finished_at", "delay"}

// checkDashboards asks what the panels ask ClickHouse, and compares the rows. Open days are as of a
// sweep, so it waits for one that saw everything.
func checkDashboards(t *testing.T, server string) {
	t.Helper()
	now := tsv(t, server, "SELECT now64(6, 'Asia/Shanghai') AS now")[1][0]
	eventually(t, "a sweep of the open usage", func() (bool, string) {
		swept := tsv(t, server, "SELECT as_of FROM usage_sweeps WHERE as_of > '"+now+"'")
		return len(swept) > 1, "no sweep since " + now
	})
	have := panelRows(t, server)
	if *updateDashboards {
		if err := os.WriteFile(dashboardsFile, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(dashboardsFile)
	if err != nil {
		t.Fatal(err)
	}
	if have != string(want) {
		t.Errorf("the panels do not show what %s says (-update-dashboards):\n%s", dashboardsFile,
			firstPanelDifference(have, string(want)))
	}
	if *panelsFolder != "" {
		keepPanels(t, server)
	}
}

// eachPanel gives the panels that ask ClickHouse, with what they ask on the demo.
func eachPanel(t *testing.T, do func(page, title, sql string)) {
	t.Helper()
	list, err := grafana.Questions(time.Unix(monthFrom, 0), time.Unix(monthTo, 0), "1300000002")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range list {
		do(q.Page, q.Title, q.SQL)
	}
}

func panelRows(t *testing.T, server string) string {
	t.Helper()
	var out strings.Builder
	eachPanel(t, func(page, title, sql string) {
		rows := tsv(t, server, sql)
		if len(rows) < 2 {
			t.Errorf("%s: %s: no row\n%s", page, title, sql)
		}
		fmt.Fprintf(&out, "## %s: %s\n", page, title)
		for _, r := range rows {
			fmt.Fprintln(&out, strings.Join(r, "\t"))
		}
	})
	return out.String()
}

// keepPanels keeps the answers with the types of their columns, for deploy/grafana/preview.
func keepPanels(t *testing.T, server string) {
	t.Helper()
	answers := map[string]map[string]json.RawMessage{}
	eachPanel(t, func(page, title, sql string) {
		if answers[page] == nil {
			answers[page] = map[string]json.RawMessage{}
		}
		answers[page][title] = query(t, server, sql,
			"JSONCompact SETTINGS date_time_output_format = 'unix_timestamp'")
	})
	text, err := json.Marshal(map[string]any{"from": monthFrom * 1000, "to": monthTo * 1000,
		"pages": answers})
	if err == nil {
		err = os.WriteFile(filepath.Join(*panelsFolder, "clickhouse.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// query asks as the dashboards' user may, and gives the answer in a format.
func query(t *testing.T, server, sql, format string) []byte {
	t.Helper()
	response, err := http.Post(server+"/?database=billing&readonly=2", "text/plain",
		strings.NewReader(sql+"\nFORMAT "+format))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s\n%s %v %s", sql, response.Status, err, answer)
	}
	return answer
}

// tsv gives the rows below their header, without the columns of the wall clock.
func tsv(t *testing.T, server, sql string) [][]string {
	t.Helper()
	answer := query(t, server, sql, "TSVWithNames")
	var rows [][]string
	var left []int
	for line := range strings.Lines(string(answer)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if rows == nil {
			for i, name := range fields {
				if !slices.Contains(wallClock, name) {
					left = append(left, i)
				}
			}
		}
		row := make([]string, len(left))
		for i, at := range left {
			row[i] = fields[at]
		}
		rows = append(rows, row)
	}
	return rows
}

func firstPanelDifference(have, want string) string {
	a, b := strings.Split(have, "\n"), strings.Split(want, "\n")
	title := ""
	for i := range min(len(a), len(b)) {
		if strings.HasPrefix(a[i], "## ") {
			title = a[i]
		}
		if a[i] != b[i] {
			return fmt.Sprintf("%s\nhave %s\nwant %s", title, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, not %d", len(a), len(b))
}

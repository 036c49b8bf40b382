package grafana

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var update = flag.Bool("update", false, "write dashboards/*.json")

func all(t *testing.T) []Dashboard {
	t.Helper()
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestFiles wants the files to be what is made here, and nothing else to lie beside them.
func TestFiles(t *testing.T) {
	names := map[string]bool{}
	for _, d := range all(t) {
		want, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		names[d.File()] = true
		if *update {
			if err := os.WriteFile(d.File(), want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(d.File())
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not what the package makes (%v): go test ./deploy/grafana -update", d.File(),
				err)
		}
	}
	files, err := os.ReadDir("dashboards")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !names["dashboards/"+f.Name()] {
			t.Errorf("nothing makes dashboards/%s", f.Name())
		}
	}
}

// known are the units of Grafana that the pages use. It shows the name of one that it does not know
// behind each number.
var known = []string{"none", "short", "s", "cps", "recps", "percentunit", "dateTimeAsIso", yuan}

// TestUnitsAndKinds: Grafana knows the units, and the preview draws the kinds of panels.
func TestUnitsAndKinds(t *testing.T) {
	drawn, err := os.ReadFile("preview/kinds.js")
	if err != nil {
		t.Fatal(err)
	}
	_, exported, _ := strings.Cut(string(drawn), "module.exports = { kinds: {")
	kinds := strings.FieldsFunc(exported, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, d := range all(t) {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, unit := range append(slices.Collect(maps.Values(p.Units)), p.Unit) {
					if !slices.Contains(known, unit) {
						t.Errorf("%s: %s: unit %q", d.UID, p.Title, unit)
					}
				}
				if !slices.Contains(kinds, p.Kind) {
					t.Errorf("%s: %s: preview/kinds.js draws no %q", d.UID, p.Title, p.Kind)
				}
			}
		}
	}
}

// TestPanelsAreWhole: every panel says what it shows, in a unit, and asks something. What it asks
// Prometheus is read by deploy/prometheus, what it asks ClickHouse is tried by TestDemo.
func TestPanelsAreWhole(t *testing.T) {
	for _, d := range all(t) {
		titles := map[string]bool{}
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				name := d.UID + ": " + p.Title
				if titles[p.Title] {
					t.Errorf("%s: twice", name)
				}
				titles[p.Title] = true
				if p.Title == "" || !strings.HasSuffix(p.Description, ".") || p.Unit == "" ||
					p.Width < 5 || p.Width > 24 || p.Height < 5 {
					t.Errorf("%s: lacks a title, a description, a unit or a size", name)
				}
				if (p.SQL == "") == (len(p.PromQL) == 0) {
					t.Errorf("%s: has to have either SQL or PromQL", name)
				}
				if strings.Contains(p.SQL, "${account}") && !d.Accounts {
					t.Errorf("%s: there is no variable account", name)
				}
				for _, q := range p.PromQL {
					if p.Kind == Lines && q.Legend == "" {
						t.Errorf("%s: its series have no names", name)
					}
				}
			}
		}
	}
}

// TestLayout: panels have ids of their own, lie within the page and not on each other, and take
// their data from variables.
func TestLayout(t *testing.T) {
	type place struct{ X, Y, W, H int }
	for _, d := range all(t) {
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Timezone string
			Panels   []struct {
				ID         int
				Title      string
				Type       string
				GridPos    place
				Datasource struct{ UID string }
			}
		}
		if err := json.Unmarshal(text, &page); err != nil {
			t.Fatal(err)
		}
		if page.Timezone != Zone {
			t.Errorf("%s: time zone %q", d.UID, page.Timezone)
		}
		taken, ids := map[[2]int]string{}, map[int]bool{}
		for _, p := range page.Panels {
			if ids[p.ID] || p.ID == 0 {
				t.Errorf("%s: %s has the id %d of another", d.UID, p.Title, p.ID)
			}
			ids[p.ID] = true
			if p.Type != "row" && !strings.HasPrefix(p.Datasource.UID, "${") {
				t.Errorf("%s: %s asks %q, no variable", d.UID, p.Title, p.Datasource.UID)
			}
			if p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: %s is too wide", d.UID, p.Title)
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if on := taken[at]; on != "" {
						t.Fatalf("%s: %s lies on %s", d.UID, p.Title, on)
					}
					taken[at] = p.Title
				}
			}
		}
	}
}

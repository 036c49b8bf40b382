package prometheus

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
)

var panelsFolder = flag.String("panels", "",
	"keep in this folder what the engine answers the panels over -scrapes, to be drawn")

// every is the step of a range query, and rateInterval what Grafana makes of scrapes that often.
const (
	every        = 15 * time.Second
	rateInterval = "1m"
)

// moment is a time at which somebody looks at the dashboards, with what they show then.
type moment struct {
	Name  string                         `json:"name"`
	From  int64                          `json:"from"` // milliseconds since 1970, like To
	To    int64                          `json:"to"`
	Pages map[string]map[string][]answer `json:"pages"` // by uid and title
}

// answer is a series that a panel's query gave.
type answer struct {
	Ref    string            `json:"ref"`
	Labels map[string]string `json:"labels"`
	Points [][2]string       `json:"points"` // milliseconds since 1970, value; NaN is one
}

// TestPanels asks the engine what the panels ask Prometheus: a minute after each trouble of the
// scrapes began, and at their end. A panel has to show something at one of these moments, unless
// it says what it means to be empty.
func TestPanels(t *testing.T) {
	if *scrapesFolder == "" || *panelsFolder == "" {
		t.Skip("no -scrapes and -panels; make dashboards-preview gives them")
	}
	all, phases, last := readScrapes(t, *scrapesFolder)
	e := newEvaluator(t, nil, all)
	looks := []moment{{Name: "end", To: last.Add(2 * every).UnixMilli()}}
	for _, p := range phases {
		if len(p.alerts) > 0 {
			looks = append(looks, moment{Name: p.name, To: p.from.Add(soon).UnixMilli()})
		}
	}
	panels := readPanels(t)
	shown := map[*panel]bool{}
	for i := range looks {
		look := &looks[i]
		look.From, look.Pages = phases[0].from.UnixMilli(), map[string]map[string][]answer{}
		for j := range panels {
			p := &panels[j]
			if look.Pages[p.page] == nil {
				look.Pages[p.page] = map[string][]answer{}
			}
			answers := e.answers(p, look)
			look.Pages[p.page][p.Title] = answers
			shown[p] = shown[p] || len(answers) > 0
		}
	}
	for i := range panels {
		p := &panels[i]
		if !shown[p] && p.FieldConfig.Defaults.NoValue == "" {
			t.Errorf("%s: %s: never shows anything, and does not say that it may", p.page, p.Title)
		}
	}
	text, err := json.Marshal(looks)
	if err == nil {
		err = os.WriteFile(filepath.Join(*panelsFolder, "prometheus.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// panel is one that asks Prometheus, as Grafana reads it.
type panel struct {
	page    string // the dashboard's uid
	Title   string
	Targets []struct {
		RefID   string
		Expr    string
		Instant bool
	}
	FieldConfig struct{ Defaults struct{ NoValue string } }
}

// readPanels gives the panels of all dashboards that ask Prometheus.
func readPanels(t *testing.T) []panel {
	t.Helper()
	files, err := filepath.Glob("../grafana/dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var asked []panel
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			UID    string
			Panels []panel
		}
		if err := json.Unmarshal(text, &page); err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Panels {
			if len(p.Targets) > 0 && p.Targets[0].Expr != "" {
				p.page = page.UID
				asked = append(asked, p)
			}
		}
	}
	return asked
}

// answers asks for all of a panel's series: over the range of time, or as of its end.
func (e *evaluator) answers(p *panel, look *moment) []answer {
	e.t.Helper()
	found := []answer{}
	for _, target := range p.Targets {
		from := time.UnixMilli(look.From)
		if target.Instant {
			from = time.UnixMilli(look.To)
		}
		q, err := e.engine.NewRangeQuery(e.t.Context(), e.series, nil,
			strings.ReplaceAll(target.Expr, "$__rate_interval", rateInterval), from,
			time.UnixMilli(look.To), every)
		if err != nil {
			e.t.Fatalf("%s: %v", p.Title, err)
		}
		for _, s := range e.matrix(q) {
			a := answer{Ref: target.RefID, Labels: s.Metric.Map()}
			for _, point := range s.Floats {
				a.Points = append(a.Points, [2]string{fmt.Sprint(point.T), fmt.Sprint(point.F)})
			}
			found = append(found, a)
		}
		q.Close()
	}
	return found
}

func (e *evaluator) matrix(q promql.Query) promql.Matrix {
	e.t.Helper()
	m, err := q.Exec(e.t.Context()).Matrix()
	if err != nil {
		e.t.Fatal(err)
	}
	return m
}

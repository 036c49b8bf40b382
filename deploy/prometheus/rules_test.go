package prometheus

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// unitTests is a file in the format of promtool test rules, as far as ours uses it.
type unitTests struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []unitTest     `yaml:"tests"`
}

type unitTest struct {
	Name        string         `yaml:"name"`
	Interval    model.Duration `yaml:"interval"`
	InputSeries []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []struct {
		At     model.Duration `yaml:"eval_time"`
		Name   string         `yaml:"alertname"`
		Expect []alert        `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

// TestRules runs rules_test.yml. Each alert has to be seen firing there, and seen silent.
func TestRules(t *testing.T) {
	text, err := os.ReadFile("rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file unitTests
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	fired, silent := map[string]bool{}, map[string]bool{}
	for i := range file.Tests {
		test := &file.Tests[i]
		t.Run(test.Name, func(t *testing.T) {
			test.run(t, time.Duration(file.EvaluationInterval))
			for _, a := range test.Alerts {
				if len(a.Expect) > 0 {
					fired[a.Name] = true
				} else {
					silent[a.Name] = true
				}
			}
		})
	}
	for _, r := range readRules(t) {
		if !fired[r.Alert] || !silent[r.Alert] {
			t.Errorf("%s: firing in a test: %v, silent in one: %v", r.Alert, fired[r.Alert],
				silent[r.Alert])
		}
	}
}

func (test *unitTest) run(t *testing.T, every time.Duration) {
	t.Helper()
	start, all := time.Unix(0, 0), series{}
	for _, in := range test.InputSeries {
		l, values, err := promQL.ParseSeriesDesc(in.Series + " " + in.Values)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if !v.Omitted {
				all.add(l, start.Add(time.Duration(i)*time.Duration(test.Interval)), v.Value)
			}
		}
	}
	end := time.Duration(0)
	for _, a := range test.Alerts {
		end = max(end, time.Duration(a.At))
	}
	e := newEvaluator(t, readRules(t), all)
	for at := time.Duration(0); at <= end; at += every {
		firing := e.step(start.Add(at))
		for _, a := range test.Alerts {
			if time.Duration(a.At) == at && !same(firing[a.Name], a.Expect) {
				got, _ := yaml.Marshal(firing[a.Name])
				t.Errorf("%s at %s fires with\n%s", a.Name, a.At, got)
			}
		}
	}
}

// TestRulesNameWhatThereIs: every metric of a rule is in docs/metrics.md, with the labels that the
// rule asks for.
func TestRulesNameWhatThereIs(t *testing.T) {
	known := readMetrics(t)
	for _, r := range readRules(t) {
		checkNames(t, known, r.Alert, r.Expr)
		if r.Labels["severity"] == "" || r.Annotations["summary"] == "" ||
			!strings.Contains(r.Annotations["description"], "$value") {
			t.Errorf("%s: severity, summary, or a description with the number is missing", r.Alert)
		}
	}
}

// TestDashboardsNameWhatThereIs: what the panels ask Prometheus is PromQL over metrics that exist.
func TestDashboardsNameWhatThereIs(t *testing.T) {
	known, asked := readMetrics(t), readPanels(t)
	for _, p := range asked {
		for _, q := range p.Targets {
			checkNames(t, known, p.page+": "+p.Title,
				strings.ReplaceAll(q.Expr, "$__rate_interval", rateInterval))
		}
	}
	if len(asked) == 0 {
		t.Error("no panel asks Prometheus")
	}
}

// readMetrics gives the labels of the metrics in docs/metrics.md.
func readMetrics(t *testing.T) map[string][]string {
	t.Helper()
	document, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{}
	row := regexp.MustCompile("(?m)^\\| `(tollstream_[a-z_]+)` \\| ([a-z]+) \\|[^|]*\\|([^|]*)\\|")
	for _, m := range row.FindAllSubmatch(document, -1) {
		name, labels := string(m[1]), strings.Split(strings.TrimSpace(string(m[3])), ", ")
		known[name] = labels
		if string(m[2]) == "histogram" {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				known[name+part] = append([]string{"le"}, labels...)
			}
		}
	}
	return known
}

func checkNames(t *testing.T, known map[string][]string, where, text string) {
	t.Helper()
	expr, err := promQL.ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		s, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		has, there := known[s.Name]
		if !there {
			t.Errorf("%s: no metric %s in docs/metrics.md", where, s.Name)
		}
		for _, m := range s.LabelMatchers {
			if m.Name != model.MetricNameLabel && !slices.Contains(has, m.Name) {
				t.Errorf("%s: %s has no label %s", where, s.Name, m.Name)
			}
		}
		return nil
	})
}

// runbookParts are the headings of every page.
var runbookParts = []string{"## What it means", "## What customers feel", "## How to look",
	"## What to do", "## When it clears"}

// TestRunbooks: each alert has a page and a row in the operator's manual, each page an alert, and
// all pages have the same parts.
func TestRunbooks(t *testing.T) {
	const folder = "../../docs/runbooks/"
	pages, err := filepath.Glob(folder + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readRules(t) {
		page := folder + r.Alert + ".md"
		if i := slices.Index(pages, page); i >= 0 {
			pages = slices.Delete(pages, i, i+1)
		}
		if r.Annotations["runbook_url"] != "docs/runbooks/"+r.Alert+".md" {
			t.Errorf("%s: runbook_url is %s", r.Alert, r.Annotations["runbook_url"])
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Error(err)
		}
		at := 0
		for _, part := range append([]string{"# " + r.Alert + "\n"}, runbookParts...) {
			next := strings.Index(string(text)[at:], part)
			if next < 0 {
				t.Errorf("%s: no %q, or not in its place", page, part)
				break
			}
			at += next
		}
	}
	for _, page := range pages {
		t.Errorf("%s is about no alert", page)
	}
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readRules(t) {
		row := fmt.Sprintf("| [%s](runbooks/%s.md) | %s |", r.Alert, r.Alert, r.Labels["severity"])
		if !strings.Contains(string(manual), row) {
			t.Errorf("docs/operations.md has no row %s", row)
		}
	}
}

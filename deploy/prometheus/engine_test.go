package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

const rulesFile = "rules.yml"

var promQL = parser.NewParser(parser.Options{})

// readRules gives the alerts of rules.yml as Prometheus reads them.
func readRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, promQL, promslog.NewNopLogger())
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	var rules []rulefmt.Rule
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// series are samples in memory, by their labels; each list is in the order of time.
type series map[string]*entry

type entry struct {
	labels  labels.Labels
	samples []chunks.Sample
}

func (s series) add(l labels.Labels, at time.Time, value float64) {
	key := l.String()
	if s[key] == nil {
		s[key] = &entry{labels: l}
	}
	s[key].samples = append(s[key].samples, point{at.UnixMilli(), value})
}

// point is one sample.
type point struct {
	at    int64 // milliseconds since 1970
	value float64
}

func (p point) T() int64                      { return p.at }
func (p point) ST() int64                     { return 0 }
func (p point) F() float64                    { return p.value }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }

// Querier and Select are what the engine asks.
func (s series) Querier(int64, int64) (storage.Querier, error) { return querier{s}, nil }

type querier struct{ series }

func (q querier) Select(
	_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher,
) storage.SeriesSet {
	found := &set{at: -1}
	for _, key := range slices.Sorted(maps.Keys(q.series)) {
		e := q.series[key]
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool {
			return !m.Matches(e.labels.Get(m.Name))
		}) {
			found.list = append(found.list, storage.NewListSeries(e.labels, e.samples))
		}
	}
	slices.SortFunc(found.list, func(a, b storage.Series) int {
		return labels.Compare(a.Labels(), b.Labels())
	})
	return found
}

func (querier) LabelValues(
	context.Context, string, *storage.LabelHints, ...*labels.Matcher,
) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) LabelNames(
	context.Context, *storage.LabelHints, ...*labels.Matcher,
) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) Close() error { return nil }

type set struct {
	list []storage.Series
	at   int
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.list) }
func (s *set) At() storage.Series                { return s.list[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// alert is an alert that fires.
type alert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// evaluator evaluates rules moment after moment, as a Prometheus server would.
type evaluator struct {
	t      *testing.T
	engine *promql.Engine
	rules  []rulefmt.Rule
	series series
	since  map[string]time.Time // of alerts that are pending or fire, by rule and labels
}

func newEvaluator(t *testing.T, rules []rulefmt.Rule, s series) *evaluator {
	return &evaluator{t: t, rules: rules, series: s, since: map[string]time.Time{},
		engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute,
			EnableAtModifier: true, EnableNegativeOffset: true, Parser: promQL})}
}

func (e *evaluator) query(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
	q, err := e.engine.NewInstantQuery(ctx, e.series, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	r := q.Exec(ctx)
	if r.Err != nil {
		return nil, r.Err
	}
	v, err := r.Vector()
	return slices.Clone(v), err
}

// step evaluates every rule at a moment and gives the alerts that fire, by name.
func (e *evaluator) step(at time.Time) map[string][]alert {
	e.t.Helper()
	firing, seen := map[string][]alert{}, map[string]bool{}
	for i := range e.rules {
		r := &e.rules[i]
		found, err := e.query(e.t.Context(), r.Expr, at)
		if err != nil {
			e.t.Fatalf("%s: %v", r.Alert, err)
		}
		for _, sample := range found {
			if math.IsNaN(sample.F) && !strings.Contains(r.Expr, "absent") {
				e.t.Errorf("%s gives NaN for %v", r.Alert, sample.Metric)
			}
			key := r.Alert + sample.Metric.String()
			seen[key] = true
			if _, known := e.since[key]; !known {
				e.since[key] = at
			}
			if at.Sub(e.since[key]) >= time.Duration(r.For) {
				firing[r.Alert] = append(firing[r.Alert], e.expand(r, sample, at))
			}
		}
	}
	maps.DeleteFunc(e.since, func(key string, _ time.Time) bool { return !seen[key] })
	return firing
}

// expand gives an alert with its texts, as rules.alerting of Prometheus makes them.
func (e *evaluator) expand(r *rulefmt.Rule, sample promql.Sample, at time.Time) alert {
	a := alert{Labels: sample.Metric.Map(), Annotations: map[string]string{}}
	data := template.AlertTemplateData(sample.Metric.Map(), nil, "", sample)
	text := func(s string) string {
		const variables = "{{$labels := .Labels}}{{$value := .Value}}"
		out, err := template.NewTemplateExpander(e.t.Context(), variables+s, r.Alert, data,
			model.TimeFromUnixNano(at.UnixNano()), e.query, &url.URL{}, nil).Expand()
		if err != nil || strings.Contains(out, "<no value>") {
			e.t.Errorf("%s: %q: %s %v", r.Alert, s, out, err)
		}
		return out
	}
	for name, value := range r.Labels {
		a.Labels[name] = text(value)
	}
	for name, value := range r.Annotations {
		a.Annotations[name] = text(value)
	}
	delete(a.Labels, model.MetricNameLabel)
	return a
}

// same compares alerts without regard to their order.
func same(a, b []alert) bool {
	order := func(x, y alert) int { return cmp.Compare(fmt.Sprint(x), fmt.Sprint(y)) }
	a, b = slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order)
	return slices.EqualFunc(a, b, func(x, y alert) bool { return fmt.Sprint(x) == fmt.Sprint(y) })
}

package prometheus

import (
	"flag"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

var scrapesFolder = flag.String("scrapes", "",
	"folder that TestTroubleShows of cmd/tollstream filled with scrapes")

// soon is within which an alert has to show its cause.
const soon = time.Minute

// expectedAtEnd fire at the end of those scrapes, each for what the test does.
var expectedAtEnd = map[string]string{
	"TollstreamClosingOverdue": "the test's clock is a day behind, and alerts go by the machine's",
}

// phase is a part of the scrapes: a trouble with the alerts that have to come, or none.
// An alert is a name, or a name and a value that one of its labels has: TollstreamX=kafka.
type phase struct {
	name   string
	from   time.Time
	alerts []string
}

// TestScrapes evaluates the alerts, as Prometheus would, over what a pipeline showed while its
// servers were taken away. Within a minute of each trouble the alerts fire that name it, and once
// all troubles are over and time has passed, none fires.
func TestScrapes(t *testing.T) {
	if *scrapesFolder == "" {
		t.Skip("no -scrapes; make alerts-test gives them")
	}
	all, phases, last := readScrapes(t, *scrapesFolder)
	if len(phases) < 5 {
		t.Fatalf("%d phases", len(phases))
	}
	e := newEvaluator(t, readRules(t), all)
	first := map[string]time.Time{} // in the phase at hand
	check := func(p phase, until time.Time) {
		for _, name := range p.alerts {
			if at, fired := first[name]; !fired {
				t.Errorf("%s did not fire between %s and %s", name, p.from, until)
			} else {
				t.Logf("%s after %s", name, at.Sub(p.from).Round(time.Second))
				if at.Sub(p.from) > soon {
					t.Errorf("%s fired only after %s", name, at.Sub(p.from))
				}
			}
		}
		clear(first)
	}
	now, firing := 0, map[string][]alert{}
	for at := phases[0].from; at.Before(last.Add(15 * time.Minute)); at = at.Add(15 * time.Second) {
		for now+1 < len(phases) && !at.Before(phases[now+1].from) {
			check(phases[now], at)
			now++
		}
		firing = e.step(at)
		for _, want := range phases[now].alerts {
			if _, before := first[want]; !before && fires(firing, want) {
				first[want] = at
			}
		}
	}
	for name, list := range firing {
		if expectedAtEnd[name] == "" {
			t.Errorf("%s still fires at the end: %v", name, list)
		}
	}
}

// fires tells whether an alert of a phase is among those that fire.
func fires(firing map[string][]alert, want string) bool {
	name, value, labelled := strings.Cut(want, "=")
	return slices.ContainsFunc(firing[name], func(a alert) bool {
		return !labelled || slices.Contains(slices.Collect(maps.Values(a.Labels)), value)
	})
}

// readScrapes reads the folder's files, named by their milliseconds since 1970. The last scrape of
// each process is repeated for a while: nothing happened after it.
func readScrapes(t *testing.T, folder string) (all series, phases []phase, last time.Time) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	all, ends := series{}, map[string]string{}
	for _, file := range files {
		stamp, kind, _ := strings.Cut(filepath.Base(file), ".")
		ms, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if last = time.UnixMilli(ms); kind == "phase" {
			words := strings.Fields(string(text))
			phases = append(phases, phase{words[0], last, words[1:]})
			continue
		}
		all.scrape(t, kind, last, string(text))
		ends[kind] = string(text)
	}
	for instance, text := range maps.All(ends) {
		for d := 5 * time.Second; d < 20*time.Minute; d += 15 * time.Second {
			all.scrape(t, instance, last.Add(d), text)
		}
	}
	return all, phases, last
}

// scrape adds what a process showed. What it showed before and shows no longer is marked as ended,
// as a server does.
func (s series) scrape(t *testing.T, instance string, at time.Time, text string) {
	t.Helper()
	defer func() {
		for _, e := range s {
			newest := e.samples[len(e.samples)-1]
			if e.labels.Get("instance") == instance && newest.T() < at.UnixMilli() &&
				!value.IsStaleNaN(newest.F()) {
				s.add(e.labels, at, math.Float64frombits(value.StaleNaN))
			}
		}
	}()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if !strings.HasPrefix(line, "tollstream_") || i < 0 {
			continue
		}
		l, err := promQL.ParseMetric(line[:i])
		if err != nil {
			t.Fatal(err)
		}
		shown, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		b := labels.NewBuilder(l)
		b.Set("instance", instance)
		s.add(b.Labels(), at, shown)
	}
}

// Package catalogtest runs the examples that stand beside a catalogue: calls with the tags they
// must get, packages with the calls they must reach, months with the money they must cost. Finance
// writes them (the format is in schemas/catalog/README.md); the engine's own parser and judge run
// them. It owns the example format and a small price calculation of its own, deliberately apart
// from the rating that makes bills, so that the two can disagree.
package catalogtest

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/tagging"
)

// ExampleResult is the outcome of one example.
type ExampleResult struct {
	Name string
	Line int
	// Diffs says where the catalogue differs from what the example expects; empty when it agrees.
	Diffs []string
}

// OK tells whether the catalogue says what the example expects.
func (r ExampleResult) OK() bool { return len(r.Diffs) == 0 }

// RunExamples runs a file of examples against a catalogue. The error is about the file itself: it
// lists all its faults as file:line:col: what; what to do.
func RunExamples(cat *catalog.Catalog, name string, data []byte) ([]ExampleResult, error) {
	r, root := catalog.OpenYAML(name, data)
	if root == nil {
		return nil, r.Err()
	}
	run := &runner{Reader: r, cat: cat}
	f := r.Fields(root, "the examples", "format", "examples", "note")
	if n := f.Need("format"); n != nil && r.Int(n, 1) != 1 {
		r.Fault(n, "an unknown format version", "use format: 1")
	}
	var results []ExampleResult
	for _, item := range r.List(f.Need("examples"), "examples") {
		results = append(results, run.example(item))
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, errors.New(name + ": no example; write at least one")
	}
	return results, nil
}

type runner struct {
	*catalog.Reader
	cat *catalog.Catalog
}

// example runs one example; what it asks about is the key beside `expect`.
func (run *runner) example(n *yaml.Node) ExampleResult {
	f := run.Fields(n, "an example",
		"name", "call", "package", "month", "package_price", "sdk", "expect", "note")
	res := ExampleResult{Name: run.Text(f.Need("name")), Line: n.Line}
	want := f.Need("expect")
	if want != nil && want.Kind == yaml.MappingNode && len(want.Content) == 0 {
		run.Fault(want, "an example that expects nothing", "say what must hold")
	}
	switch {
	case f.Has("call") && f.Has("package"):
		res.Diffs = run.reach(f, want)
	case f.Has("call"):
		res.Diffs = run.call(f.Get("call"), want)
	case f.Has("month"):
		res.Diffs = run.month(f.Get("month"), want)
	case f.Has("package_price"):
		res.Diffs = run.packagePrice(f.Get("package_price"), want)
	case f.Has("sdk"):
		res.Diffs = run.sdk(f.Get("sdk"), want)
	default:
		run.Fault(n, "an example of nothing", "add call, package, month, package_price or sdk")
	}
	return res
}

// record reads a call: opened, at, code, and the catalogue's own dimensions.
func (run *runner) record(n *yaml.Node) (*catalog.Cohort, *billing.CallRecord) {
	rec := &billing.CallRecord{Dims: make([]string, len(run.cat.Dimensions))}
	known := []string{"opened", "at", "code"}
	for _, d := range run.cat.Dimensions {
		known = append(known, d.Name)
	}
	f := run.Fields(n, "a call", known...)
	zone := run.cat.Settings.Zone
	cohort := run.cat.CohortOf(run.Moment(f.Need("opened"), zone))
	rec.OccurredAt = run.Moment(f.Need("at"), zone)
	if f.Has("code") {
		rec.ResultCode = run.Text(f.Get("code"))
	}
	for i, d := range run.cat.Dimensions {
		if f.Has(d.Name) {
			rec.Dims[i] = run.Word(f.Get(d.Name))
		}
	}
	return cohort, rec
}

func (run *runner) call(n, want *yaml.Node) []string {
	cohort, rec := run.record(n)
	j := tagging.Judge(run.cat, cohort, rec)
	day := billing.DayOf(rec.OccurredAt, run.cat.Settings.Zone)
	f := run.Fields(want, "expect", "cohort", "cycle", "channel", "postpaid", "prepaid", "legacy",
		"charged", "known", "table", "no_tag", "free_action", "price", "tiers", "list", "discount")
	var d diffs
	run.text(&d, f, "cohort", cohort.Name)
	run.text(&d, f, "cycle", string(cohort.Cycle))
	run.text(&d, f, "channel", j.Channel)
	run.tag(&d, f, "postpaid", j.Postpaid)
	run.tag(&d, f, "prepaid", j.Prepaid)
	run.tag(&d, f, "legacy", j.Legacy)
	run.text(&d, f, "table", j.CodeTable)
	run.truth(&d, f, "charged", j.Charged)
	run.truth(&d, f, "known", j.CodeKnown)
	run.truth(&d, f, "free_action", j.FreeAction)
	run.truth(&d, f, "no_tag", j.NoTag != "")
	if !f.Has("no_tag") && j.NoTag != "" {
		d.add("has no tag: " + j.NoTag)
	}
	run.prices(&d, f, cohort.Name, j.Postpaid, day)
	return d
}

func (run *runner) reach(f catalog.Fields, want *yaml.Node) []string {
	cohort, rec := run.record(f.Get("call"))
	j := tagging.Judge(run.cat, cohort, rec)
	tag := run.anyTag(f.Get("package"))
	var d diffs
	w := run.Fields(want, "expect", "reaches")
	w.Need("reaches")
	if j.NoTag != "" {
		d.add("has no tag: " + j.NoTag)
	}
	run.truth(&d, w, "reaches", run.cat.Reaches(tag, j.Prepaid, j.Legacy))
	return d
}

func (run *runner) sdk(n, want *yaml.Node) []string {
	f := run.Fields(n, "sdk", "platform", "name", "version", "at")
	sdk := billing.SDK{
		Platform: run.Text(f.Need("platform")),
		Name:     run.Text(f.Need("name")),
		Version:  run.Text(f.Need("version")),
	}
	at := run.Moment(f.Need("at"), run.cat.Settings.Zone)
	w := run.Fields(want, "expect", "outdated")
	w.Need("outdated")
	var d diffs
	run.truth(&d, w, "outdated", run.cat.OutdatedSDK(sdk, billing.DayOf(at, run.cat.Settings.Zone)))
	return d
}

// diffs collects disagreements.
type diffs []string

func (d *diffs) add(s string) { *d = append(*d, s) }

func (d *diffs) compare(key, want, got string) {
	if want != got {
		d.add(fmt.Sprintf("%s: want %s, got %s", key, orNone(want), orNone(got)))
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (run *runner) text(d *diffs, f catalog.Fields, key, got string) {
	if f.Has(key) {
		want := run.Text(f.Get(key))
		if want == "none" {
			want = ""
		}
		d.compare(key, want, got)
	}
}

// tag compares a tag given by id, by any published spelling, or as "none".
func (run *runner) tag(d *diffs, f catalog.Fields, key string, got catalog.TagID) {
	if !f.Has(key) {
		return
	}
	want := catalog.TagID("")
	if n := f.Get(key); n.Kind != yaml.ScalarNode || n.Value != "none" {
		want = run.anyTag(n)
	}
	d.compare(key, string(want), string(got))
}

func (run *runner) anyTag(n *yaml.Node) catalog.TagID {
	s := run.Text(n)
	if s == "" {
		return ""
	}
	id, ok := run.cat.TagBySpelling(s)
	if !ok {
		run.Fault(n, fmt.Sprintf("unknown tag %q", s), "use a tag id or a published spelling")
	}
	return id
}

func (run *runner) truth(d *diffs, f catalog.Fields, key string, got bool) {
	if f.Has(key) {
		if want := run.Bool(f.Get(key)); want != got {
			d.add(fmt.Sprintf("%s: want %t, got %t", key, want, got))
		}
	}
}

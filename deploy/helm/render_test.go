package helm

import (
	"flag"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	chartFolder = "tollstream"
	releaseName = "release"
	namespace   = "billing"
)

var renderedFolder = flag.String("rendered", "",
	"leave what each file of tollstream/ci renders to in this folder")

// Rules and dashboards are links to the only copy, which Helm tells each time that it follows one.
func init() { slog.SetLogLoggerLevel(slog.LevelWarn) }

// valuesFiles are the cases that every test looks at, by name.
func valuesFiles(t *testing.T) map[string]map[string]any {
	t.Helper()
	paths, err := filepath.Glob(chartFolder + "/ci/*-values.yaml")
	if err != nil || len(paths) < 3 {
		t.Fatal(paths, err)
	}
	cases := map[string]map[string]any{}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		values, err := loader.LoadValues(file)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		cases[strings.TrimSuffix(filepath.Base(path), "-values.yaml")] = values
	}
	return cases
}

// eachCase runs a test on every case, rendered.
func eachCase(t *testing.T, test func(t *testing.T, r *release)) {
	t.Helper()
	cases := valuesFiles(t)
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) { test(t, render(t, cases[name])) })
	}
}

// release is what a file of values renders to.
type release struct {
	values  common.Values // those of the chart and of the file, merged
	objects []object
	text    string // all objects as YAML
	notes   string
}

// object is one document: read into its type, strictly.
type object struct {
	meta metav1.PartialObjectMetadata
	of   any
	text string
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartFolder)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// renderValues checks the values by the chart's schema and renders.
func renderValues(c *chart.Chart, values map[string]any) (common.Values, map[string]string, error) {
	all, err := util.ToRenderValues(c, values,
		common.ReleaseOptions{Name: releaseName, Namespace: namespace, IsInstall: true}, nil)
	if err != nil {
		return nil, nil, err
	}
	files, err := engine.Render(c, all)
	return all, files, err
}

func render(t *testing.T, values map[string]any) *release {
	t.Helper()
	all, files, err := renderValues(loadChart(t), values)
	if err != nil {
		t.Fatal(err)
	}
	r := &release{}
	if r.values, err = all.Table("Values"); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := files[name]
		switch {
		case strings.Contains(text, "<no value>"):
			t.Errorf("%s: a value is missing:\n%s", name, text)
		case strings.HasSuffix(name, "NOTES.txt"):
			r.notes = text
		case strings.HasSuffix(name, ".yaml"):
			for doc := range strings.SplitSeq("\n"+text, "\n---") {
				r.add(t, name, doc)
			}
		}
	}
	return r
}

// add reads one document.
func (r *release) add(t *testing.T, name, text string) {
	t.Helper()
	var any map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &any); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	if len(any) == 0 {
		return
	}
	o := object{text: text}
	if err := yaml.Unmarshal([]byte(text), &o.meta); err != nil {
		t.Fatal(err)
	}
	kind := o.meta.APIVersion + " " + o.meta.Kind
	newOf, known := kinds[kind]
	if !known {
		t.Fatalf("%s: what is a %s?", name, kind)
	}
	o.of = newOf()
	if err := yaml.UnmarshalStrict([]byte(text), o.of); err != nil {
		t.Errorf("%s: %s: %v\n%s", name, kind, err, text)
	}
	r.objects = append(r.objects, o)
	r.text += "---\n" + strings.TrimLeft(text, "\n") + "\n"
}

// all gives the objects of a type.
func all[T any](r *release) []T {
	var list []T
	for _, o := range r.objects {
		if of, is := o.of.(T); is {
			list = append(list, of)
		}
	}
	return list
}

// one gives the only object of a type.
func one[T any](t *testing.T, r *release) T {
	t.Helper()
	list := all[T](r)
	if len(list) != 1 {
		t.Fatalf("%d objects of type %T, want one", len(list), *new(T))
	}
	return list[0]
}

// TestRendered leaves the objects for cmd/tollstream, which reads them as the program does.
func TestRendered(t *testing.T) {
	if *renderedFolder == "" {
		t.Skip("no folder is given by -rendered")
	}
	for name, values := range valuesFiles(t) {
		path := filepath.Join(*renderedFolder, name+".yaml")
		if err := os.WriteFile(path, []byte(render(t, values).text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

package helm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestLint: Helm's linter has nothing to say but that there is no icon.
func TestLint(t *testing.T) {
	for name, values := range valuesFiles(t) {
		for _, m := range lint.RunAll(chartFolder, values, namespace).Messages {
			if m.Severity > support.InfoSev || !strings.Contains(m.Error(), "icon") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// TestObjectsAreOurs: names fit, labels say whose an object is, and no two objects are the same.
func TestObjectsAreOurs(t *testing.T) {
	eachCase(t, func(t *testing.T, r *release) {
		seen := map[string]bool{}
		for _, o := range r.objects {
			name := o.meta.Kind + "/" + o.meta.Namespace + "/" + o.meta.Name
			if seen[name] || o.meta.Name == "" || len(o.meta.Name) > 63 {
				t.Errorf("%s: twice, or not a name", name)
			}
			seen[name] = true
			if o.meta.Labels["app.kubernetes.io/instance"] != releaseName ||
				o.meta.Labels["app.kubernetes.io/managed-by"] != "Helm" {
				t.Errorf("%s has the labels %v", name, o.meta.Labels)
			}
		}
		if !strings.Contains(r.notes, "port-forward deploy/") {
			t.Errorf("the notes are %q", r.notes)
		}
	})
}

// TestPasswordsStayInSecrets: what is given as a password stands in Secrets, and nowhere in clear.
func TestPasswordsStayInSecrets(t *testing.T) {
	r := render(t, valuesFiles(t)["passwords"])
	found := 0
	for _, o := range r.objects {
		if strings.Contains(o.text, "hunter2") {
			t.Errorf("%s %s shows a password", o.meta.Kind, o.meta.Name)
		}
		s, is := o.of.(*core.Secret)
		if is && strings.HasPrefix(string(s.Data["password"]), "hunter2-") {
			found++
		}
	}
	if strings.Contains(r.notes, "hunter2") || found != 5 { // two for the hook
		t.Errorf("%d Secrets with passwords, notes\n%s", found, r.notes)
	}
}

// TestRulesAreTheRules: the PrometheusRule is deploy/prometheus/rules.yml, which has tests.
func TestRulesAreTheRules(t *testing.T) {
	text, err := os.ReadFile("../prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	cases := valuesFiles(t)
	same := func(values map[string]any, text string) {
		var want monitoring.PrometheusRuleSpec
		if err := yaml.UnmarshalStrict([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		got := one[*monitoring.PrometheusRule](t, render(t, values)).Spec
		g, _ := yaml.Marshal(got)
		w, _ := yaml.Marshal(want)
		if string(g) != string(w) || len(want.Groups) == 0 {
			t.Errorf("the rules are\n%s\nwant\n%s", g, w)
		}
	}
	same(cases["full"], string(text))
	same(cases["passwords"], strings.ReplaceAll(string(text), "runbook_url: docs/",
		"runbook_url: https://git.example/tollstream/blob/main/docs/"))
}

// TestDashboardsAreTheDashboards: the ConfigMap has every file of deploy/grafana, byte for byte.
func TestDashboardsAreTheDashboards(t *testing.T) {
	paths, err := filepath.Glob("../grafana/dashboards/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	maps := slices.DeleteFunc(all[*core.ConfigMap](render(t, valuesFiles(t)["full"])),
		func(m *core.ConfigMap) bool { return m.Labels["grafana_dashboard"] == "" })
	if len(maps) != 1 || len(maps[0].Data) != len(paths) {
		t.Fatalf("%d ConfigMaps of dashboards", len(maps))
	}
	for _, path := range paths {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got := maps[0].Data["tollstream-"+filepath.Base(path)]
		if strings.TrimSpace(got) != strings.TrimSpace(string(want)) {
			t.Errorf("%s differs", path)
		}
	}
}

// TestSwitches: what is optional is not there unless it is switched on.
func TestSwitches(t *testing.T) {
	least := render(t, valuesFiles(t)["least"])
	for _, o := range least.objects {
		if strings.Contains(o.meta.APIVersion, "monitoring.coreos.com") ||
			strings.Contains(o.meta.APIVersion, "keda.sh") ||
			strings.Contains(o.meta.APIVersion, "strimzi") || o.meta.Kind == "Secret" {
			t.Errorf("%s %s, and nobody asked for it", o.meta.Kind, o.meta.Name)
		}
	}
}

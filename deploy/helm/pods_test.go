package helm

import (
	"maps"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policies "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// workload is what makes pods.
type workload struct {
	meta metav1.ObjectMeta
	pod  core.PodTemplateSpec
	hook bool
}

func workloads(r *release) []workload {
	var list []workload
	for _, d := range all[*apps.Deployment](r) {
		list = append(list, workload{d.ObjectMeta, d.Spec.Template, false})
	}
	for _, j := range all[*batch.Job](r) {
		list = append(list, workload{j.ObjectMeta, j.Spec.Template, true})
	}
	return list
}

// TestPodsAreRestricted asks the admission check of Kubernetes, at its strictest level.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	eachCase(t, func(t *testing.T, r *release) {
		list := workloads(r)
		if len(list) != 3 {
			t.Fatalf("%d workloads", len(list))
		}
		for _, w := range list {
			for _, c := range evaluator.EvaluatePod(level, &w.pod.ObjectMeta, &w.pod.Spec) {
				if !c.Allowed {
					t.Errorf("%s: %s %s", w.meta.Name, c.ForbiddenReason, c.ForbiddenDetail)
				}
			}
			s, c := w.pod.Spec, w.pod.Spec.Containers[0]
			if *s.AutomountServiceAccountToken || *s.EnableServiceLinks ||
				!*c.SecurityContext.ReadOnlyRootFilesystem || c.Resources.Limits.Memory().IsZero() ||
				c.Resources.Requests.Cpu().IsZero() || len(s.Containers) != 1 {
				t.Errorf("%s: a token, links, a root that can be written, or no resources", w.meta.Name)
			}
			if !w.hook && goLimit(t, c) > c.Resources.Limits.Memory().Value()/10*9 {
				t.Errorf("%s: Go may fill the memory to the limit", w.meta.Name)
			}
			if user := r.user(t); *s.SecurityContext.RunAsUser != user ||
				*s.SecurityContext.FSGroup != user {
				t.Errorf("%s does not run as %d", w.meta.Name, user)
			}
		}
		for _, a := range all[*core.ServiceAccount](r) {
			if *a.AutomountServiceAccountToken {
				t.Errorf("%s mounts its token", a.Name)
			}
		}
	})
}

// goLimit is what Go tries to stay below, in bytes.
func goLimit(t *testing.T, c core.Container) int64 {
	t.Helper()
	for _, e := range c.Env {
		if e.Name == "GOMEMLIMIT" {
			q, err := resource.ParseQuantity(strings.TrimSuffix(e.Value, "B"))
			if err != nil {
				t.Fatal(err)
			}
			return q.Value()
		}
	}
	t.Errorf("%s has no limit for Go", c.Name)
	return 0
}

func (r *release) user(t *testing.T) int64 {
	t.Helper()
	user, err := r.values.PathValue("pod.user")
	if err != nil {
		t.Fatal(err)
	}
	if n, is := user.(interface{ Int64() (int64, error) }); is {
		v, _ := n.Int64()
		return v
	}
	return int64(user.(float64))
}

// TestMountsAreThere: every volume is mounted and names an object that is there when the pod is:
// one of the release, one of the hooks before the migration, or one that the values say exists.
func TestMountsAreThere(t *testing.T) {
	eachCase(t, func(t *testing.T, r *release) {
		there := map[string]bool{}
		existing(r.values, there)
		for _, o := range r.objects {
			if o.meta.Kind == "ConfigMap" || o.meta.Kind == "Secret" {
				hook := o.meta.Annotations["helm.sh/hook"] != ""
				there[place(hook, o.meta.Name)] = true
				if hook && o.meta.Annotations["helm.sh/hook-weight"] != "-5" {
					t.Errorf("%s may come after the migration", o.meta.Name)
				}
			}
		}
		for _, w := range workloads(r) {
			mounted := map[string]bool{}
			for _, m := range w.pod.Spec.Containers[0].VolumeMounts {
				mounted[m.Name] = m.ReadOnly
			}
			for _, v := range w.pod.Spec.Volumes {
				name := ""
				if v.Secret != nil {
					name = v.Secret.SecretName
					if *v.Secret.DefaultMode != 0o440 {
						t.Errorf("%s: %s can be read by others", w.meta.Name, name)
					}
				} else {
					name = v.ConfigMap.Name
				}
				if !there[place(w.hook, name)] && !there[name] {
					t.Errorf("%s: there is no %s when its pod starts", w.meta.Name, name)
				}
				if !mounted[v.Name] {
					t.Errorf("%s: %s is not mounted, or can be written", w.meta.Name, v.Name)
				}
				delete(mounted, v.Name)
			}
			for name := range mounted {
				t.Errorf("%s mounts %s, which is no volume", w.meta.Name, name)
			}
			if account := w.pod.Spec.ServiceAccountName; w.hook && account != "" {
				t.Errorf("%s wants the service account %s, which is made after it", w.meta.Name, account)
			}
		}
	})
}

// place tells objects of hooks from those of the release.
func place(hook bool, name string) string {
	if hook {
		return "hook/" + name
	}
	return "release/" + name
}

// existing collects the objects that the values name as existing.
func existing(values map[string]any, into map[string]bool) {
	for key, v := range values {
		if nested, is := v.(map[string]any); is {
			existing(nested, into)
		} else if name, _ := v.(string); strings.HasPrefix(key, "existing") && name != "" {
			into[name] = true
		}
	}
}

// TestSelectors: whatever chooses pods chooses those that it is for.
func TestSelectors(t *testing.T) {
	eachCase(t, func(t *testing.T, r *release) {
		chosen := func(what string, selector *metav1.LabelSelector, want ...string) {
			t.Helper()
			s, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range workloads(r) {
				if s.Matches(labels.Set(w.pod.Labels)) {
					got = append(got, w.pod.Labels["app.kubernetes.io/component"])
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s chooses %q, want %q", what, got, want)
			}
		}
		for _, d := range all[*apps.Deployment](r) {
			component := d.Spec.Template.Labels["app.kubernetes.io/component"]
			chosen(d.Name, d.Spec.Selector, component)
			for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
				chosen(d.Name+" spread", c.LabelSelector, component)
			}
			if !strings.HasSuffix(d.Name, "-"+component) {
				t.Errorf("%s makes pods of %s", d.Name, component)
			}
		}
		for _, b := range all[*policies.PodDisruptionBudget](r) {
			chosen("budget", b.Spec.Selector, b.Labels["app.kubernetes.io/component"])
		}
		for _, p := range all[*networking.NetworkPolicy](r) {
			chosen("policy", &p.Spec.PodSelector, "ingest", "migrate", "settle")
		}
		service := one[*core.Service](t, r)
		chosen("service", &metav1.LabelSelector{MatchLabels: service.Spec.Selector},
			"ingest", "migrate", "settle")
		for _, m := range all[*monitoring.ServiceMonitor](r) {
			s, err := metav1.LabelSelectorAsSelector(&m.Spec.Selector)
			if err != nil || !s.Matches(labels.Set(service.Labels)) ||
				m.Spec.Endpoints[0].Port != service.Spec.Ports[0].Name {
				t.Errorf("the monitor does not find the service: %v", err)
			}
		}
	})
}

// TestProbesAndStrategies: only a process that hangs is restarted, two versions never close side by
// side, and the group of ingest changes one member at a time.
func TestProbesAndStrategies(t *testing.T) {
	eachCase(t, func(t *testing.T, r *release) {
		for _, d := range all[*apps.Deployment](r) {
			c := d.Spec.Template.Spec.Containers[0]
			paths := []string{c.StartupProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path,
				c.ReadinessProbe.HTTPGet.Path}
			if !slices.Equal(paths, []string{"/healthz", "/healthz", "/readyz"}) {
				t.Errorf("%s has the probes %q", d.Name, paths)
			}
			// The start may wait a minute for topics and ten seconds for each server.
			if p := c.StartupProbe; p.PeriodSeconds*p.FailureThreshold < 120 {
				t.Errorf("%s may start for %d s only", d.Name, p.PeriodSeconds*p.FailureThreshold)
			}
			for _, p := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				if p.HTTPGet.Port.String() != c.Ports[0].Name {
					t.Errorf("%s asks the port %s", d.Name, p.HTTPGet.Port.String())
				}
			}
			if recreate := d.Spec.Strategy.Type == apps.RecreateDeploymentStrategyType; recreate !=
				strings.HasSuffix(d.Name, "-settle") {
				t.Errorf("%s: strategy %s", d.Name, d.Spec.Strategy.Type)
			}
		}
	})
}

// TestNetworkPolicyPorts: out to the ports of the addresses in the settings, and nowhere else.
func TestNetworkPolicyPorts(t *testing.T) {
	ports := func(name string) []string {
		p := one[*networking.NetworkPolicy](t, render(t, valuesFiles(t)[name]))
		set := map[string]bool{}
		for _, e := range p.Spec.Egress {
			if len(e.Ports) == 0 || name == "full" && len(e.To) == 0 {
				t.Errorf("%s: open to everything: %v", name, e)
			}
			for _, port := range e.Ports {
				set[port.Port.String()] = true
			}
		}
		for _, i := range p.Spec.Ingress {
			if len(i.From) == 0 || len(i.Ports) != 1 || i.Ports[0].Port.String() != "http" {
				t.Errorf("%s: lets in %v", name, i)
			}
		}
		return slices.Sorted(maps.Keys(set))
	}
	if got := ports("least"); !slices.Equal(got, []string{"53", "8123", "9092"}) {
		t.Errorf("least: out to %q", got)
	}
	if got := ports("full"); !slices.Equal(got, []string{"53", "8443", "9093", "9094", "9095"}) {
		t.Errorf("full: out to %q", got)
	}
}

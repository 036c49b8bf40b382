package helm

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

var update = flag.Bool("update", false, "write the table of values into the chart's README.md")

// leaf is one value of values.yaml.
type leaf struct{ key, def, doc string }

// leaves reads values.yaml with its comments, in its order.
func leaves(t *testing.T) []leaf {
	t.Helper()
	text, err := os.ReadFile(chartFolder + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var list []leaf
	var walk func(prefix string, node *yaml.Node)
	walk = func(prefix string, node *yaml.Node) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			name := prefix + key.Value
			if value.Kind == yaml.MappingNode && value.Style&yaml.FlowStyle == 0 &&
				key.Value != "resources" {
				walk(name+".", value)
				continue
			}
			list = append(list, leaf{name, flow(t, value), comment(key.HeadComment)})
		}
	}
	walk("", doc.Content[0])
	return list
}

// comment is the last paragraph of a comment, on one line.
func comment(head string) string {
	paragraphs := strings.Split(head, "\n\n")
	text := strings.ReplaceAll(paragraphs[len(paragraphs)-1], "# ", "")
	return strings.Join(strings.Fields(text), " ")
}

func flow(t *testing.T, value *yaml.Node) string {
	t.Helper()
	var plain any
	if err := value.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const tableHead = "| value | default | meaning |\n|---|---|---|\n"

// TestReadme: the table of README.md is made from values.yaml, where every value has a comment.
func TestReadme(t *testing.T) {
	const path = chartFolder + "/README.md"
	table := tableHead
	for _, l := range leaves(t) {
		if l.doc == "" {
			t.Errorf("%s has no comment", l.key)
		}
		table += fmt.Sprintf("| `%s` | `%s` | %s |\n", l.key, l.def, l.doc)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(text), tableHead)
	if !found {
		t.Fatal("README.md has no table of values")
	}
	if want := before + table; *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Error("README.md is not what values.yaml says: go test ./... -update in deploy/helm")
	}
}

// open are the values that Kubernetes, not the chart, says the form of.
var open = []string{"global", "imagePullSecrets[]", "pod.affinity", "pod.tolerations[]",
	"pod.labels", "pod.annotations", "pod.nodeSelector", "serviceAccount.annotations",
	"monitoring.serviceMonitor.labels", "monitoring.rules.labels", "monitoring.dashboards.labels",
	"networkPolicy.ingressFrom[]", "networkPolicy.kafkaPeers[]", "networkPolicy.clickhousePeers[]",
	"networkPolicy.dnsPeers[]", "topics.config", "migrate.resources.requests",
	"migrate.resources.limits", "ingest.resources.requests", "ingest.resources.limits",
	"settle.resources.requests", "settle.resources.limits"}

type schema struct {
	Type                 any
	Properties           map[string]*schema
	AdditionalProperties any
	Items                *schema
}

// TestSchemaIsStrict: no object takes keys that it does not know, and each default has a place.
func TestSchemaIsStrict(t *testing.T) {
	text, err := os.ReadFile(chartFolder + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	known, loose := map[string]bool{}, slices.Clone(open)
	var walk func(key string, s *schema)
	walk = func(key string, s *schema) {
		known[key] = true
		if i := slices.Index(loose, key); i >= 0 {
			loose = slices.Delete(loose, i, i+1)
		} else if s.Type == "object" && s.AdditionalProperties != false {
			t.Errorf("%s takes any key", key)
		}
		for name, p := range s.Properties {
			walk(strings.TrimPrefix(key+"."+name, "."), p)
		}
		if s.Items != nil {
			walk(key+"[]", s.Items)
		}
	}
	walk("", &root)
	for _, key := range loose {
		t.Errorf("the schema has no %s", key)
	}
	for _, l := range leaves(t) {
		if !known[l.key] {
			t.Errorf("values.yaml has %s, the schema has not", l.key)
		}
		delete(known, l.key)
	}
	for key := range known {
		if section, _, _ := strings.Cut(key, "."); section != "config" && !isSection(t, key) {
			t.Errorf("the schema has %s, values.yaml has not", key)
		}
	}
}

func isSection(t *testing.T, key string) bool {
	t.Helper()
	return key == "global" || strings.HasSuffix(key, "[]") || strings.Contains(key, ".resources.") ||
		slices.ContainsFunc(leaves(t), func(l leaf) bool {
			return key == "" || strings.HasPrefix(l.key, key+".") ||
				strings.HasPrefix(key, l.key+".")
		})
}

// TestWrongValuesAreRefused: by the schema, or where values do not go together by the chart.
func TestWrongValuesAreRefused(t *testing.T) {
	least, err := os.ReadFile(chartFolder + "/ci/least-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for wrong, want := range map[string]string{
		``:                        "",
		`ingst: {replicas: 3}`:    "'ingst' not allowed",
		`ingest: {replica: 3}`:    "'replica' not allowed",
		`settle: {replicas: two}`: "settle/replicas",
		`config: {settle: {first_closing: tomorrow}}`:            "first_closing",
		`config: {kafka: {brokers: []}}`:                         "brokers",
		`config: {kafka: {broker: x}}`:                           "'broker' not allowed",
		`config: {clickhouse: {addr: nohost}}`:                   "addr",
		`config: {clickhouse: {password: x}}`:                    "'password' not allowed",
		`config: {roles: [ingest]}`:                              "'roles' not allowed",
		`config: {log: {format: xml}}`:                           "format",
		`config: {ingest: {batch_records_max: 0}}`:               "batch_records_max",
		`pod: {user: 0}`:                                         "user",
		`topics: {config: {cleanup.policy: compact}}`:            "invalid propertyName 'cleanup.policy'",
		`topics: {enabled: true}`:                                "topics.cluster",
		`clickhouse: {ingest: {existingSecret: a, password: b}}`: "not both",
		`clickhouse: {tls: {existingSecret: a}}`:                 "tls.enabled is not true",
		`kafka: {tls: {ca: ca.crt}}`:                             "no existingSecret",
		`kafka: {sasl: {password: a}}`:                           "go together",
		`config: {kafka: {sasl: {mechanism: plain}}}`:            "go together",
		`ingest: {autoscaling: {minReplicas: 0}}`:                "minReplicas",
	} {
		values := map[string]any{}
		for _, text := range []string{string(least), wrong} {
			more, err := loader.LoadValues(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			values = loader.MergeMaps(values, more)
		}
		_, _, err := renderValues(loadChart(t), values)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", wrong, err, want)
		}
	}
}

// TestScaling: never more processes than there are partitions, and one trigger for each topic.
func TestScaling(t *testing.T) {
	full := valuesFiles(t)["full"]
	for most, want := range map[int]int32{40: 24, 5: 5} { // two topics of twelve partitions
		scaling := map[string]any{"autoscaling": map[string]any{"maxReplicas": most}}
		values := loader.MergeMaps(maps.Clone(full), map[string]any{"ingest": scaling})
		s := one[*scaledObject](t, render(t, values))
		if s.Spec.MaxReplicaCount != want || s.Spec.MinReplicaCount < 1 || len(s.Spec.Triggers) != 2 {
			t.Errorf("at most %d: %+v", most, s.Spec)
		}
		for _, trigger := range s.Spec.Triggers {
			m := trigger.Metadata
			if m.AllowIdleConsumers != "false" || m.LagThreshold != "2000000" ||
				m.ConsumerGroup != "prod-ingest" ||
				m.BootstrapServers != "b-0.kafka:9093,b-1.kafka:9094" {
				t.Errorf("%+v", m)
			}
		}
	}
}

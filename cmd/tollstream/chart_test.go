package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/kafkalog"
)

var chartFolder = flag.String("chart", "",
	"hold what the Helm chart renders to, in this folder, against the program (make chart-test)")

// manifest is an object of the chart, as far as the program has a word in it.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct{ Spec podSpec }
		// Of a KafkaTopic:
		TopicName  string `yaml:"topicName"`
		Partitions int
		Config     map[string]string
		// Of a ScaledObject:
		Triggers []struct{ Metadata map[string]string }
	}
}

type podSpec struct {
	TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
	Containers                    []struct {
		Args  []string
		Env   []struct{ Name, Value string }
		Ports []struct {
			ContainerPort int `yaml:"containerPort"`
		}
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
		Secret    struct {
			Items []struct{ Path string }
		}
	}
}

// TestChart reads the objects of the Helm chart as the program does: arguments and settings by its
// own loader, topics by its own check, and compares ports, groups and times.
func TestChart(t *testing.T) {
	if *chartFolder == "" {
		t.Skip("no folder is given by -chart; make chart-test does")
	}
	paths, err := filepath.Glob(filepath.Join(*chartFolder, "*.yaml"))
	if err != nil || len(paths) < 3 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			objects := readManifests(t, path)
			var cfg *Config
			for _, o := range objects {
				if len(o.Spec.Template.Spec.Containers) == 1 {
					cfg = checkWorkload(t, o, objects)
				}
			}
			if cfg == nil {
				t.Fatal("no workloads")
			}
			checkScaling(t, cfg, objects)
			checkKafkaTopics(t, cfg, objects)
		})
	}
}

func readManifests(t *testing.T, path string) []manifest {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []manifest
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o manifest
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
}

// roles that a process has, by the end of its name; migrate has none.
var chartRoles = map[string][]string{"ingest": {roleIngest}, "settle": {roleSettle, roleUsage},
	"migrate": nil}

// checkWorkload reads the command line of a pod, its settings and its secrets.
func checkWorkload(t *testing.T, o manifest, objects []manifest) *Config {
	t.Helper()
	pod := o.Spec.Template.Spec
	container := pod.Containers[0]
	root := mounted(t, pod, objects)
	args := slices.Clone(container.Args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "/etc/tollstream", root)
	}
	c, rest, err := newRootCommand().Find(args)
	if err != nil {
		t.Fatalf("%s: %q: %v", o.Metadata.Name, args, err)
	}
	if err := c.ParseFlags(rest); err != nil || len(c.Flags().Args()) > 0 {
		t.Fatalf("%s: %q: %v", o.Metadata.Name, args, err)
	}
	var environ []string
	for _, e := range container.Env {
		environ = append(environ, e.Name+"="+e.Value)
	}
	cfg, err := readConfig(c.Flags(), environ)
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		t.Fatalf("%s: %v", o.Metadata.Name, err)
	}
	_, component, _ := strings.Cut(o.Metadata.Name, "-")
	component = component[strings.LastIndexByte(component, '-')+1:]
	roles, known := chartRoles[component]
	if !known || (c.Name() == "run") != (roles != nil) {
		t.Errorf("%s runs %s", o.Metadata.Name, c.Name())
	}
	if roles == nil {
		return cfg
	}
	if err := cfg.ValidateRun(); err != nil || !slices.Equal(cfg.Roles, roles) {
		t.Errorf("%s: roles %q: %v", o.Metadata.Name, cfg.Roles, err)
	}
	port := ":" + strconv.Itoa(container.Ports[0].ContainerPort)
	if cfg.HTTP.Listen != "0.0.0.0"+port {
		t.Errorf("%s listens on %s, its pod has %s", o.Metadata.Name, cfg.HTTP.Listen, port)
	}
	grace := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second
	if least := cfg.HTTP.ShutdownTimeout + 15*time.Second; grace < least {
		t.Errorf("%s is killed after %s, and needs %s", o.Metadata.Name, grace, least)
	}
	return cfg
}

// mounted makes the files of a pod in a folder that stands for /etc/tollstream. Secrets of which
// the chart knows no file are left out: those of TLS, which the loader does not open.
func mounted(t *testing.T, pod podSpec, objects []manifest) string {
	t.Helper()
	root := t.TempDir()
	for _, m := range pod.Containers[0].VolumeMounts {
		folder := strings.ReplaceAll(m.MountPath, "/etc/tollstream", root)
		if err := os.MkdirAll(folder, 0o755); err != nil || folder == m.MountPath {
			t.Fatal(m.MountPath, err)
		}
		for _, v := range pod.Volumes {
			files := map[string]string{}
			for _, o := range objects {
				if o.Kind == "ConfigMap" && o.Metadata.Name == v.ConfigMap.Name {
					files = o.Data
				}
			}
			for _, item := range v.Secret.Items {
				files = map[string]string{item.Path: "secret\n"}
			}
			for name, text := range files {
				text = strings.ReplaceAll(text, "/etc/tollstream", root)
				if v.Name != m.Name {
					continue
				}
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return root
}

// checkScaling: what KEDA looks at is the group and the topics of ingest.
func checkScaling(t *testing.T, cfg *Config, objects []manifest) {
	t.Helper()
	for _, o := range objects {
		if o.Kind != "ScaledObject" {
			continue
		}
		var topics []string
		for _, trigger := range o.Spec.Triggers {
			topics = append(topics, trigger.Metadata["topic"])
			if group := trigger.Metadata["consumerGroup"]; group != groupID(cfg, roleIngest) {
				t.Errorf("KEDA looks at the group %s, ingest is in %s", group,
					groupID(cfg, roleIngest))
			}
		}
		if !slices.Equal(topics, cfg.Kafka.Topics.Calls) {
			t.Errorf("KEDA looks at the topics %q, ingest reads %q", topics, cfg.Kafka.Topics.Calls)
		}
	}
}

// checkKafkaTopics asks the program's own check of topics, and wants all of them.
func checkKafkaTopics(t *testing.T, cfg *Config, objects []manifest) {
	t.Helper()
	specs := map[string]kafkalog.TopicSpec{}
	s := &system{cfg: cfg}
	for _, spec := range append(s.inputTopics(), s.outputTopics()...) {
		specs[spec.Name] = spec
	}
	seen := 0
	for _, o := range objects {
		if o.Kind != "KafkaTopic" {
			continue
		}
		seen++
		spec, known := specs[o.Spec.TopicName]
		if !known {
			t.Errorf("the program has no topic %s", o.Spec.TopicName)
			continue
		}
		got := kafkalog.TopicInfo{CleanupPolicy: o.Spec.Config["cleanup.policy"],
			Partitions: make([]int, o.Spec.Partitions)}
		if o.Spec.Config["message.timestamp.type"] == kafkalog.LogAppendTime.String() {
			got.TimestampType = kafkalog.LogAppendTime
		}
		if err := spec.Check(got); err != nil {
			t.Error(err)
		}
		keep, err := strconv.ParseInt(o.Spec.Config["retention.ms"], 10, 64)
		forever := keep == -1 || spec.Name == cfg.Kafka.Topics.Quarantine
		if err != nil || spec.Retention != kafkalog.RetentionForever || !forever {
			t.Errorf("%s keeps records for %s", spec.Name, o.Spec.Config["retention.ms"])
		}
		if output := cmp.Or(spec.Partitions, -1); output > 0 && o.Spec.Partitions != output {
			t.Errorf("%s has %d partitions, want %d", spec.Name, o.Spec.Partitions, output)
		}
	}
	if seen > 0 && seen != len(specs) {
		t.Errorf("%d topics, the program has %d", seen, len(specs))
	}
}

// notInChart are the settings that the chart sets itself, or that have no place in a cluster.
func notInChart(s setting) bool {
	return s.secret || slices.Contains([]string{"roles", "catalog", "http.listen", "settle.until",
		"clickhouse.user"}, s.key) || strings.HasPrefix(s.key, "embedded.") ||
		strings.HasPrefix(s.key, "time.") || strings.HasSuffix(s.key, "_file")
}

// TestChartSchemaHasAllSettings: the schema of the chart's values has each setting, by its type,
// and no other.
func TestChartSchemaHasAllSettings(t *testing.T) {
	text, err := os.ReadFile("../../deploy/helm/tollstream/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Type       string
		Enum       []string
		Properties map[string]json.RawMessage
	}
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	found := map[string]schema{}
	var walk func(key string, raw json.RawMessage)
	walk = func(key string, raw json.RawMessage) {
		var s schema
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if s.Properties == nil {
			found[key] = s
		}
		for name, p := range s.Properties {
			walk(strings.TrimPrefix(key+"."+name, "."), p)
		}
	}
	walk("", root.Properties["config"])
	types := map[string]string{"bool": "boolean", "int": "integer", "list": "array"}
	for _, s := range settingsOf(&Config{}) {
		f, there := found[s.key]
		delete(found, s.key)
		if there == notInChart(s) {
			t.Errorf("%s: in the schema: %v", s.key, there)
		} else if want := cmp.Or(types[typeName(s.to)], "string"); there && f.Type != want &&
			!slices.Equal(f.Enum, s.choices) {
			t.Errorf("%s is of type %q %q, want %s %q", s.key, f.Type, f.Enum, want, s.choices)
		}
	}
	for key := range found {
		t.Errorf("there is no setting %s", key)
	}
}

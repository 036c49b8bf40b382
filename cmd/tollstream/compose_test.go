package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	composeloader "github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const repository = "../.."

// composeSecrets are given to the file in place of the demo's own, so that a password that stands
// in it by itself is found out.
var composeSecrets = types.Mapping{"CLICKHOUSE_PASSWORD": "secret-1",
	"GRAFANA_CLICKHOUSE_PASSWORD": "secret-2", "GRAFANA_PASSWORD": "secret-3"}

// composition is docker-compose.yml as Docker Compose understands it, and what it runs.
type composition struct {
	*types.Project
	// configs and commands are those of the services that run tollstream, by service.
	configs  map[string]*Config
	commands map[string]string
	faults
}

// compose loads docker-compose.yml, and files that are laid over it, by Compose's own loader, which
// checks them against its schema, and finds everything that is wrong with them.
func compose(t *testing.T, texts ...string) faults {
	t.Helper()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	details := types.ConfigDetails{WorkingDir: root, Environment: composeSecrets}
	for i, text := range texts {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{
			Filename: filepath.Join(root, fmt.Sprintf("%d.yml", i)), Content: []byte(text)})
	}
	project, err := composeloader.LoadWithContext(t.Context(), details,
		func(o *composeloader.Options) { o.SetProjectName("tollstream", false) })
	if err != nil {
		return faults{err.Error()}
	}
	c := &composition{Project: project, configs: map[string]*Config{}, commands: map[string]string{}}
	for _, name := range c.ServiceNames() {
		s := c.Services[name]
		c.checkImage(&s)
		c.checkConfined(&s)
		c.checkPorts(&s)
		c.checkMounts(&s)
		c.checkSecrets(&s)
		c.checkHealth(&s)
		c.checkOrder(&s)
		c.checkProgram(&s)
	}
	if len(c.faults) == 0 { // what follows takes the services for what they should be
		c.checkServers()
		if len(texts) == 1 {
			c.checkGenerator()
		} else {
			c.checkOwnCalls()
		}
		c.checkVersions()
		c.checkPrometheus()
		c.checkGrafana()
	}
	return c.faults
}

func composeFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCompose: docker-compose.yml is right, as far as that can be told without Docker.
func TestCompose(t *testing.T) {
	for _, fault := range compose(t, composeFile(t, "docker-compose.yml")) {
		t.Error(fault)
	}
}

// TestComposeOwnCalls: the file without the generator is right as well, and makes the topics.
func TestComposeOwnCalls(t *testing.T) {
	base, own := composeFile(t, "docker-compose.yml"), composeFile(t, "deploy/compose/own-calls.yml")
	for _, fault := range compose(t, base, own) {
		t.Error(fault)
	}
	noticed(t, own, []mistake{
		{"load: !reset null", "load: {init: true}", "more runs than"},
		{"retention.ms=-1", "retention.ms=1000", "retention.ms=-1"},
		{"LogAppendTime", "CreateTime", "LogAppendTime"},
		{"create faceid.calls", "create calls", "topics that the pipeline reads"},
		{"!override {kafka: {condition: service_healthy}}", "{kafka: {condition: service_started}}",
			"depends on undefined service"},
	}, func(text string) faults { return compose(t, base, text) })
}

// composeMistakes are what TestComposeMistakes writes into the file, and what has to be said.
var composeMistakes = []mistake{
	{"hostname: kafka", "hostnam: kafka", "hostnam"},
	{"kafka: {condition: service_healthy}", "kafkaa: {condition: service_healthy}", "kafkaa"},
	{"grafana:13.2.3", "grafana", "not pinned"},
	{"prometheus:v3.12.0", "prometheus:latest", "not pinned"},
	{"prometheus:v3.12.0", "prometheus:v3.13.0", "alerts are tested by"},
	{"kafka:4.3.1", "kafka:4.2.0", "tests run on"},
	{"server:26.7.5.10", "server:25.3.1.1", "tests run on"},
	{"cap_drop: [ALL]", "cap_drop: [CHOWN]", "keeps capabilities"},
	{"no-new-privileges:true", "no-new-privileges:false", "new privileges"},
	{"pids_limit: 512", "pids_limit: 0", "is not limited"},
	{"mem_limit: 3g", "mem_limit: 0", "is not limited"},
	{`user: "65534:65534"`, `user: "0:0"`, "runs as root"},
	{"    read_only: true\n    tmpfs", "    tmpfs", "can be written"},
	{`"127.0.0.1:3000:3000"`, `"3000:3000"`, "open to the network"},
	{"rules.yml:/etc", "rule.yml:/etc", "no such file"},
	{"provisioning:ro", "provisioning", "can be written"},
	{"_PASSWORD: ${GRAFANA_PASSWORD:-tollstream}", "_PASSWORD: tollstream", "stands in the file"},
	{"healthcheck: *ready", "init: true", "no health check"},
	{"service_completed_successfully}\n    restart: unless", "service_started}\n    restart: unless",
		"waits for migrate"},
	{"clickhouse: {condition: service_healthy}\n", "clickhouse: {condition: service_started}\n",
		"waits for clickhouse"},
	{"      migrate: {condition: service_completed_successfully}\n", "", "nobody waits for migrate"},
	{"TOLLSTREAM_HTTP__LISTEN", "TOLLSTREAM_HTTP__LISTENS", "HTTP__LISTENS"},
	{"--roles=ingest,usage,settle", "--roles=ingest,bill", "bill"},
	{"--roles=ingest,usage,settle", "--role=ingest", "unknown flag"},
	{"--send=live", "--sendd=live", "unknown flag"},
	{`"/tollstream", "ready"]`, `"/tollstream", "healthy"]`, "healthy"},
	{`["migrate"]`, `["migrat"]`, "unknown command"},
	{`CLOSING: "${DEMO_FROM:-2026-10-15}"`, "CLOSING: soon", "settle.first_closing"},
	{`CLOSING: "${DEMO_FROM:-2026-10-15}"`, `CLOSING: "2026-10-20"`, "first closing is not"},
	{"BROKERS: kafka:19092", "BROKERS: kafka:9092", "advertises"},
	{"LOG_DIRS: /var/lib/kafka/data", "LOG_DIRS: /tmp/data", "not a volume"},
	{"ADDR: clickhouse:8123", "ADDR: clickhouse:8124", "clickhouse.addr"},
	{"DATABASE: billing", "DATABASE: bills", "clickhouse.database"},
	{"__USER: tollstream", "__USER: owner", "clickhouse.user"},
	{"in faceid.calls billing", "in faceid.call billing", "topics that the pipeline reads"},
	{"  TOLLSTREAM_HTTP__LISTEN: 0.0.0.0:9464", "  TOLLSTREAM_HTTP__LISTEN: 0.0.0.0:9465",
		"http.listen"},
	{"/etc/prometheus/rules.yml:ro", "/etc/rules.yml:ro", "rules.yml"},
	{"TOLLSTREAM_PROMETHEUS_URL: http://prometheus:9090", "NO_URL: x", "TOLLSTREAM_PROMETHEUS_URL"},
	{"TOLLSTREAM_CLICKHOUSE_USER: grafana", "TOLLSTREAM_CLICKHOUSE_USER: tollstream",
		"can only read"},
	{"TOLLSTREAM_PROMETHEUS_URL: http://prometheus:9090",
		"TOLLSTREAM_PROMETHEUS_URL: http://prometheus:9091", "asks Prometheus"},
	{"datasource@4.20.0", "datasource", "plugin"},
	{"dashboards:/etc/grafana/dashboards:ro", "dashboards:/dashboards:ro", "dashboards are"},
	{"provisioning:/etc/grafana/provisioning:ro", "provisioning:/etc/provisioning:ro",
		"provisioning is"},
	{"dashboards/billing.json", "dashboards/bills.json", "home dashboard"},
	{"20-grafana-user", "05-grafana-user", "before the roles"},
}

// TestComposeMistakes makes one mistake after the other: each has to be noticed.
func TestComposeMistakes(t *testing.T) {
	noticed(t, composeFile(t, "docker-compose.yml"), composeMistakes,
		func(text string) faults { return compose(t, text) })
}

// mistake is a text in place of another one, and what has to be said of it.
type mistake struct{ old, mistake, says string }

// noticed makes mistakes in a text that is right, one after the other, and wants each to be found.
func noticed(t *testing.T, text string, list []mistake, find func(text string) faults) {
	t.Helper()
	for _, m := range list {
		if !strings.Contains(text, m.old) {
			t.Errorf("there is no %q", m.old)
		}
		found := find(strings.Replace(text, m.old, m.mistake, 1))
		if !strings.Contains(strings.Join(found, "\n"), m.says) {
			t.Errorf("%s: nothing says %q: %q", m.mistake, m.says, found)
		}
	}
}

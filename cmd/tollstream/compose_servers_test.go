package main

import (
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// readProgram reads a command line and an environment as the program does, and runs nothing.
func readProgram(line, environ []string) (*cobra.Command, *Config, error) {
	command, rest, err := newRootCommand().Find(line)
	if err != nil {
		return nil, nil, err
	}
	if err := command.ParseFlags(rest); err != nil {
		return nil, nil, err
	}
	if err := command.ValidateArgs(command.Flags().Args()); err != nil {
		return nil, nil, err
	}
	cfg, err := readConfig(command.Flags(), environ)
	if err == nil {
		err = cfg.Validate()
	}
	if err == nil && command.Name() == "run" {
		err = cfg.ValidateRun()
	}
	return command, cfg, err
}

// value gives a variable of a service.
func (c *composition) value(service, name string) string {
	if v := c.Services[service].Environment[name]; v != nil {
		return *v
	}
	c.add("%s: has no %s", service, name)
	return ""
}

// mounted gives the source of what is mounted there.
func (c *composition) mounted(service, target string) (types.ServiceVolumeConfig, bool) {
	list := c.Services[service].Volumes
	i := slices.IndexFunc(list, func(v types.ServiceVolumeConfig) bool { return v.Target == target })
	if i < 0 {
		return types.ServiceVolumeConfig{}, false
	}
	return list[i], true
}

// published tells whether a port of a service is published.
func (c *composition) published(service, port string) bool {
	return slices.ContainsFunc(c.Services[service].Ports, func(p types.ServicePortConfig) bool {
		return strconv.Itoa(int(p.Target)) == port
	})
}

// checkServers wants every process to find Kafka and ClickHouse where they are, as whom they know.
func (c *composition) checkServers() {
	advertised := c.value("kafka", "KAFKA_ADVERTISED_LISTENERS")
	if v, ok := c.mounted("kafka", c.value("kafka", "KAFKA_LOG_DIRS")); !ok || v.Type != "volume" {
		c.add("kafka: its logs are in a folder that is not a volume")
	}
	for name, cfg := range c.configs {
		if !strings.Contains(advertised, "://"+cfg.Kafka.Brokers[0]+",") {
			c.add("%s: kafka.brokers is %s, and Kafka advertises %s", name, cfg.Kafka.Brokers,
				advertised)
		}
		h := &cfg.ClickHouse
		host, port, _ := net.SplitHostPort(h.Addr)
		if host != "clickhouse" || !c.published(host, port) || h.Protocol != protocolHTTP {
			c.add("%s: clickhouse.addr is %s", name, h.Addr)
		}
		for _, same := range []struct{ key, ours, theirs string }{
			{"clickhouse.user", h.User, "CLICKHOUSE_USER"},
			{"clickhouse.password", string(h.Password), "CLICKHOUSE_PASSWORD"},
			{"clickhouse.database", h.Database, "CLICKHOUSE_DB"},
		} {
			if same.ours != c.value("clickhouse", same.theirs) {
				c.add("%s: %s is not %s of clickhouse", name, same.key, same.theirs)
			}
		}
	}
	for _, topic := range c.inputs() {
		if !strings.Contains(c.Services["topics"].Command[0], " "+topic) {
			c.add("topics: leaves out %s of the topics that the pipeline reads", topic)
		}
	}
}

// inputs are the topics that the pipeline reads.
func (c *composition) inputs() []string {
	topics := &c.configs["tollstream"].Kafka.Topics
	return append(slices.Clone(topics.Calls), topics.AccountEvents)
}

// checkOwnCalls wants topics that are made as the pipeline wants them, and no generator.
func (c *composition) checkOwnCalls() {
	script := c.Services["topics"].Command[0]
	for _, setting := range []string{"message.timestamp.type=LogAppendTime", "cleanup.policy=delete",
		"retention.ms=-1"} {
		if !strings.Contains(script, "--config "+setting) {
			c.add("topics: are made without %s", setting)
		}
	}
	if len(c.commands) != 2 {
		c.add("more runs than migrate and run: %v", c.commands)
	}
}

// checkGenerator wants one story, told in two parts, whose first day is the first that is closed.
func (c *composition) checkGenerator() {
	past, live := c.Services["history"], c.Services["load"]
	if !slices.Equal(past.Entrypoint, live.Entrypoint) ||
		c.commands["history"] != "generate" || c.commands["load"] != "generate" ||
		!slices.Equal(past.Command, types.ShellCommand{"--send=past"}) ||
		!slices.Equal(live.Command, types.ShellCommand{"--send=live"}) {
		c.add("history and load do not play the same story")
	}
	first := c.configs["tollstream"].Settle.FirstClosing
	if !slices.Contains(past.Entrypoint, "--from="+first.String()) {
		c.add("the first closing is not of the first day with calls")
	}
}

// checkPrometheus wants its files where they look for each other, and the pipeline scraped where it
// listens.
func (c *composition) checkPrometheus() {
	const folder = "/etc/prometheus"
	var config struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrape    []struct {
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	c.yaml("deploy/prometheus/prometheus.yml", &config)
	for _, name := range append([]string{"prometheus.yml"}, config.RuleFiles...) {
		v, ok := c.mounted("prometheus", filepath.Join(folder, name))
		if !ok || filepath.Base(v.Source) != name {
			c.add("prometheus: there is no %s in %s", name, folder)
		}
	}
	if !slices.Contains(c.Services["prometheus"].Command,
		"--config.file="+folder+"/prometheus.yml") {
		c.add("prometheus: takes another configuration")
	}
	_, port, _ := net.SplitHostPort(c.configs["tollstream"].HTTP.Listen)
	scraped := config.Scrape[0].Static[0].Targets
	if !slices.Equal(scraped, []string{"tollstream:" + port}) || !c.published("tollstream", port) {
		c.add("http.listen has the port %s; Prometheus scrapes %s", port, scraped)
	}
}

func (c *composition) yaml(path string, to any) {
	if err := yaml.Unmarshal([]byte(c.file(path)), to); err != nil {
		c.add("%s: %v", path, err)
	}
}

const provisioning = "deploy/grafana/provisioning/"

// checkGrafana wants its files mounted where they look for each other, its plugin pinned, and its
// variables to lead to the servers by a user that can only read.
func (c *composition) checkGrafana() {
	var sources struct{ Datasources []struct{ Type string } }
	c.yaml(provisioning+"datasources/tollstream.yaml", &sources)
	for _, s := range sources.Datasources {
		plugin := regexp.MustCompile(`(^|,)` + s.Type + `@\d+\.\d+\.\d+(,|$)`)
		if strings.HasPrefix(s.Type, "grafana-") &&
			!plugin.MatchString(c.value("grafana", "GF_PLUGINS_PREINSTALL_SYNC")) {
			c.add("grafana: the plugin %s is not installed, or not pinned", s.Type)
		}
	}
	text := c.file(provisioning + "datasources/tollstream.yaml")
	for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(text, -1) {
		c.value("grafana", m[1])
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	c.yaml(provisioning+"dashboards/tollstream.yaml", &providers)
	path := providers.Providers[0].Options.Path
	if v, ok := c.mounted("grafana", path); !ok || !within(v.Source, "deploy/grafana/dashboards") {
		c.add("grafana: the dashboards are not in %s, where provisioning looks", path)
	}
	v, ok := c.mounted("grafana", "/etc/grafana/provisioning")
	if !ok || !within(v.Source, strings.TrimSuffix(provisioning, "/")) {
		c.add("grafana: provisioning is not where Grafana looks")
	}
	home, ok := strings.CutPrefix(c.value("grafana", "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"),
		path)
	if !ok || !exists("deploy/grafana/dashboards"+home) {
		c.add("grafana: there is no such home dashboard")
	}
	c.checkReader()
}

// checkReader wants Grafana to ask by the user that grafana-user.sh makes after the roles.
func (c *composition) checkReader() {
	user := c.match("deploy/compose/grafana-user.sh", `CREATE USER IF NOT EXISTS (\w+)`)
	role := c.match("deploy/compose/grafana-user.sh", `DEFAULT ROLE (\w+) SETTINGS readonly = 2`)
	if !strings.Contains(c.file("deploy/clickhouse/users.sql"),
		"CREATE ROLE IF NOT EXISTS "+role+";") || role != "tollstream_grafana" ||
		c.value("grafana", "TOLLSTREAM_CLICKHOUSE_USER") != user ||
		c.value("grafana", "TOLLSTREAM_CLICKHOUSE_PASSWORD") !=
			c.value("clickhouse", "GRAFANA_CLICKHOUSE_PASSWORD") {
		c.add("grafana: asks ClickHouse by another user than %s, who can only read", user)
	}
	var scripts []string
	for _, v := range c.Services["clickhouse"].Volumes {
		if strings.HasPrefix(v.Target, "/docker-entrypoint-initdb.d/") {
			scripts = append(scripts, v.Target+" "+filepath.Base(v.Source))
		}
	}
	slices.Sort(scripts)
	if len(scripts) != 2 || !strings.HasSuffix(scripts[0], " users.sql") {
		c.add("clickhouse: the user of Grafana is made before the roles")
	}
	host := c.value("grafana", "TOLLSTREAM_CLICKHOUSE_HOST")
	port := c.value("grafana", "TOLLSTREAM_CLICKHOUSE_PORT")
	if host+":"+port != c.configs["tollstream"].ClickHouse.Addr {
		c.add("grafana: asks ClickHouse at %s:%s", host, port)
	}
	url := c.value("grafana", "TOLLSTREAM_PROMETHEUS_URL")
	if port := strings.TrimPrefix(url, "http://prometheus:"); !c.published("prometheus", port) {
		c.add("grafana: asks Prometheus at %s", url)
	}
}

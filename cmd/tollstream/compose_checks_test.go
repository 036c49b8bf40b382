package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// programImage is the image that is built here.
const programImage = "tollstream:dev"

var pinned = regexp.MustCompile(`^[a-z./-]+:v?\d+\.\d+\.\d+[.\d]*$`)

// checkImage wants images pinned, and ours built by one service, since several at once would get
// into each other's way.
func (c *composition) checkImage(s *types.ServiceConfig) {
	if s.Image != programImage {
		if !pinned.MatchString(s.Image) {
			c.add("%s: the image %s is not pinned to a version", s.Name, s.Image)
		}
		return
	}
	policy := types.PullPolicyNever
	if s.Name == "migrate" {
		policy = types.PullPolicyBuild
	}
	if s.PullPolicy != policy || (s.Build != nil) != (policy == types.PullPolicyBuild) {
		c.add("%s: %s is built by migrate and pulled by nobody", s.Name, s.Image)
	}
}

// notRoot are images whose own user is another one: ours, and uid 1000 of Apache Kafka.
var notRoot = regexp.MustCompile(`^(tollstream:dev|apache/kafka:.*)$`)

// writesRoot are services whose image writes beside its data; the file says what.
var writesRoot = []string{"kafka", "topics", "clickhouse"}

// checkConfined wants no rights and bounded resources.
func (c *composition) checkConfined(s *types.ServiceConfig) {
	if !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged {
		c.add("%s: keeps capabilities", s.Name)
	}
	if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		c.add("%s: can gain new privileges", s.Name)
	}
	if s.MemLimit <= 0 || s.CPUS <= 0 || s.PidsLimit <= 0 {
		c.add("%s: is not limited in memory, CPUs and processes", s.Name)
	}
	uid, _, _ := strings.Cut(s.User, ":")
	if uid == "0" || uid == "root" || uid == "" && !notRoot.MatchString(s.Image) {
		c.add("%s: runs as root, as far as can be told", s.Name)
	}
	if !s.ReadOnly && !slices.Contains(writesRoot, s.Name) {
		c.add("%s: its root can be written", s.Name)
	}
}

func (c *composition) checkPorts(s *types.ServiceConfig) {
	for _, p := range s.Ports {
		if p.HostIP != "127.0.0.1" {
			c.add("%s: port %s is open to the network", s.Name, p.Published)
		}
	}
}

// checkMounts wants files of this repository to be there, and not to be written.
func (c *composition) checkMounts(s *types.ServiceConfig) {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			c.add("%s: %v", s.Name, err)
		}
		if !v.ReadOnly {
			c.add("%s: %s can be written", s.Name, v.Source)
		}
	}
}

func (c *composition) checkSecrets(s *types.ServiceConfig) {
	for name, value := range s.Environment {
		if strings.Contains(name, "PASSWORD") && !strings.HasPrefix(*value, "secret-") {
			c.add("%s: the value of %s stands in the file", s.Name, name)
		}
	}
}

// once tells whether a service does its work and ends.
func once(s *types.ServiceConfig) bool { return s.Restart == types.RestartPolicyNo }

// checkHealth wants a health check of whatever stays.
func (c *composition) checkHealth(s *types.ServiceConfig) {
	checked := s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 0
	if checked == once(s) {
		c.add("%s: no health check, or one of a service that ends", s.Name)
	}
}

// checkOrder wants services to wait for what ends until it has, and for what stays until it is
// healthy. What ends has to be waited for, or `up --wait` takes its end for a failure.
func (c *composition) checkOrder(s *types.ServiceConfig) {
	for name, d := range s.DependsOn {
		other := c.Services[name]
		want := types.ServiceConditionHealthy
		if once(&other) {
			want = types.ServiceConditionCompletedSuccessfully
		}
		if d.Condition != want {
			c.add("%s: waits for %s by %s, not %s", s.Name, name, d.Condition, want)
		}
	}
	if once(s) && len(s.GetDependents(c.Project)) == 0 {
		c.add("%s: nobody waits for %s", s.Name, s.Name)
	}
}

// checkProgram reads the command line and the environment of a service that runs tollstream, as the
// program does: unknown commands, flags and variables are faults, and so are their values.
func (c *composition) checkProgram(s *types.ServiceConfig) {
	if s.Image != programImage {
		return
	}
	line := slices.Concat(s.Entrypoint, s.Command)
	if len(s.Entrypoint) > 0 {
		line = line[1:]
	}
	command, cfg, err := readProgram(line, environment(s))
	if err != nil {
		c.add("%s: %v", s.Name, err)
		return
	}
	c.commands[s.Name], c.configs[s.Name] = command.Name(), cfg
	if s.HealthCheck == nil || s.HealthCheck.Disable {
		return
	}
	test := s.HealthCheck.Test
	if len(test) < 3 || test[0] != "CMD" || test[1] != "/tollstream" {
		c.add("%s: the health check %q needs a shell", s.Name, test)
	} else if _, _, err := readProgram(test[2:], environment(s)); err != nil {
		c.add("%s: health check: %v", s.Name, err)
	}
}

func environment(s *types.ServiceConfig) []string {
	var environ []string
	for name, value := range s.Environment {
		environ = append(environ, name+"="+*value)
	}
	return environ
}

// file reads a file of the repository; one that cannot be read is a fault.
func (f *faults) file(path string) string {
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		f.add("%v", err)
	}
	return string(text)
}

// match gives what a pattern's first group finds in a file; nothing is a fault.
func (f *faults) match(path, pattern string) string {
	found := regexp.MustCompile(pattern).FindStringSubmatch(f.file(path))
	if found == nil {
		f.add("%s: nothing like %s", path, pattern)
		return ""
	}
	return found[1]
}

// checkVersions wants the servers to be those that the tests run on.
func (c *composition) checkVersions() {
	for _, v := range []struct{ service, image, said string }{
		{"kafka", "apache/kafka:" + c.match("deploy/apachekafka/pom.xml",
			`kafka_2.13</artifactId>\s*<version>([\d.]+)<`), "tests run on"},
		{"clickhouse", "clickhouse/clickhouse-server:" + c.match("deploy/embedded/package.json",
			`lib-linux-x64-gnu": "(\d+\.\d+)\.`), "tests run on"},
		// Prometheus 3.12.0 is the module's v0.312.0.
		{"prometheus", "prom/prometheus:v3." + c.match("deploy/prometheus/go.mod",
			`prometheus/prometheus v0\.3(\d+\.\d+)`), "alerts are tested by"},
	} {
		if got := c.Services[v.service].Image; !strings.HasPrefix(got, v.image) {
			c.add("%s is not %s, which the %s", got, v.image, v.said)
		}
	}
}

// exists tells whether the repository has a file.
func exists(path string) bool {
	_, err := os.Stat(filepath.Join(repository, path))
	return err == nil
}

// within tells whether an absolute path is that one of the repository.
func within(absolute, path string) bool {
	want, err := filepath.Abs(filepath.Join(repository, path))
	return err == nil && absolute == want
}

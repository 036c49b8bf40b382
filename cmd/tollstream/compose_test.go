package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestComposeFileIsUsable reads docker-compose.yml: images are pinned, ports stay on this machine,
// and the settings that it gives are ones that `run` accepts. No Docker is needed for that.
func TestComposeFileIsUsable(t *testing.T) {
	data, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image       string
			Ports       []string
			Environment map[string]string
			Command     []string
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	ran := false
	for name, s := range file.Services {
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("service %s: image %q is not pinned", name, s.Image)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("service %s: port %s is open to the network", name, p)
			}
		}
		if len(s.Command) > 0 && s.Command[0] == "run" {
			ran = true
			checkEnvironment(t, s.Environment)
		}
	}
	if !ran {
		t.Error("no service runs the pipeline")
	}
}

var defaulted = regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`)

func checkEnvironment(t *testing.T, environment map[string]string) {
	t.Helper()
	var environ []string
	for name, value := range environment {
		environ = append(environ, name+"="+defaulted.ReplaceAllString(value, "$1"))
	}
	c := newRunCommand()
	cfg, err := readConfig(c.Flags(), environ)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if err := cfg.ValidateRun(); err != nil {
		t.Error(err)
	}
}

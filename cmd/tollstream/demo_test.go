package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDemoPrintsWhatTheReadmeShows runs the README's first command and looks for every line of the
// bill that the README shows.
func TestDemoPrintsWhatTheReadmeShows(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(readme), "```text\n")
	block, _, _ = strings.Cut(block, "```")
	if !found || !strings.Contains(block, "Total") {
		t.Fatal("the README shows no bill")
	}
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	demo := exec.CommandContext(t.Context(), program, "demo", "--once", "--http.listen=127.0.0.1:0",
		"--embedded.kafka_listen=127.0.0.1:0", "--embedded.clickhouse_listen=127.0.0.1:0")
	out, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(block) {
		if line = strings.TrimSpace(line); !strings.Contains(string(out), line) {
			t.Errorf("the demo does not print %q", line)
		}
	}
}

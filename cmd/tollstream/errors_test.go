package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runLine runs a command line in this process and gives its exit status and stderr.
func runLine(t *testing.T, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, &stdout, &stderr)
	return status, stderr.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const first = "--settle.first_closing=2023-02-01"

// TestErrorsAreOneLine goes through what goes wrong for a newcomer: each mistake has a line that
// says what, where and what to do, and the right exit status.
func TestErrorsAreOneLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"unknown command", []string{"frob"}, 2, `unknown command "frob"`},
		{"unknown verb", []string{"bills", "frob"}, 2, `unknown command "frob"`},
		{"unknown flag", []string{"run", "--nope"}, 2, "unknown flag: --nope"},
		{"missing flags", []string{"bill", "--calls", "x"}, 2, "--events"},
		{"bad time", []string{"bill", "--calls", "x", "--events", "x", "--until", "soon"}, 2,
			"RFC 3339"},
		{"missing file", []string{"bill", "--calls", "/nope", "--events", "/nope", "--until",
			"2023-01-01T00:00:00Z"}, 2, "/nope"},
		{"unknown key", []string{"run", "--config", write(t, "kafka:\n  broker: x\n")}, 2,
			"did you mean kafka.brokers"},
		{"missing config", []string{"run", "--config", "/nope.yaml"}, 2, "/nope.yaml"},
		{"broken catalogue", []string{"run", "--catalog", write(t, "product: x\n"), "--http.listen",
			"127.0.0.1:0", first}, 2, "catalog check"},
		{"simulate what", []string{"simulate", "--from", "2023-01-01", "--to", "2023-02-01"}, 2,
			"--catalog, --from and --to are needed"},
		{"simulate nothing", []string{"simulate", "--catalog", "x", "--from", "2023-01-01", "--to",
			"2023-01-01"}, 2, "--from 2023-01-01 is not before --to 2023-01-01"},
		{"simulate as", []string{"simulate", "--catalog", "x", "--from", "2023-01-01", "--to",
			"2023-01-02", "--format", "xml"}, 2, "none of table, json, csv"},
		{"simulate a broken catalogue", []string{"simulate", "--catalog", write(t, "product: x\n"),
			"--from", "2023-01-01", "--to", "2023-01-02"}, 2, "catalog check"},
		{"no ClickHouse", []string{"run", "--clickhouse.addr", "127.0.0.1:1", "--http.listen",
			"127.0.0.1:0", first}, 1, "not reachable"},
		{"no first closing", []string{"run"}, 2, "settle.first_closing"},
		{"data folder is a file", []string{"embedded", "--embedded.data_dir", write(t, "x")}, 1,
			"directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stderr := runLine(t, c.args...)
			checkLine(t, status, stderr, c.status, c.says)
		})
	}
}

func checkLine(t *testing.T, status int, stderr string, want int, says string) {
	t.Helper()
	if status != want {
		t.Errorf("exit status %d, want %d: %s", status, want, stderr)
	}
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "tollstream: ") ||
		!strings.Contains(stderr, says) {
		t.Errorf("want one line that says %q, got %q", says, stderr)
	}
}

// TestErrorsOfServers needs a ClickHouse that answers: no broker, a wrong password, ports and
// folders that are taken.
func TestErrorsOfServers(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // a test
	t.Setenv("TOLLSTREAM_CLICKHOUSE__PASSWORD", "right")
	w := newTestWorldWith(t, t.TempDir(), "right")
	clickhouse := []string{"--clickhouse.addr", w.cfg.ClickHouse.Addr, "--http.listen", "127.0.0.1:0",
		first}

	status, stderr := runLine(t, append([]string{"run", "--kafka.brokers", "127.0.0.1:1"},
		clickhouse...)...)
	checkLine(t, status, stderr, 1, "127.0.0.1:1")

	status, stderr = runLine(t, "run", "--clickhouse.addr", w.cfg.ClickHouse.Addr,
		"--http.listen", taken.Addr().String(), first)
	checkLine(t, status, stderr, 1, "another process has that port")

	status, stderr = runLine(t, "embedded", "--embedded.kafka_listen", taken.Addr().String(),
		"--embedded.data_dir", t.TempDir())
	checkLine(t, status, stderr, 1, "in use")

	status, stderr = runLine(t, "embedded", "--embedded.kafka_listen", "127.0.0.1:0",
		"--embedded.data_dir", w.cfg.Embedded.DataDir)
	checkLine(t, status, stderr, 1, "in use")

	t.Setenv("TOLLSTREAM_CLICKHOUSE__PASSWORD", "wrong")
	status, stderr = runLine(t, append([]string{"run"}, clickhouse...)...)
	checkLine(t, status, stderr, 1, "password")
}

package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/report"
)

const cookbookFile = "../../docs/cookbook.md"

var updateCookbook = flag.Bool("update-cookbook", false, "write the answers of docs/cookbook.md")

// TestDemo runs the README's first command. It wants every line of the bill that the README shows,
// an answer to every question of the cookbook, and an end in order when it is interrupted.
func TestDemo(t *testing.T) {
	demo, printed := startDemo(t)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(readme), "```text\n")
	block, _, _ = strings.Cut(block, "```")
	if !found || !strings.Contains(block, "Total") {
		t.Fatal("the README shows no bill")
	}
	for line := range strings.Lines(block) {
		if line = strings.TrimSpace(line); !strings.Contains(printed, line) {
			t.Errorf("the demo does not print %q", line)
		}
	}
	m := regexp.MustCompile(`SQL at (http://[0-9.:]+) \(database billing\)`).FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("the demo does not say where to ask:\n%s", printed)
	}
	checkCookbook(t, m[1])
	checkSDKReport(t, demo.Path, m[1])
	checkDashboards(t, m[1])
	checkRollups(t, m[1])
	if err := demo.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := demo.Wait(); err != nil {
		t.Errorf("interrupted, it ends with %v", err)
	}
}

// startDemo runs the demo until it serves, and gives what it printed until then.
func startDemo(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	demo := exec.CommandContext(t.Context(), program, "demo", "--http.listen=127.0.0.1:0",
		"--embedded.kafka_listen=127.0.0.1:0", "--embedded.clickhouse_listen=127.0.0.1:0")
	demo.Stderr = os.Stderr
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		printed.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "  curl ") { // its last word
			go io.Copy(io.Discard, out) //nolint:errcheck // it says nothing more
			return demo, printed.String()
		}
	}
	t.Fatalf("the demo ended with %v:\n%s", demo.Wait(), printed.String())
	return nil, ""
}

// checkSDKReport wants every call that names a library in the report.
func checkSDKReport(t *testing.T, program, server string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "report", "sdk", "--format", "json",
		"--clickhouse.addr", strings.TrimPrefix(server, "http://")).Output()
	if err != nil {
		t.Fatalf("report sdk: %v: %s", err, out)
	}
	var r report.SDKs
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	calls := ask(t, server, "SELECT count() FROM calls WHERE sdk_name != '' OR sdk_version != ''\n")
	told := fmt.Sprintf(" %d │", r.Calls)
	if len(r.Outdated) == 0 || r.Calls == 0 || !strings.Contains(calls, told) {
		t.Errorf("%d kinds of old libraries; %d calls, not\n%s", len(r.Outdated), r.Calls, calls)
	}
	for _, o := range r.Outdated {
		if o.Calls == 0 || o.Mandated == "" || o.FirstDay > o.LastDay {
			t.Errorf("%+v", o)
		}
	}
}

// question is one of the cookbook: its statement, and the answer that stands below it.
var question = regexp.MustCompile("(?s)### ([^\n]+)\n.*?```sql\n(.*?)```\n(?:\n```text\n(.*?)```\n)?")

// checkCookbook asks the questions. An answer may be late, since open days are as of a sweep.
func checkCookbook(t *testing.T, server string) {
	t.Helper()
	page, err := os.ReadFile(cookbookFile)
	if err != nil {
		t.Fatal(err)
	}
	asked := question.FindAllStringSubmatch(string(page), -1)
	if n := strings.Count(string(page), "```sql"); len(asked) < 20 || len(asked) != n {
		t.Fatalf("%d questions are understood, of %d", len(asked), n)
	}
	written := string(page)
	for _, q := range asked {
		answer := ask(t, server, q[2])
		deadline := time.Now().Add(time.Minute)
		for answer != q[3] && time.Now().Before(deadline) && !*updateCookbook {
			time.Sleep(time.Second)
			answer = ask(t, server, q[2])
		}
		if answer == q[3] {
			continue
		}
		if !*updateCookbook {
			t.Errorf("%s\n%s\nwant:\n%s", q[1], answer, q[3])
			continue
		}
		head, _, _ := strings.Cut(q[0], "```\n\n```text\n")
		text := strings.TrimSuffix(head, "```\n") + "```\n\n```text\n" + answer + "```\n"
		written = strings.Replace(written, q[0], text, 1)
	}
	if written != string(page) {
		if err := os.WriteFile(cookbookFile, []byte(written), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// ask gives the answer as the page shows it: a table, or a word where there is no row.
func ask(t *testing.T, server, sql string) string {
	t.Helper()
	answer := query(t, server, sql, "PrettyCompactMonoBlock SETTINGS "+
		"output_format_pretty_color = 0, output_format_pretty_row_numbers = 0")
	if len(answer) == 0 {
		return "(no row)\n"
	}
	return string(answer)
}

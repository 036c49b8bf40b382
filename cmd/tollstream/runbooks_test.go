package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

var (
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	sqlBlock   = regexp.MustCompile("(?s)```sql\n(.*?)```")
)

// TestRunbooks runs each SQL statement of docs/runbooks against the schema, and reads each command
// of ours: verbs and flags have to be there.
func TestRunbooks(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{w.cfg.ClickHouse.Addr},
		Protocol: clickhouse.HTTP})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // only read
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	statements, commands := 0, 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range sqlBlock.FindAllSubmatch(text, -1) {
			for sql := range strings.SplitSeq(strings.TrimSpace(string(block[1])), ";") {
				if sql == "" {
					continue
				}
				statements++
				if err := conn.Exec(t.Context(), sql); err != nil {
					t.Errorf("%s: %s: %v", page, sql, err)
				}
			}
		}
		for _, block := range shellBlock.FindAllSubmatch(text, -1) {
			for line := range strings.Lines(string(block[1])) {
				if args := strings.Fields(line); args[0] == "tollstream" {
					commands++
					checkCommand(t, page, args[1:])
				}
			}
		}
	}
	if statements < 10 || commands < 10 {
		t.Errorf("%d statements and %d commands were found", statements, commands)
	}
}

// checkCommand finds the verb and reads its flags; nothing is run.
func checkCommand(t *testing.T, page string, args []string) {
	t.Helper()
	c, rest, err := newRootCommand().Find(args)
	if err != nil || !c.Runnable() {
		t.Errorf("%s: tollstream %s: %v", page, strings.Join(args, " "), err)
		return
	}
	for i, arg := range rest {
		switch arg {
		case "P", "N", "M": // placeholders of numbers
			rest[i] = "1"
		}
	}
	c.InitDefaultHelpFlag()
	if err := c.ParseFlags(rest); err != nil && !strings.Contains(err.Error(), "help requested") {
		t.Errorf("%s: tollstream %s: %v", page, strings.Join(args, " "), err)
	}
}

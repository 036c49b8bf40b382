package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

var sqlBlock = regexp.MustCompile("(?s)```sql\n(.*?)```")

// TestManualSQL runs each SQL statement of the runbooks and of the manuals for operators against
// the schema. The commands in them are read by TestCommandsInDocuments.
func TestManualSQL(t *testing.T) {
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
	statements := 0
	for _, page := range append(pages, "../../docs/operations.md", "../../docs/upgrade.md") {
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
	}
	if statements < 10 {
		t.Errorf("%d statements were found", statements)
	}
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
)

// TestBackupOfRows takes the rows out of a database and puts them into another one by the commands
// of docs/operations.md, in their order, twice. The other one then has every row, and its bills and
// books verify; a pipeline goes on with it.
func TestBackupOfRows(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the commands are for curl, which is not here")
	}
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.event(f.at(0, 1), "account.opened", "e1", "acme",
		fmt.Sprintf(`,"opened_at":%q`, f.at(0, 0)), f.at(0, 1))
	stop := w.start(t)
	day := func(n int) {
		for i := range 40 {
			f.call(f.at(n, 12), fmt.Sprint("call-", n, "-", i), "acme", f.at(n, 11))
		}
		f.tick(f.at(n+1, 9), "acme")
	}
	day(0)
	day(1)
	w.closed(t, 2)
	stop()

	blocks := backupBlocks(t)
	folder := t.TempDir()
	for range 2 {
		for _, block := range blocks {
			w.follow(t, folder, block)
		}
		if err := os.RemoveAll(folder + "/backup"); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(database string) string {
		return w.sql(t, `SELECT sum(total), count(), groupArray(digest) FROM
			(SELECT * FROM `+database+`.bills ORDER BY bill_id)`) + w.sql(t,
			`SELECT count(), sum(cityHash64(*)) FROM `+database+`.calls_billed`) + w.sql(t,
			`SELECT count(), sum(cityHash64(*)) FROM `+database+`.deliveries FINAL`) + w.sql(t,
			`SELECT count(), sum(cityHash64(*)) FROM `+database+`.ledger_entries`)
	}
	if got, want := rows("billing_2"), rows("billing"); got != want || strings.HasPrefix(want, "0") {
		t.Errorf("the rows that were put back are\n%s\nwant\n%s", got, want)
	}

	w.cfg.ClickHouse.Database = "billing_2"
	stop = w.start(t)
	day(2)
	w.closed(t, 3)
	stop()
}

// backupBlocks are the commands of the section on backups.
func backupBlocks(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Back up and restore\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	for _, m := range shellBlock.FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands", len(blocks))
	}
	return blocks
}

// follow does what a block says: our commands in this process, others by a shell.
func (w *testWorld) follow(t *testing.T, folder, block string) {
	t.Helper()
	if strings.HasPrefix(block, "tollstream ") {
		for line := range strings.Lines(block) {
			status, stdout, stderr := w.command(t, strings.Fields(line)[1:]...)
			if status != exitDone {
				t.Fatalf("%s ends with %d: %s%s", line, status, stdout, stderr)
			}
		}
		return
	}
	c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block)
	c.Dir, c.Env = folder, append(os.Environ(), "CLICKHOUSE=http://"+w.cfg.ClickHouse.Addr)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v: %s", block, err, out.String())
	}
}

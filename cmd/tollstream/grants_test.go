package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
)

const grantsFile = "../../deploy/clickhouse/users.sql"

var updateGrants = flag.Bool("update-grants", false, "rewrite deploy/clickhouse/users.sql")

// TestGrants runs each role of the pipeline as a ClickHouse user of its own and compares what each
// asks for with deploy/clickhouse/users.sql. The embedded ClickHouse has no users, so a proxy tells
// them apart and notes their statements: that a real server enforces the grants is not shown here.
func TestGrants(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	g, err := generate.New(generate.Options{Seed: 7, Catalog: w.cat, CallPartitions: callPartitions,
		From: billing.DateOf(2023, 2, 1), To: billing.DateOf(2023, 2, 6), Accounts: 12, Calls: 3000,
		Rates: generate.DefaultRates()})
	if err != nil {
		t.Fatal(err)
	}
	w.generated(t, g)
	w.cfg.Settle.FirstClosing, w.cfg.Settle.Until = g.FirstClosing(), g.Until()
	seen := w.runRoles(t)
	// The days have no call that is taken back, no record that is old, and too few sweeps for an old
	// one to go.
	seen["tollstream_settle"] = append(seen["tollstream_settle"], "INSERT INTO reversed_calls",
		"INSERT INTO voided_copies", "INSERT INTO redacted_records",
		"ALTER TABLE quarantined_records UPDATE")
	seen["tollstream_usage"] = append(seen["tollstream_usage"],
		"ALTER TABLE open_usage DROP PARTITION", "ALTER TABLE open_duplicates DROP PARTITION")
	schema := w.readSchema(t)
	if *updateGrants {
		if err := os.WriteFile(grantsFile, []byte(schema.grants(seen)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(grantsFile)
	if err != nil {
		t.Fatal(err)
	}
	for user, statements := range seen {
		for need := range schema.needs(statements) {
			if !granted(string(text), need, user) {
				t.Errorf("%s needs %s; go test ./cmd/tollstream -run TestGrants -update-grants", user, need)
			}
		}
	}
	if n := len(seen); n != 4 {
		t.Errorf("%d users were seen, want 4", n)
	}
	checkEveryTableIsGranted(t, string(text))
	schema.checkPanelsAreGranted(t, string(text))
	w.checkGrantsParse(t, string(text))
	if granted(string(text), "INSERT ON closed_bills", "tollstream_ingest") ||
		granted(string(text), "INSERT ON call_copies", "tollstream_settle") ||
		granted(string(text), "SELECT ON quarantined_records", "tollstream_read") {
		t.Error("a role may do what is another's")
	}
}

// ownersTables are those into which no role of the pipeline writes.
var ownersTables = []string{"reasons"}

var insertInto = regexp.MustCompile(`insert\(ctx, "([a-z_]+)"|INSERT INTO ([a-z_]+)`)

// checkEveryTableIsGranted looks for tables into which the program writes on roads that the test
// does not take.
func checkEveryTableIsGranted(t *testing.T, grants string) {
	t.Helper()
	files, err := filepath.Glob("../../sinks/clickhouse/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range insertInto.FindAllSubmatch(source, -1) {
			table := string(m[1]) + string(m[2])
			found++
			if !strings.Contains(grants, "GRANT INSERT ON billing."+table+" TO ") &&
				!slices.Contains(ownersTables, table) {
				t.Errorf("%s writes into %s, which no role may", file, table)
			}
		}
	}
	if found < 20 {
		t.Errorf("%d writes were found", found)
	}
}

// checkGrantsParse has the engine read each statement. It refuses them all, since nobody may grant
// there, but not for their syntax.
func (w *testWorld) checkGrantsParse(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "--") {
			continue
		}
		answer, err := http.Post("http://"+w.cfg.ClickHouse.Addr+"/", "text/plain",
			strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if !bytes.Contains(body, []byte("ACCESS_DENIED")) &&
			!bytes.Contains(body, []byte("UNKNOWN_ROLE")) {
			t.Errorf("%s: %s", line, body)
		}
	}
}

// runRoles runs ingest, usage and settle side by side, each as its own user, until settle is done,
// and then an audit, and gives the statements of each user.
func (w *testWorld) runRoles(t *testing.T) map[string][]string {
	t.Helper()
	users := &userProxy{seen: map[string][]string{}}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http",
		Host: w.cfg.ClickHouse.Addr})
	server := httptest.NewServer(http.HandlerFunc(func(o http.ResponseWriter, r *http.Request) {
		users.note(r)
		proxy.ServeHTTP(o, r)
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	as := func(user string) *Config {
		cfg := *w.cfg
		cfg.ClickHouse.User = user
		cfg.ClickHouse.Addr, cfg.ClickHouse.Compression = server.Listener.Addr().String(), "none"
		return &cfg
	}
	for _, role := range []string{roleIngest, roleUsage, roleSettle} {
		cfg := as("tollstream_" + role)
		cfg.Roles = []string{role}
		s, err := build(t.Context(), cfg, w.logger)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		go func() {
			if err := s.Run(ctx); err != nil || role == roleSettle {
				ended <- err
			}
		}()
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	auditor := *w
	auditor.cfg = as("tollstream_audit")
	auditor.auditedBooks(t)
	users.mu.Lock()
	defer users.mu.Unlock()
	return maps.Clone(users.seen)
}

// userProxy notes what each user asks and passes it on as the one user that there is.
type userProxy struct {
	mu   sync.Mutex
	seen map[string][]string
}

func (p *userProxy) note(r *http.Request) {
	user, _, _ := r.BasicAuth()
	statement := r.URL.Query().Get("query")
	if statement == "" {
		body, _ := io.ReadAll(r.Body)
		r.Body, statement = io.NopCloser(bytes.NewReader(body)), string(body)
	}
	r.SetBasicAuth("default", "")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[user] = append(p.seen[user], statement)
}

// testSchema has the tables, and the views with the names that each reads.
type testSchema struct {
	tables []string
	views  map[string][]string
}

var tableName = regexp.MustCompile(`(?i)\b(?:FROM|JOIN)\s+(?:[a-z_0-9]+\.)?([a-z_][a-z_0-9]*)`)

func (w *testWorld) readSchema(t *testing.T) *testSchema {
	t.Helper()
	status, body := get(t, "http://"+w.cfg.ClickHouse.Addr+"/?query="+url.QueryEscape(
		"SELECT name, replaceAll(as_select, '\\n', ' ') FROM system.tables WHERE database = '"+
			w.cfg.ClickHouse.Database+"' ORDER BY name FORMAT TSVRaw"))
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, body)
	}
	s := &testSchema{views: map[string][]string{}}
	for line := range strings.Lines(string(body)) {
		name, query, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		s.tables = append(s.tables, name)
		if query != "" {
			s.views[name] = namesIn(query)
		}
	}
	return s
}

func namesIn(sql string) []string {
	var names []string
	for _, m := range tableName.FindAllStringSubmatch(sql, -1) {
		names = append(names, m[1])
	}
	return names
}

// reads are a table or view and all that a view rests on: a view asks with its reader's rights.
func (s *testSchema) reads(name string, into map[string]bool) {
	if !slices.Contains(s.tables, name) || into[name] {
		return
	}
	into[name] = true
	for _, below := range s.views[name] {
		s.reads(below, into)
	}
}

var writes = map[string]*regexp.Regexp{
	"INSERT":       regexp.MustCompile(`(?i)^\s*INSERT\s+INTO\s+([a-z_0-9]+)`),
	"ALTER DELETE": regexp.MustCompile(`(?i)^\s*ALTER\s+TABLE\s+([a-z_0-9]+)\s+DROP\s+PARTITION`),
	"ALTER UPDATE": regexp.MustCompile(`(?i)^\s*ALTER\s+TABLE\s+([a-z_0-9]+)\s+UPDATE`),
}

// needs are the rights without which one of the statements fails, as "INSERT ON bills".
func (s *testSchema) needs(statements []string) map[string]bool {
	needs, read := map[string]bool{}, map[string]bool{}
	for _, sql := range statements {
		for _, name := range namesIn(sql) {
			s.reads(name, read)
		}
		for verb, form := range writes {
			if m := form.FindStringSubmatch(sql); m != nil {
				needs[verb+" ON "+m[1]] = true
			}
		}
	}
	for name := range read {
		needs["SELECT ON "+name] = true
	}
	return needs
}

var columns = regexp.MustCompile(`\([^)]*\)`)

// granted looks for a right of a user; SELECT may be granted on the whole database, or on columns.
func granted(text, need, user string) bool {
	_, table, _ := strings.Cut(need, " ON ")
	for line := range strings.Lines(text) {
		right, to, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), ";"), " TO ")
		if !ok || to != user {
			continue
		}
		right = strings.ReplaceAll(strings.TrimPrefix(right, "GRANT "), "billing.", "")
		right = columns.ReplaceAllString(right, "")
		if right == need || right == strings.Replace(need, table, "*", 1) {
			return true
		}
	}
	return false
}

const grantsHead = `-- ClickHouse roles for the users of tollstream. Made by
--   go test ./cmd/tollstream -run TestGrants -update-grants
-- from the statements that each role of the pipeline issues in that test; a statement that no grant
-- here allows fails it. Run it as an administrator after tollstream migrate, then for each process
--   CREATE USER ingest IDENTIFIED BY '...' DEFAULT ROLE tollstream_ingest;
-- and give the process that user as clickhouse.user. Another database than billing: replace it.
--
--   tollstream_owner    migrate, rebuild, quarantine requeue, quarantine redact
--   tollstream_ingest   run --roles=ingest
--   tollstream_usage    run --roles=usage
--   tollstream_settle   run --roles=settle
--   tollstream_audit    audit, which looks whether rows of the quarantine stand
--   tollstream_read     bills, simulate, finance: all but the quarantine
--   tollstream_grafana  the same, and of the quarantine how many and since when

`

// grants writes the file for what was seen.
func (s *testSchema) grants(seen map[string][]string) string {
	var out strings.Builder
	out.WriteString(grantsHead)
	users := append(slices.Sorted(maps.Keys(seen)), "tollstream_owner", "tollstream_read",
		"tollstream_grafana")
	for _, user := range users {
		fmt.Fprintf(&out, "CREATE ROLE IF NOT EXISTS %s;\n", user)
	}
	for _, user := range slices.Sorted(maps.Keys(seen)) {
		fmt.Fprintf(&out, "\nGRANT SELECT ON billing.* TO %s;\n", user)
		for _, need := range slices.Sorted(maps.Keys(s.needs(seen[user]))) {
			if verb, table, _ := strings.Cut(need, " ON "); verb != "SELECT" {
				fmt.Fprintf(&out, "GRANT %s ON billing.%s TO %s;\n", verb, table, user)
			}
		}
	}
	out.WriteString("\n")
	for _, right := range []string{"SELECT", "INSERT", "CREATE DATABASE", "CREATE TABLE",
		"CREATE VIEW", "DROP TABLE", "DROP VIEW", "ALTER TABLE", "ALTER VIEW"} {
		fmt.Fprintf(&out, "GRANT %s ON billing.* TO tollstream_owner;\n", right)
	}
	out.WriteString("\n")
	open := map[string]bool{}
	for view := range s.views {
		below := map[string]bool{}
		s.reads(view, below)
		if !below["quarantined_records"] {
			maps.Copy(open, below)
		}
	}
	open["schema_versions"], open["catalogs"], open["account_events"] = true, true, true
	open["account_routes"], open["account_states"], open["deliveries"] = true, true, true
	open["taken_by_line"], open["reversed_calls"] = true, true // bills explain --calls
	open["account_latest"] = true                              // simulate
	for _, name := range slices.Sorted(maps.Keys(open)) {
		fmt.Fprintf(&out, "GRANT SELECT ON billing.%s TO tollstream_read;\n", name)
	}
	out.WriteString("\n" + grafanaGrants)
	return out.String()
}

// grafanaGrants leave out key, value, headers and detail: what a record says.
const grafanaGrants = `GRANT tollstream_read TO tollstream_grafana;
GRANT SELECT ON billing.quarantine_open TO tollstream_grafana;
GRANT SELECT ON billing.reasons TO tollstream_grafana;
GRANT SELECT(account_id, appended_at, hint, reason) ON billing.quarantine TO tollstream_grafana;
GRANT SELECT(account_id, appended_at) ON billing.quarantined_records TO tollstream_grafana;
GRANT SELECT(reason, resolved) ON billing.quarantined_records TO tollstream_grafana;
`

// checkPanelsAreGranted wants Grafana's user to be allowed what its panels ask.
func (s *testSchema) checkPanelsAreGranted(t *testing.T, grants string) {
	t.Helper()
	eachPanel(t, func(page, title, sql string) {
		for need := range s.needs([]string{sql}) {
			if !granted(grants, need, "tollstream_read") &&
				!granted(grants, need, "tollstream_grafana") {
				t.Errorf("%s: %s: Grafana's user needs %s", page, title, need)
			}
		}
	})
}

package cluster

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	migrations "tollstream/schemas/clickhouse"
)

var (
	sortedBy = regexp.MustCompile(`(?m)^ORDER BY (?:\((.*)\)|(\w+))$`)
	words    = regexp.MustCompile(`[a-z_]+\b[^(]|[a-z_]+$`)
)

// tables gives the sorting key of every table of the migrations.
func tables(t *testing.T) map[string][]string {
	t.Helper()
	names, err := fs.Glob(migrations.Files(), "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	texts := []string{Versions}
	for _, name := range names {
		text, err := fs.ReadFile(migrations.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	all := map[string][]string{}
	for _, sql := range split(strings.Join(texts, ";"), ';') {
		sql = strings.TrimSpace(sql)
		m := table.FindStringSubmatch(sql)
		if m == nil {
			continue
		}
		by := sortedBy.FindStringSubmatch(sql)
		if by == nil {
			t.Fatalf("table %s: no ORDER BY at the beginning of a line", m[1])
		}
		all[m[1]] = strings.Split(by[1]+by[2], ", ")
	}
	return all
}

// columnsOf are the columns that a sharding key reads.
func columnsOf(key string) []string {
	var list []string
	for _, word := range words.FindAllString(key, -1) {
		list = append(list, strings.Trim(word, ",) "))
	}
	return list
}

// foreign are the columns of a sharding key that are not of the sorting key.
func foreign(key string, sorted []string) []string {
	return slices.DeleteFunc(columnsOf(key),
		func(column string) bool { return slices.Contains(sorted, column) })
}

func TestKeysAreOfTheSortingKey(t *testing.T) {
	keys, err := Keys()
	if err != nil {
		t.Fatal(err)
	}
	all := tables(t)
	for name, sorted := range all {
		key, ok := keys[name]
		if !ok {
			t.Errorf("table %s has no sharding key: say in sharding.yaml where its rows lie", name)
		}
		if list := foreign(key, sorted); len(list) > 0 {
			t.Errorf("table %s is sharded by %s, of which %q is not of its sorting key (%s)", name, key,
				list, strings.Join(sorted, ", "))
		}
	}
	for name := range keys {
		if all[name] == nil {
			t.Errorf("there is no table %s to shard", name)
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d tables were found", len(all))
	}
	for key, want := range map[string]int{"0": 0, "xxHash64(a)": 0, "xxHash64(c)": 1,
		"cityHash64(a, c, intDiv(b, 5))": 1, "cityHash64(c, d)": 2} {
		if list := foreign(key, []string{"a", "b"}); len(list) != want {
			t.Errorf("%s by a, b: %q, want %d columns", key, list, want)
		}
	}
}

// TestStatements: what a migration says of one server, word for word, and what is refused.
func TestStatements(t *testing.T) {
	s := Schema{Cluster: "main", Database: "billing"}
	got, err := s.Statements(`-- a comment; with a semicolon
CREATE TABLE IF NOT EXISTS reasons
(
    reason String COMMENT 'a; (b', -- its name
    n Decimal(38, 2)
)
ENGINE = ReplacingMergeTree(n)
ORDER BY reason
COMMENT 'it''s a table';
ALTER TABLE reasons ADD COLUMN IF NOT EXISTS x Map(String, String), ADD INDEX i x TYPE minmax;
CREATE OR REPLACE VIEW v (a String) COMMENT 'in it'
AS SELECT a FROM reasons FINAL WHERE a NOT IN (
    SELECT b FROM catalogs) AND (a, b) IN (SELECT 1)
LEFT ANY JOIN (SELECT 2) AS r ON r.a = a`)
	want := []string{`CREATE TABLE IF NOT EXISTS billing_local.reasons ON CLUSTER 'main'
(
    reason String COMMENT 'a; (b', 
    n Decimal(38, 2)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', ` +
		`'{replica}', n)
ORDER BY reason
COMMENT 'it''s a table'`,
		`CREATE TABLE IF NOT EXISTS billing.reasons ON CLUSTER 'main' AS billing_local.reasons
ENGINE = Distributed('main', 'billing_local', 'reasons', 0)
COMMENT 'it''s a table'`,
		`ALTER TABLE billing_local.reasons ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS x ` +
			`Map(String, String), ADD INDEX i x TYPE minmax`,
		`ALTER TABLE billing.reasons ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS x Map(String, String)`,
		`CREATE OR REPLACE VIEW billing.v ON CLUSTER 'main' (a String) COMMENT 'in it'
AS SELECT a FROM reasons FINAL WHERE a GLOBAL NOT IN (
    SELECT b FROM catalogs) AND (a, b) GLOBAL IN (SELECT 1)
GLOBAL LEFT ANY JOIN (SELECT 2) AS r ON r.a = a`}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%s\nwant\n%s", err, strings.Join(got, "\n--\n"), strings.Join(want, "\n--\n"))
	}
	for _, sql := range []string{
		"CREATE TABLE IF NOT EXISTS unheard_of (a String)\nENGINE = ReplacingMergeTree\nORDER BY a",
		"CREATE TABLE IF NOT EXISTS reasons (a String)\nENGINE = Log",
		"CREATE MATERIALIZED VIEW IF NOT EXISTS m TO t AS SELECT 1",
		"INSERT INTO reasons SELECT 1",
		"CREATE TABLE reasons (a String)\nENGINE = ReplacingMergeTree\nORDER BY a",
	} {
		if got, err := s.Statements(sql); err == nil {
			t.Errorf("%s is taken as %q", sql, got)
		}
	}
}

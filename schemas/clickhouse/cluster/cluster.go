// Package cluster makes the schema of a cluster out of the migrations, which are written for one
// server: each table becomes a replicated one on every shard, in a database of its own, and under
// the name that programs and people use a Distributed table over them. There is one schema, not
// two.
//
// It owns the sharding keys (sharding.yaml) and the rewriting, which is text into text. It does not
// own running the statements: that is sinks/clickhouse and `tollstream migrate --cluster`.
package cluster

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed sharding.yaml
var sharding []byte

// Keys gives the sharding key of each table.
var Keys = sync.OnceValues(func() (map[string]string, error) {
	keys := map[string]string{}
	return keys, yaml.Unmarshal(sharding, keys)
})

// Schema says where the schema is made. Both names are letters, digits and _.
type Schema struct{ Cluster, Database string }

// LocalDatabase is the database that has a shard's own tables, by their usual names.
func LocalDatabase(database string) string { return database + "_local" }

// path is where Keeper has what the replicas of a shard's table agree on. ClickHouse puts in the
// names, and what the server's own settings say of shard and replica.
const path = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"

// Versions makes the table of the migrations that were applied, which goose makes on one server.
const Versions = `CREATE TABLE IF NOT EXISTS schema_versions
(
    version_id Int64,
    is_applied UInt8,
    date Date DEFAULT now(),
    tstamp DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY version_id`

// The forms that a statement of a migration has. What is not among them is refused: nobody has
// thought about what it means on several shards.
var (
	table  = regexp.MustCompile(`^CREATE TABLE IF NOT EXISTS (\w+)\s`)
	engine = regexp.MustCompile(`(?m)^ENGINE = (\w*MergeTree)(?:\((.*)\))?$`)
	noted  = regexp.MustCompile(`\nCOMMENT '(?:[^']|'')*'$`)
	view   = regexp.MustCompile(`^CREATE (?:OR REPLACE VIEW|VIEW IF NOT EXISTS) (\w+)\s`)
	alter  = regexp.MustCompile(`^ALTER TABLE (\w+)\s`)
	within = regexp.MustCompile(`\b((?:NOT )?IN \(\s*SELECT)\b`)
	joins  = regexp.MustCompile(`\b((?:(?:LEFT|RIGHT|INNER|FULL|ANY|ALL|SEMI|ANTI) )*JOIN)\b`)
	// columns are the changes that a Distributed table makes too; it has no index and no settings of
	// parts.
	columns = regexp.MustCompile(`^\s*(?:ADD COLUMN|MODIFY COLUMN|COMMENT COLUMN|MODIFY COMMENT)\b`)
)

// Databases makes the two databases.
func (s Schema) Databases() []string {
	const form = "CREATE DATABASE IF NOT EXISTS %s ON CLUSTER '%s' COMMENT '%s'"
	return []string{
		fmt.Sprintf(form, LocalDatabase(s.Database), s.Cluster,
			"tollstream: the rows of this shard; read "+s.Database),
		fmt.Sprintf(form, s.Database, s.Cluster, "tollstream: calls, bills and what lies between"),
	}
}

// Statements gives what a migration file does on a cluster.
func (s Schema) Statements(migration string) ([]string, error) {
	var all []string
	for _, sql := range split(migration, ';') {
		list, err := s.rewrite(strings.TrimSpace(sql))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func (s Schema) rewrite(sql string) ([]string, error) {
	if sql == "" {
		return nil, nil
	}
	if m := table.FindStringSubmatchIndex(sql); m != nil {
		return s.makeTable(sql[m[2]:m[3]], sql[m[3]:])
	}
	if m := view.FindStringSubmatchIndex(sql); m != nil {
		return []string{sql[:m[2]] + s.Database + "." + sql[m[2]:m[3]] + s.everywhere() +
			joins.ReplaceAllString(within.ReplaceAllString(sql[m[3]:], "GLOBAL $1"), "GLOBAL $1")}, nil
	}
	if m := alter.FindStringSubmatchIndex(sql); m != nil {
		return s.alterTable(sql[m[2]:m[3]], sql[m[3]:]), nil
	}
	return nil, fmt.Errorf("no way is known to do this on a cluster: %.60s", sql)
}

func (s Schema) everywhere() string { return " ON CLUSTER '" + s.Cluster + "'" }

// makeTable makes a table on every shard and the Distributed one, which takes its columns over.
func (s Schema) makeTable(name, rest string) ([]string, error) {
	keys, err := Keys()
	if err != nil {
		return nil, err
	}
	key, ok := keys[name]
	if !ok {
		return nil, fmt.Errorf("table %s has no sharding key in schemas/clickhouse/cluster", name)
	}
	m := engine.FindStringSubmatchIndex(rest)
	if m == nil {
		return nil, fmt.Errorf("table %s has no engine that can be replicated", name)
	}
	replicated := "Replicated" + rest[m[2]:m[3]] + "(" + path
	if m[4] >= 0 {
		replicated += ", " + rest[m[4]:m[5]]
	}
	const create = "CREATE TABLE IF NOT EXISTS "
	local := LocalDatabase(s.Database)
	return []string{
		create + local + "." + name + s.everywhere() + rest[:m[2]] + replicated + ")" + rest[m[1]:],
		create + s.Database + "." + name + s.everywhere() + " AS " + local + "." + name +
			fmt.Sprintf("\nENGINE = Distributed('%s', '%s', '%s', %s)", s.Cluster, local, name, key) +
			noted.FindString(rest),
	}, nil
}

// alterTable changes a shard's tables first: a column that the Distributed table has and they have
// not could not be read.
func (s Schema) alterTable(name, changes string) []string {
	const alter = "ALTER TABLE "
	all := []string{alter + LocalDatabase(s.Database) + "." + name + s.everywhere() + changes}
	var both []string
	for _, change := range split(changes, ',') {
		if columns.MatchString(change) {
			both = append(both, change)
		}
	}
	if len(both) > 0 {
		all = append(all, alter+s.Database+"."+name+s.everywhere()+strings.Join(both, ","))
	}
	return all
}

// split cuts SQL at a character that stands outside texts and parentheses, and leaves comments out.
func split(sql string, at byte) []string {
	var parts []string
	var part strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(sql); i++ {
		c := sql[i]
		switch {
		case c == '\'': // '' within a text ends it and begins it again
			quoted = !quoted
		case quoted:
		case strings.HasPrefix(sql[i:], "--"):
			i += max(strings.IndexByte(sql[i:]+"\n", '\n')-1, 0)
			continue
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == at && depth == 0:
			parts = append(parts, part.String())
			part.Reset()
			continue
		}
		part.WriteByte(c)
	}
	return append(parts, part.String())
}

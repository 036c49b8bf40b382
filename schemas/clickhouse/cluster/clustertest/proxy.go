// Package clustertest lets the schema of a cluster, and the statements of a program on it, run on
// the embedded ClickHouse, which has no Keeper and takes no connections from other servers.
//
// A proxy in front of the engine stands in for what is missing. With one shard, tables are not
// replicated and ON CLUSTER is left out; the Distributed tables are real ones, over the engine
// itself. With several, each table of a shard is a table of its own (t_0, t_1, ...). The name
// that programs read is a Merge table over them, which asks each for its rows as a Distributed
// one does, FINAL included; rows that programs insert go through a view for each shard that
// chooses by the sharding key. What is proven by that is which rows meet where. What is not is
// everything that the servers of a real cluster say to each other.
package clustertest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Config is what the engine has to be told at its start: a cluster of one shard, itself, for real
// Distributed tables; and one that has itself twice, over which each row is read two times, to see
// whether statements are accepted where there are several shards.
const Config = `<clickhouse>
	<tcp_port>9000</tcp_port>
	<macros><shard>1</shard><replica>1</replica></macros>
	<remote_servers>
		<main><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></main>
		<twice>
			<shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
			<shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
		</twice>
	</remote_servers>
</clickhouse>
`

// proxy rewrites statements on their way to a server.
type proxy struct {
	server  string
	shards  int
	other   map[string]string // sharding keys in place of the tables' own
	forward *httputil.ReverseProxy

	mu     sync.Mutex
	keys   map[string]string // sharding keys, by database and table
	routed map[string]bool   // tables whose rows find their shards
}

// New gives the address of a proxy to the server at an address, which then is a cluster of so many
// shards for those who speak to the proxy. Tables that are named with a sharding key have that one
// instead of their own.
func New(t testing.TB, server string, shards int, keys map[string]string) string {
	t.Helper()
	p := &proxy{server: server, shards: shards, other: keys, keys: map[string]string{},
		routed:  map[string]bool{},
		forward: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server})}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// ServeHTTP finds the statement, which is in the address where the body has rows.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	text, inBody := query.Get("query"), false
	if text == "" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		text, inBody = string(body), true
	}
	list := p.rewrite(text, query.Get("database"))
	for _, sql := range list[:len(list)-1] {
		if err := p.run(r, sql); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	last := list[len(list)-1]
	if inBody {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(last)), int64(len(last))
	} else {
		query.Set("query", last)
		r.URL.RawQuery = query.Encode()
	}
	p.forward.ServeHTTP(w, r)
}

// run sends a statement of the proxy's own, as whoever sent the request.
func (p *proxy) run(r *http.Request, sql string) error {
	own, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+p.server+"/",
		bytes.NewBufferString(sql))
	if err != nil {
		return err
	}
	own.Header = r.Header.Clone()
	own.Header.Del("Content-Length")
	answer, err := http.DefaultClient.Do(own)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s: %.100s", why, sql)
	}
	return nil
}

var (
	everywhere  = regexp.MustCompile(` ON CLUSTER '\w+'`)
	replicated  = regexp.MustCompile(`Replicated(\w*MergeTree)\('[^']*', '\{replica\}'(?:, )?`)
	ofShard     = regexp.MustCompile(`^(CREATE TABLE IF NOT EXISTS|ALTER TABLE) (\w+_local\.\w+)`)
	distributed = regexp.MustCompile(`^CREATE TABLE IF NOT EXISTS (\w+)\.(\w+) AS (\S+)
ENGINE = Distributed\('\w+', '(\w+)', '\w+', (.*)\)`)
	insert   = regexp.MustCompile(`^\s*INSERT INTO (?:(\w+)\.)?(\w+)`)
	optimize = regexp.MustCompile(`^OPTIMIZE TABLE (\w+)`)
)

// rewrite gives the statements to run for one; the last has the answer.
func (p *proxy) rewrite(sql, database string) []string {
	sql = replicated.ReplaceAllString(everywhere.ReplaceAllString(sql, ""), "$1(")
	sql = optimize.ReplaceAllString(sql, "OPTIMIZE TABLE "+database+"_local.$1")
	if p.shards == 1 {
		return []string{sql}
	}
	if m := distributed.FindStringSubmatchIndex(sql); m != nil {
		part := func(i int) string { return sql[m[2*i]:m[2*i+1]] }
		p.mu.Lock()
		p.keys[part(1)+"."+part(2)] = cmp.Or(p.other[part(2)], part(5))
		p.mu.Unlock()
		return []string{fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.%s AS %s_0\n"+
			`ENGINE = Merge('%s', '^%s_\\d+$')%s`, part(1), part(2), part(3), part(4), part(2),
			sql[m[1]:])}
	}
	if strings.HasPrefix(sql, "OPTIMIZE TABLE ") || ofShard.MatchString(sql) {
		var all []string
		for i := range p.shards {
			name := regexp.MustCompile(`\w+_local\.\w+`).FindString(sql)
			all = append(all, strings.Replace(sql, name, fmt.Sprintf("%s_%d", name, i), 1))
		}
		return all
	}
	if m := insert.FindStringSubmatch(sql); m != nil {
		if m[1] != "" {
			database = m[1]
		}
		return append(p.route(database, m[2]), insert.ReplaceAllString(sql,
			fmt.Sprintf("INSERT INTO %s.%s_in", database, m[2])))
	}
	return []string{sql}
}

// route makes what brings inserted rows to their shards, when the first of them come: no migration
// changes the table after that.
func (p *proxy) route(database, table string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := database + "." + table
	if p.routed[name] {
		return nil
	}
	p.routed[name] = true
	all := []string{fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s_in AS %s_local.%s_0 ENGINE = Null",
		name, database, table)}
	for i := range p.shards {
		all = append(all, fmt.Sprintf("CREATE MATERIALIZED VIEW IF NOT EXISTS %s_to_%d TO "+
			"%s_local.%s_%d AS SELECT * FROM %s_in WHERE (%s) %% %d = %d", name, i, database, table, i,
			name, p.keys[name], p.shards, i))
	}
	return all
}

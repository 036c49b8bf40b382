package clickhouse

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/props"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/simulation"
	"tollstream/pipeline/stored"
	"tollstream/schemas/clickhouse/cluster/clustertest"
)

// newCluster gives an empty, migrated database on a cluster of so many shards. One is a real one as
// far as the engine has it; several are made by hand (clustertest), with other sharding keys for
// tables that are named.
func newCluster(t testing.TB, shards int, keys map[string]string) *Store {
	t.Helper()
	return onCluster(t, "main", clustertest.New(t, server.Addr(), shards, keys))
}

func onCluster(t testing.TB, cluster, addr string) *Store {
	t.Helper()
	options := freshOptions(t)
	options.Cluster, options.Addr = cluster, addr
	if _, err := Migrate(t.Context(), options, false); err != nil {
		t.Fatal(err)
	}
	return reopen(t, options)
}

// TestModelIsCluster: the loops read from three shards what they read from the model, which knows
// of no shards, for the same worlds as of one server. One shard, over real Distributed tables, is
// in cmd/tollstream, with the bills.
func TestModelIsCluster(t *testing.T) {
	needServer(t)
	cat, err := props.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range modelWorlds {
		p := &pair{t: t, model: simulation.NewStore(nil, cat),
			actual: newCluster(t, 3, nil).Using(cat), failed: map[billing.Instant]bool{}}
		w := props.NewWorld(cat, seed)
		p.run(cat, w.Records(), closing.LastMomentBy(cat, w.Until).At)
		t.Logf("%d reads, %d closings", p.reads, len(p.failed))
		merge(t, p.actual)
		p.checkQuarantine()
	}
}

// TestShardsGiveTheSame: rows that were written twice, in other cuts and in a random order, are on
// three shards the set that they are on one server, for views, closings and sweeps. With a key by
// which rows that have to meet do not they are another one.
func TestShardsGiveTheSame(t *testing.T) {
	needServer(t)
	world := batchOf(randomWorld(t, rand.New(rand.NewPCG(3, 4)), 300)...)
	want := seenOf(t, newStore(t), world)
	three := newCluster(t, 3, nil)
	if have := seenOf(t, three, world); !slices.Equal(have, want) {
		t.Errorf("three shards: %s", firstDifference(have, want))
	}
	for i := range 3 {
		for _, table := range []string{"call_copies", "taken_calls"} {
			n := rowTexts(t, three, "count()", fmt.Sprintf("FROM %s_local.%s_%d", three.Database(), table,
				i))
			if n[0] == "0" {
				t.Errorf("shard %d has no row of %s", i, table)
			}
		}
	}
	for table, key := range map[string]string{
		"call_copies": "cityHash64(topic, partition, offset)",
		"taken_calls": "cityHash64(rand())",
	} {
		wrong := newCluster(t, 3, map[string]string{table: key})
		if have := seenOf(t, wrong, world); slices.Equal(have, want) {
			t.Errorf("%s sharded by %s shows nothing wrong", table, key)
		}
	}
}

// seenOf writes a batch twice over and takes some of its calls, twice as well, and tells what
// readers, a closing and a sweep see then.
func seenOf(t *testing.T, s *Store, world *stored.Batch) []string {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	calls := world.Calls.Rows()
	day := billing.DayOf(calls[0].OccurredAt, shanghai)
	closed := closeDay(t, s, day-2)
	var routes []settle.Route
	for range 2 {
		for _, part := range cut(r, world) {
			write(t, s, part)
		}
		for i := 0; i < len(calls); i += 7 {
			take(t, s, closed, &calls[i])
		}
	}
	for i := range calls {
		id := calls[i].AccountID
		routes = append(routes, settle.Route{AccountID: id, Main: strings.TrimPrefix(id, "sub-")})
	}
	if err := s.SaveRoutes(t.Context(), closed, routes); err != nil {
		t.Fatal(err)
	}
	w := windowOfDay(day + 2)
	w.First, w.Settlement.Barriers = true, nil
	for p := range int32(4) {
		w.Settlement.Barriers = append(w.Settlement.Barriers, stored.Barrier{Topic: "faceid.calls",
			Partition: p, High: 10_000})
	}
	out := append(facts(t, s), closingSees(t, s, w)...)
	sweep(t, s, w.Moment.At, day)
	out = append(out, usage(t, s)...)
	out = append(out, rowTexts(t, s, "partition, offset, winner_partition, winner_offset, state",
		"FROM call_conflicts ORDER BY ALL")...)
	return append(out, rowTexts(t, s, "call_id, outcome, partition, offset",
		"FROM calls_billed ORDER BY ALL")...)
}

// closingSees is what the main queries of a closing answer.
func closingSees(t *testing.T, s *Store, w settle.Window) []string {
	t.Helper()
	var out []string
	calls, err := s.Candidates(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	defer calls.Close() //nolint:errcheck // only read
	for {
		c, err := calls.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, "candidate "+c.Main+" "+c.CallID+" "+c.Arrival.Place())
	}
	slices.Sort(out)
	groups, err := s.DifferingCopies(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	missing, err := s.Missing(t.Context(), w.Settlement.Barriers[:1])
	if err != nil {
		t.Fatal(err)
	}
	short, err := s.TakenOff(t.Context(), w.Moment.At-9*24*billing.Hour, w.Moment.At)
	if err != nil {
		t.Fatal(err)
	}
	return append(out, fmt.Sprint(len(groups)), fmt.Sprint(missing),
		fmt.Sprint(short))
}

// TestClusterStatementsParse: the engine reads every statement of the schema, as it would be sent
// to a cluster with a Keeper, and says of which kind it is.
func TestClusterStatementsParse(t *testing.T) {
	s := newStore(t)
	options := s.options
	options.Cluster = "main"
	list, err := ClusterDDL(options)
	if err != nil || len(list) < 80 {
		t.Fatalf("%d statements, %v", len(list), err)
	}
	for _, sql := range list {
		if strings.HasPrefix(sql, "INSERT") {
			continue // the rows of schema_versions
		}
		var kind string
		err := s.conn.QueryRow(t.Context(), "EXPLAIN AST "+sql).Scan(&kind)
		made := strings.HasPrefix(kind, "CreateQuery") || strings.HasPrefix(kind, "AlterQuery")
		if err != nil || !made {
			t.Errorf("%q, %v: %s", kind, err, sql)
		}
		if !strings.Contains(sql, " ON CLUSTER 'main'") {
			t.Errorf("only one server would do this: %s", sql)
		}
	}
}

// TestStatementsOverSeveralShards: where a cluster has several shards, ClickHouse refuses
// statements whose subqueries read from all of them, unless it is told how they are meant. The
// program's are not refused, nor are the views without the program's settings. Each row counts
// twice here, so the tables stay empty.
func TestStatementsOverSeveralShards(t *testing.T) {
	needServer(t)
	s := onCluster(t, "twice", clustertest.New(t, server.Addr(), 1, nil))
	day := billing.DateOf(2026, 3, 1)
	w := windowOfDay(day)
	w.Settlement.Barriers[0].Low = 100
	closingSees(t, s, w)
	if _, err := s.FinishClosing(t.Context(), w); err != nil {
		t.Error(err)
	}
	sweep(t, s, w.Moment.At, day)
	if _, err := s.Untaken(t.Context(), w.Settlement.Barriers, w.Moment.At, w.DayEnd); err != nil {
		t.Error(err)
	}
	if _, err := s.Survey(t.Context()); err != nil {
		t.Error(err)
	}
	facts(t, s)

	plain := s.options
	plain.Cluster = ""
	user := reopen(t, plain) // without the program's settings
	views := rowTexts(t, s, "name",
		"FROM system.tables WHERE database = currentDatabase() AND engine = 'View'")
	if len(views) < 10 {
		t.Errorf("only the views %q", views)
	}
	for _, view := range views {
		rowTexts(t, user, "count()", "FROM "+view)
	}
	_, err := user.Candidates(t.Context(), w)
	if err == nil || !strings.Contains(err.Error(), "Double-distributed") {
		t.Errorf("the program's statement without its settings: %v", err)
	}
}

// TestClusterAndServerAreNotMixed: a program that knows of no cluster does not start on one, nor
// the other way round, and neither is migrated as the other.
func TestClusterAndServerAreNotMixed(t *testing.T) {
	one, many := newStore(t).options, newCluster(t, 1, nil).options
	for _, options := range []Options{one, many} {
		want := "is that of one server"
		if options.Cluster == "" {
			options.Cluster = "main"
		} else {
			options.Cluster, want = "", "set clickhouse.cluster"
		}
		err := reopen(t, options).Ready(t.Context())
		_, migrated := Migrate(t.Context(), options, false)
		for _, err := range []error{err, migrated} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
	if table, err := Occupied(t.Context(), many); err != nil || table != "" {
		t.Errorf("occupied by %q, %v", table, err)
	}
	s := reopen(t, many)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	write(t, s, batchOf(call("c1", "acme", occurred, occurred, 0)))
	if table, err := Occupied(t.Context(), many); err != nil || table != "deliveries" {
		t.Errorf("occupied by %q, %v", table, err)
	}
	again, err := Migrate(t.Context(), many, false)
	if err != nil || len(again.Applied) > 0 || again.Before != latestMigration() {
		t.Errorf("migrated again: %+v, %v", again, err)
	}
}

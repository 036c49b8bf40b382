package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/schemas/clickhouse/cluster/clustertest"
)

// TestGeneratedOnCluster: the schema of a cluster, made by `tollstream migrate --cluster`, gives
// the same bills and books through Distributed tables, and is made again from the topics. The
// cluster is one shard of the engine itself, without replicas (clustertest).
func TestGeneratedOnCluster(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.xml")
	if err := os.WriteFile(config, []byte(clustertest.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TOLLSTREAM_EMBEDDED_CONFIG", config)
	w := newTestWorld(t, t.TempDir())
	c := &w.cfg.ClickHouse
	c.Addr = clustertest.New(t, c.Addr, 1, nil)
	c.Database, c.Cluster, c.Compression = "clustered", "main", "none"
	t.Setenv("TOLLSTREAM_CLICKHOUSE__DATABASE", c.Database)
	t.Setenv("TOLLSTREAM_CLICKHOUSE__COMPRESSION", c.Compression)
	status, stdout, stderr := w.command(t, "migrate", "--cluster", c.Cluster)
	if status != exitDone || !strings.Contains(stdout, "created database clustered\napplied 0001_") {
		t.Fatalf("migrate: %d, %q, %q", status, stdout, stderr)
	}
	t.Setenv("TOLLSTREAM_CLICKHOUSE__CLUSTER", c.Cluster)
	w.checkGenerated(t, generate.Options{
		Seed: 8, From: billing.DateOf(2023, 1, 24), To: billing.DateOf(2023, 1, 26),
		Accounts: 8, Calls: 3_000,
		Rates: generate.Rates{Duplicates: 0.02, Conflicts: 0.3, Late: 0.05, Malformed: 0.005,
			Unknown: 0.003, UnknownCodes: 0.01, FreeActions: 0.01},
	})
	engines := w.sql(t, "SELECT groupUniqArray(engine) FROM system.tables "+
		"WHERE database = 'clustered' AND engine != 'View'")
	rows := w.sql(t, "SELECT count() FROM clustered.call_copies FINAL")
	if engines != "['Distributed']" ||
		rows != w.sql(t, "SELECT count() FROM clustered_local.call_copies FINAL") {
		t.Errorf("the tables are %s, call_copies has %s rows", engines, rows)
	}
	w.checkRebuilt(t)
}

// TestPrintSQL: the statements for a cluster can be read before anything runs.
func TestPrintSQL(t *testing.T) {
	var stdout, stderr strings.Builder
	args := []string{"migrate", "--print-sql", "--cluster", "main"}
	status := run(t.Context(), args, &stdout, &stderr)
	if status != exitDone || strings.Count(stdout.String(), " ON CLUSTER 'main'") < 80 {
		t.Errorf("%d, %s%s", status, stderr.String(), stdout.String())
	}
	if status := run(t.Context(), args[:2], &stdout, &stderr); status != exitUsage {
		t.Errorf("without a cluster: %d, %s", status, stderr.String())
	}
}

package clickhouse

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	migrations "tollstream/schemas/clickhouse"
	"tollstream/schemas/clickhouse/cluster"
)

// clusterSettings are what the program's statements need on a cluster to mean what they mean on one
// server.
var clusterSettings = driver.Settings{
	// The answer to an insert means that the shards have the rows, not a queue on the server's disk.
	"distributed_foreground_insert": 1,
	// And not one replica of a shard alone: half of them and one. Of two that is both, so that
	// whichever is read has every row that was acknowledged.
	"insert_quorum": "auto",
	// A block that was inserted before is inserted again: it may be there to replace what was lost.
	"insert_deduplicate": 0,
	// A subquery over all shards runs once and its answer goes to each of them.
	"distributed_product_mode": "global",
	// Rows that come from a table with another sharding key have to change the shard.
	"parallel_distributed_insert_select": 0,
}

func (o Options) clusterSchema() cluster.Schema {
	return cluster.Schema{Cluster: o.Cluster, Database: o.Database}
}

// everyTable lists the tables of all shards.
func (o Options) everyTable() string { return "cluster('" + o.Cluster + "', system.tables)" }

// parts is the name under which a statement changes the parts of a table: a Distributed one has
// none.
func (o Options) parts(table string) string {
	if o.Cluster == "" {
		return table
	}
	return o.Database + "_local." + table + " ON CLUSTER '" + o.Cluster + "'"
}

// migrateCluster does what migrate does, over all shards and replicas. goose takes statements as
// they are in the files and keeps its ledger on one server, so this is done without it.
func (o Options) migrateCluster(ctx context.Context, r *MigrateResult) error {
	if err := o.runOnCluster(ctx, "", o.clusterSchema().Databases()); err != nil {
		return err
	}
	steps, err := o.clusterSteps(r.Before)
	if err != nil {
		return err
	}
	for _, step := range steps {
		start := time.Now()
		if err := o.runOnCluster(ctx, o.Database, step.sql); err != nil {
			return fmt.Errorf("apply %s: %w", step.Name, err)
		}
		if step.Version > 0 {
			step.Took = time.Since(start)
			r.Applied = append(r.Applied, step.Migration)
		}
	}
	return nil
}

// clusterStep is a migration with its statements for a cluster, or the ledger's own table.
type clusterStep struct {
	Migration
	sql []string
}

// clusterSteps are the steps from a version to that of this program. Each ends with the row that
// says that it was taken.
func (o Options) clusterSteps(from int64) ([]clusterStep, error) {
	ledger, err := o.clusterSchema().Statements(cluster.Versions)
	if err != nil {
		return nil, err
	}
	steps := []clusterStep{{Migration{Name: versionsTable}, ledger}}
	pending, err := migrationsAfter(from)
	if err != nil {
		return nil, err
	}
	for _, m := range pending {
		text, err := fs.ReadFile(migrations.Files(), m.Name)
		if err != nil {
			return nil, err
		}
		list, err := o.clusterSchema().Statements(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		steps = append(steps, clusterStep{m, append(list, fmt.Sprintf(
			"INSERT INTO %s.%s (version_id, is_applied) VALUES (%d, 1)", o.Database, versionsTable,
			m.Version))})
	}
	return steps, nil
}

// ClusterDDL gives every statement of a first migration on a cluster, in their order, for people to
// read. It asks no server.
func ClusterDDL(options Options) ([]string, error) {
	options = options.withDefaults()
	if err := options.Validate(); err != nil {
		return nil, err
	}
	steps, err := options.clusterSteps(0)
	list := options.clusterSchema().Databases()
	for _, step := range steps {
		list = append(list, step.sql...)
	}
	return list, err
}

// runOnCluster runs statements one after the other, each when the one before is done everywhere.
func (o Options) runOnCluster(ctx context.Context, database string, list []string) error {
	settings, err := o.driverOptions(database)
	if err != nil {
		return err
	}
	settings.MaxOpenConns, settings.MaxIdleConns = 0, 0 // database/sql has its own pool
	db := driver.OpenDB(settings)
	defer db.Close() //nolint:errcheck // nothing is pending
	for _, sql := range list {
		if _, err := db.ExecContext(ctx, sql); err != nil {
			return o.explain(fmt.Sprintf("run %.60q", sql), err)
		}
	}
	return nil
}

// checkCluster refuses the schema of a cluster where none is configured, since inserts would be
// acknowledged before they are stored, and the other way round.
func (s *Store) checkCluster(ctx context.Context) error {
	var distributed, own uint64
	err := s.conn.QueryRow(ctx, `SELECT countIf(engine = 'Distributed'),
		countIf(engine LIKE '%MergeTree') FROM system.tables
		WHERE database = currentDatabase()`).Scan(&distributed, &own)
	switch {
	case err != nil:
		return s.options.explain("look for the schema", err)
	case distributed > 0 && s.options.Cluster == "":
		return fmt.Errorf("the schema of ClickHouse database %s is that of a cluster: "+
			"set clickhouse.cluster to its name", s.options.Database)
	case own > 0 && s.options.Cluster != "":
		return fmt.Errorf("the schema of ClickHouse database %s is that of one server, and "+
			"clickhouse.cluster is %s: leave it out, or make another database by tollstream rebuild",
			s.options.Database, s.options.Cluster)
	}
	return nil
}

package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"

	"tollstream/pipeline/billing"
	migrations "tollstream/schemas/clickhouse"
	"tollstream/schemas/clickhouse/cluster"
)

// versionsTable is goose's ledger of applied migrations.
const versionsTable = "schema_versions"

// Migration is one file of schemas/clickhouse and what became of it.
type Migration struct {
	Version int64
	Name    string // 0001_input.sql
	Took    time.Duration
}

// MigrateResult says what Migrate did, or would do.
type MigrateResult struct {
	CreatedDatabase bool
	Before, After   int64 // schema versions; 0 is an empty database
	Applied         []Migration
	Hints           int // reasons whose hints were written
}

// Migrate creates the database where it is missing and brings its schema to this program's
// version. It can be repeated, run again after it was cut short, and run by several processes at
// once: there is no lock, every statement of a migration gives the same whoever runs it and when.
// A schema that is newer than this program is refused. A dry run changes nothing.
func Migrate(ctx context.Context, options Options, dryRun bool) (*MigrateResult, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	var r MigrateResult
	exists, err := options.createDatabase(ctx, dryRun)
	if err != nil {
		return nil, err
	}
	r.CreatedDatabase, r.After = !exists, latestMigration()
	if exists {
		if r.Before, err = options.schemaVersion(ctx); err == nil {
			err = options.refuseNewer(r.Before)
		}
		if err != nil {
			return nil, err
		}
	}
	if dryRun {
		r.Applied, err = migrationsAfter(r.Before)
		return &r, err
	}
	apply := options.migrate
	if options.Cluster != "" {
		apply = options.migrateCluster
	}
	if err := apply(ctx, &r); err != nil {
		return nil, err
	}
	s, err := Open(ctx, options)
	if err != nil {
		return nil, err
	}
	defer s.Close()                      //nolint:errcheck // nothing is pending
	if err := s.Ready(ctx); err != nil { // a newer program may have migrated meanwhile
		return nil, err
	}
	r.Hints, err = s.writeHints(ctx)
	return &r, err
}

// createDatabase tells whether the database was there, and creates it otherwise.
func (o Options) createDatabase(ctx context.Context, dryRun bool) (bool, error) {
	conn, err := o.openServer()
	if err != nil {
		return false, err
	}
	defer conn.Close() //nolint:errcheck // nothing is pending
	var n uint64
	err = conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = ?", o.Database).
		Scan(&n)
	if err != nil {
		return false, o.explain("connect to ClickHouse", err)
	}
	if n > 0 || dryRun {
		return n > 0, nil
	}
	if o.Cluster != "" {
		return false, nil // migrateCluster makes both of them
	}
	err = conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+o.Database+
		" COMMENT 'tollstream: calls, bills and what lies between'")
	return false, o.explain("create database "+o.Database, err)
}

// openServer connects to the server, whatever databases it has.
func (o Options) openServer() (driver.Conn, error) {
	settings, err := o.driverOptions("")
	if err != nil {
		return nil, err
	}
	conn, err := driver.Open(settings)
	return conn, o.explain("open ClickHouse", err)
}

// Occupied names a table of the database that has rows beyond those that Migrate writes; "" where
// there is none, or no such database.
func Occupied(ctx context.Context, options Options) (string, error) {
	if err := options.Validate(); err != nil {
		return "", err
	}
	options = options.withDefaults()
	conn, err := options.openServer()
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // only read
	var table string
	database, tables := options.Database, "system.tables"
	if options.Cluster != "" { // a Distributed table does not know how many rows there are
		database = cluster.LocalDatabase(database)
		tables = options.everyTable()
	}
	err = conn.QueryRow(ctx, "SELECT max(name) FROM "+tables+` WHERE database = ? AND total_rows > 0
		AND name NOT IN (?, 'reasons')`, database, versionsTable).Scan(&table)
	return table, options.explain("connect to ClickHouse", err)
}

func (o Options) migrate(ctx context.Context, r *MigrateResult) error {
	settings, err := o.driverOptions(o.Database)
	if err != nil {
		return err
	}
	settings.MaxOpenConns, settings.MaxIdleConns = 0, 0 // database/sql has its own pool
	db := driver.OpenDB(settings)
	defer db.Close() //nolint:errcheck // nothing is pending
	provider, err := goose.NewProvider(goose.DialectClickHouse, db, migrations.Files(),
		goose.WithTableName(versionsTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		return o.explain("apply "+partial.Failed.Source.Path, partial.Err)
	} else if err != nil {
		return o.explain("apply the migrations", err)
	}
	for _, m := range results {
		r.Applied = append(r.Applied,
			Migration{Version: m.Source.Version, Name: m.Source.Path, Took: m.Duration})
	}
	return nil
}

// schemaVersion is the highest migration that was applied. It creates nothing.
func (o Options) schemaVersion(ctx context.Context) (int64, error) {
	s, err := Open(ctx, o)
	if err != nil {
		return 0, err
	}
	defer s.Close() //nolint:errcheck // only read
	if err := s.checkCluster(ctx); err != nil {
		return 0, err
	}
	var there uint64
	err = s.conn.QueryRow(ctx, "SELECT count() FROM system.tables "+
		"WHERE database = currentDatabase() AND name = ?", versionsTable).Scan(&there)
	if err != nil {
		return 0, o.explain("look at the schema", err)
	}
	if there == 0 {
		return 0, nil
	}
	var version int64
	err = s.conn.QueryRow(ctx, "SELECT max(version_id) FROM "+versionsTable).Scan(&version)
	return version, o.explain("look at the schema", err)
}

// refuseNewer is an error for a schema that a newer program made: what that one expects of rows,
// this one does not know to write.
func (o Options) refuseNewer(version int64) error {
	latest := latestMigration()
	if version <= latest {
		return nil
	}
	return fmt.Errorf("the schema of ClickHouse database %s at %s is at version %d, this program "+
		"knows versions up to %d: use the program that migrated it, or a newer one; for this one "+
		"make another database with tollstream rebuild --clickhouse.database NAME",
		o.Database, o.Addr, version, latest)
}

// migrationsAfter lists the migrations above a version.
func migrationsAfter(version int64) ([]Migration, error) {
	list, err := migrationFiles()
	return slices.DeleteFunc(list, func(m Migration) bool { return m.Version <= version }), err
}

// migrationFiles lists the embedded migrations in their order.
func migrationFiles() ([]Migration, error) {
	names, err := fs.Glob(migrations.Files(), "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	list := make([]Migration, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number: %w", name, err)
		}
		list[i] = Migration{Version: version, Name: name}
	}
	return list, nil
}

// latestMigration is the schema version that this program needs.
func latestMigration() int64 {
	list, err := migrationFiles()
	if err != nil || len(list) == 0 {
		return 0
	}
	return list[len(list)-1].Version
}

// writeHints stores the hints of the reason codes where the stored ones differ.
func (s *Store) writeHints(ctx context.Context) (int, error) {
	rows, err := s.conn.Query(ctx, "SELECT reason, hint FROM reasons FINAL")
	if err != nil {
		return 0, s.options.explain("read reasons", err)
	}
	defer rows.Close() //nolint:errcheck // only read
	stored := map[string]string{}
	for rows.Next() {
		var reason, hint string
		if err := rows.Scan(&reason, &hint); err != nil {
			return 0, s.options.explain("read reasons", err)
		}
		stored[reason] = hint
	}
	if err := rows.Err(); err != nil {
		return 0, s.options.explain("read reasons", err)
	}
	var reasons, hints []string
	all := billing.Reasons()
	slices.Sort(all)
	for _, r := range all {
		if hint, ok := stored[string(r)]; !ok || hint != r.Hint() {
			reasons, hints = append(reasons, string(r)), append(hints, r.Hint())
		}
	}
	return len(reasons), s.insert(ctx, "reasons",
		[]column{{"reason", reasons}, {"hint", hints}})
}

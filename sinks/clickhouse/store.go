package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"sync"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// Store is a connection pool to one database. It is safe for concurrent use.
type Store struct {
	options Options
	conn    driver.Conn

	mu     sync.Mutex
	tables map[string]tableColumns // what system.columns says, read once per table

	blocks       chan *block // memory of blocks that are inserted
	blockRowsMax int         // of blocks; 0 is the usual one
}

// Open connects and makes sure that the server answers, the password is right and the database is
// there. It does not look at tables: Ready does.
func Open(ctx context.Context, options Options) (*Store, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	options.Dims = slices.Clone(options.Dims)
	settings, err := options.driverOptions(options.Database)
	if err != nil {
		return nil, err
	}
	conn, err := driver.Open(settings)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse at %s: %w", options.Addr, err)
	}
	s := &Store{options: options, conn: conn, tables: map[string]tableColumns{},
		blocks: make(chan *block, blocksKept)}
	if err := s.Ping(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// Ping asks the server for an answer from the database.
func (s *Store) Ping(ctx context.Context) error {
	var one uint8
	if err := s.conn.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return s.options.explain("connect to ClickHouse", err)
	}
	return nil
}

// Ready tells whether the schema is there and the one of this program, neither older nor newer.
func (s *Store) Ready(ctx context.Context) error {
	var version int64
	err := s.conn.QueryRow(ctx, "SELECT max(version_id) FROM "+versionsTable).Scan(&version)
	if err != nil {
		return s.options.explain("look for the schema", err)
	}
	if err := s.checkCluster(ctx); err != nil {
		return err
	}
	if latest := latestMigration(); version < latest {
		return fmt.Errorf("the schema of ClickHouse database %s is at version %d, this program "+
			"needs %d: run tollstream migrate", s.options.Database, version, latest)
	}
	return s.options.refuseNewer(version)
}

// Close ends the connections.
func (s *Store) Close() error { return s.conn.Close() }

// Database is the name of the database.
func (s *Store) Database() string { return s.options.Database }

// exec runs a statement that returns nothing.
func (s *Store) exec(ctx context.Context, doing, sql string, args ...any) error {
	if err := s.conn.Exec(ctx, sql, args...); err != nil {
		return s.options.explain(doing, err)
	}
	return nil
}

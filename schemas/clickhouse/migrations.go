// Package migrations embeds the SQL of the ClickHouse schema as numbered goose files. It owns the
// tables, the views and their documentation (COMMENT), and nothing that runs them: that is
// sinks/clickhouse and `tollstream migrate`.
//
// ClickHouse has neither transactions over DDL nor a lock for migrations. So every statement can be
// run again, by anyone, before or after the later ones, and the outcome is the same: a migration
// that was cut short is run again from its start, and two processes may migrate at once.
//
// A file that has been released is edited in one case only: where a later file replaces a view, the
// older definition becomes CREATE VIEW IF NOT EXISTS. There is no way back: a program refuses a
// schema that is newer than itself.
package migrations

import "embed"

//go:embed *.sql
var files embed.FS

// Files holds the migrations, named 0001_input.sql and so on.
func Files() embed.FS { return files }

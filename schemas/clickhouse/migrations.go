// Package migrations embeds the SQL of the ClickHouse schema as numbered goose files. It owns the
// tables, the views and their documentation (COMMENT), and nothing that runs them: that is
// sinks/clickhouse and `tollstream migrate`.
//
// A file that has been released is never edited; a change is a new file. Every statement can be
// run twice, because ClickHouse has no transactions over DDL: a migration that was cut short is
// run again from its start.
package migrations

import "embed"

//go:embed *.sql
var files embed.FS

// Files holds the migrations, named 0001_input.sql and so on.
func Files() embed.FS { return files }

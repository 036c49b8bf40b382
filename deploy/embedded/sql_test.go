package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func TestErrorCodes(t *testing.T) {
	server := sharedServer(t)
	for name, compression := range compressions {
		t.Run(name, func(t *testing.T) {
			db := connect(t, server, func(o *clickhouse.Options) { o.Compression = compression })
			wantCode(t, db.Exec(t.Context(), "SELECT * FROM nowhere"), 60)
			_, err := db.Query(t.Context(), "SELECT nothing")
			wantCode(t, err, 47)
			_, err = db.PrepareBatch(t.Context(), "INSERT INTO nowhere")
			wantCode(t, err, 60)
			_, err = db.Query(clickhouse.Context(t.Context(), clickhouse.WithSettings(
				clickhouse.Settings{"no_such_setting": 1})), "SELECT 1")
			wantCode(t, err, 115)
			var n uint64
			wantCode(t, db.QueryRow(t.Context(), "SELECT toUInt64('x')").Scan(&n), 6)
		})
	}
	wrong := connect(t, server, func(o *clickhouse.Options) { o.Auth.Password = "wrong" })
	wantCode(t, wrong.Ping(t.Context()), 516)
}

// TestSQLOfThePipeline walks through what the pipeline asks of ClickHouse.
func TestSQLOfThePipeline(t *testing.T) {
	db := ownDatabase(t, sharedServer(t), nil)
	execAll(t, db,
		`CREATE TABLE calls (day Date, account String, n UInt64, version UInt64)
			ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMM(day) ORDER BY (account, day)`,
		"INSERT INTO calls VALUES ('2026-01-01','a',1,1), ('2026-01-01','a',5,2), "+
			"('2026-02-01','b',7,1)",
		"INSERT INTO calls VALUES ('2026-01-01','a',3,1)",
		`CREATE TABLE usage (account String, n SimpleAggregateFunction(sum, UInt64))
			ENGINE = AggregatingMergeTree ORDER BY account`,
		`CREATE MATERIALIZED VIEW to_usage TO usage AS
			SELECT account, sum(n) AS n FROM calls GROUP BY account`,
		"INSERT INTO calls VALUES ('2026-03-01','a',10,1), ('2026-03-02','a',10,1)",
		"CREATE VIEW totals AS SELECT account, sum(n) AS n FROM calls FINAL GROUP BY account",
		"CREATE TABLE names (account String, name String) ENGINE = MergeTree ORDER BY account",
		"INSERT INTO names VALUES ('a', 'Acme')",
	)
	for sql, want := range map[string]uint64{
		"SELECT sum(n) FROM calls FINAL":                                                    32,
		"SELECT n FROM calls FINAL WHERE day = '2026-01-01'":                                5,
		"SELECT sum(n) FROM usage FINAL WHERE account = 'a'":                                20,
		"SELECT n FROM totals WHERE account = 'a'":                                          25,
		"SELECT sum(c.n) FROM calls c FINAL JOIN names USING account WHERE name = 'Acme'":   25,
		"SELECT count() FROM calls c FINAL LEFT ANTI JOIN names x ON x.account = c.account": 1,
	} {
		if got := number(t, db, sql); got != want {
			t.Errorf("%s: got %d, want %d", sql, got, want)
		}
	}
	execAll(t, db,
		"CREATE TABLE rebuilt AS calls",
		"INSERT INTO rebuilt VALUES ('2026-01-01','a',100,9)",
		"ALTER TABLE calls REPLACE PARTITION 202601 FROM rebuilt",
		"CREATE TABLE other AS names",
		"EXCHANGE TABLES names AND other",
		"RENAME TABLE other TO before_names",
		"ALTER TABLE calls ADD COLUMN note String DEFAULT 'none'",
		"ALTER TABLE calls DELETE WHERE account = 'b' SETTINGS mutations_sync = 1",
		"OPTIMIZE TABLE calls FINAL",
		"ALTER TABLE calls DROP PARTITION 202603",
	)
	if got := number(t, db, "SELECT sum(n) FROM calls"); got != 100 {
		t.Errorf("after REPLACE, DELETE and DROP PARTITION: %d, want 100", got)
	}
	if got := number(t, db, "SELECT count() FROM names"); got != 0 {
		t.Errorf("EXCHANGE TABLES did not exchange: %d rows", got)
	}
	empty, err := db.Query(t.Context(), "SELECT account FROM calls WHERE n = 12345")
	if err != nil || empty.Next() {
		t.Errorf("an empty result: %v", err)
	}
}

// TestDeduplicationToken: a retried insert with the same token is acknowledged and not counted
// twice. The pipeline's exactly-once rests on it.
func TestDeduplicationToken(t *testing.T) {
	db := ownDatabase(t, sharedServer(t), nil)
	execAll(t, db, `CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a
		SETTINGS non_replicated_deduplication_window = 100`)
	for range 3 {
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
			"insert_deduplication_token": "calls/0/0-99", "async_insert": 0}))
		insertNumbers(ctx, t, db, 100)
	}
	if n := number(t, db, "SELECT count() FROM t"); n != 100 {
		t.Errorf("%d rows after three tries of one batch, want 100", n)
	}
}

func insertNumbers(ctx context.Context, t *testing.T, db driver.Conn, n int) {
	t.Helper()
	batch, err := db.PrepareBatch(ctx, "INSERT INTO t (a)")
	if err != nil {
		t.Fatal(err)
	}
	numbers := make([]uint64, n)
	for i := range numbers {
		numbers[i] = uint64(i)
	}
	if err := batch.Column(0).Append(numbers); err != nil {
		t.Fatal(err)
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

func TestParameters(t *testing.T) {
	db := ownDatabase(t, sharedServer(t), nil)
	const text = "it's \\ a\ttab\nand 文"
	var got string
	ctx := clickhouse.Context(t.Context(),
		clickhouse.WithParameters(clickhouse.Parameters{"n": "42"}))
	if n := number(t, db, "SELECT toUInt64(?)", 7); n != 7 {
		t.Errorf("positional: %d", n)
	}
	var n uint64
	if err := db.QueryRow(ctx, "SELECT {n:UInt64}").Scan(&n); err != nil || n != 42 {
		t.Errorf("WithParameters: %d %v", n, err)
	}
	row := db.QueryRow(t.Context(), "SELECT {text:String}", clickhouse.Named("text", text))
	if err := row.Scan(&got); err != nil || got != text {
		t.Errorf("named: %q %v", got, err)
	}
	row = db.QueryRow(t.Context(), "SELECT arrayStringConcat({list:Array(String)}, '|')",
		clickhouse.Named("list", []string{"a", text}))
	if err := row.Scan(&got); err != nil || got != "a|"+text {
		t.Errorf("list: %q %v", got, err)
	}
}

func TestExternalTable(t *testing.T) {
	db := ownDatabase(t, sharedServer(t), nil)
	table, err := ext.NewTable("accounts", ext.Column("id", "UInt64"), ext.Column("name", "String"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := table.Append(uint64(i), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx := clickhouse.Context(t.Context(), clickhouse.WithExternalTable(table))
	var n uint64
	if err := db.QueryRow(ctx, "SELECT sum(id) FROM accounts").Scan(&n); err != nil || n != 45 {
		t.Errorf("got %d, %v", n, err)
	}
}

// TestDatabaseSQL: the migration tool works through database/sql.
func TestDatabaseSQL(t *testing.T) {
	server := sharedServer(t)
	ownDatabase(t, server, nil)
	options := server.Options()
	options.Auth.Database = "TestDatabaseSQL"
	db := clickhouse.OpenDB(options)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE v (id Int64, applied UInt8, at DateTime "+
		"DEFAULT now()) ENGINE = MergeTree ORDER BY id"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO v (id, applied) VALUES ($1, $2)",
			int64(i), uint8(1)); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := tx.PrepareContext(t.Context(), "INSERT INTO v (id, applied)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statement.ExecContext(t.Context(), int64(9), uint8(0)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var last, count int64
	row := db.QueryRowContext(t.Context(), "SELECT max(id), toInt64(count()) FROM v")
	if err := row.Scan(&last, &count); err != nil || last != 9 || count != 4 {
		t.Errorf("got %d %d %v", last, count, err)
	}
	_, err = db.ExecContext(t.Context(), "DROP TABLE nowhere")
	wantCode(t, err, 60)
}

func TestEightClients(t *testing.T) {
	server := sharedServer(t)
	db := ownDatabase(t, server, nil)
	execAll(t, db, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			mine := connect(t, server, func(o *clickhouse.Options) {
				o.Auth.Database = "TestEightClients"
				o.Settings = clickhouse.Settings{"max_block_size": 1000 + i, "async_insert": 0}
			})
			for range 5 {
				insertNumbers(t.Context(), t, mine, 2000)
				n := number(t, mine, "SELECT toUInt64(getSetting('max_block_size'))")
				if n != uint64(1000+i) {
					t.Errorf("client %d sees the setting of another: %d", i, n)
				}
				if n := number(t, mine, "SELECT count() FROM t"); n%2000 != 0 {
					t.Errorf("%d rows: half an insert is visible", n)
				}
			}
		})
	}
	clients.Wait()
	if n := number(t, db, "SELECT count() FROM t"); n != 8*5*2000 {
		t.Errorf("%d rows, want %d", n, 8*5*2000)
	}
}

// TestManyRows reports the rates that the README quotes.
func TestManyRows(t *testing.T) {
	server := sharedServer(t)
	for _, name := range []string{"none", "lz4"} {
		t.Run(name, func(t *testing.T) {
			db := ownDatabase(t, server, func(o *clickhouse.Options) {
				o.Compression = compressions[name]
			})
			execAll(t, db, `CREATE TABLE t (id UInt64, account String, api LowCardinality(String),
				at DateTime64(6, 'Asia/Shanghai'), n UInt64, tags Map(LowCardinality(String), String))
				ENGINE = MergeTree ORDER BY id`)
			const rows = 200_000
			begun := time.Now()
			batch, err := db.PrepareBatch(t.Context(), "INSERT INTO t")
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				if err := batch.Append(uint64(i), fmt.Sprintf("account-%d", i%5000), "chat",
					time.UnixMicro(int64(i)), uint64(i), map[string]string{"region": "cn"}); err != nil {
					t.Fatal(err)
				}
			}
			sent := time.Now()
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			t.Logf("append %d rows/s, send %d rows/s", rate(rows, sent.Sub(begun)),
				rate(rows, time.Since(sent)))
			begun = time.Now()
			result, err := db.Query(t.Context(), "SELECT id, account, api, at, n, tags FROM t")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = result.Close() }()
			var id, n, sum uint64
			var account, api string
			var at time.Time
			var tags map[string]string
			got := 0
			for ; result.Next(); got++ {
				if err := result.Scan(&id, &account, &api, &at, &n, &tags); err != nil {
					t.Fatal(err)
				}
				sum += n
			}
			if result.Err() != nil || got != rows || sum != rows*(rows-1)/2 {
				t.Errorf("%d rows, sum %d: %v", got, sum, result.Err())
			}
			t.Logf("select %d rows/s", rate(rows, time.Since(begun)))
		})
	}
}

func rate(rows int, took time.Duration) int { return int(float64(rows) / took.Seconds()) }

// TestClientGoesAway: the server ends the query of a client that has left and serves the next.
func TestClientGoesAway(t *testing.T) {
	server := sharedServer(t)
	db := connect(t, server, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	const endless = "SELECT count() FROM system.numbers WHERE NOT ignore('gone')"
	err := db.QueryRow(ctx, endless).Scan(new(uint64))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	const running = "SELECT count() FROM system.processes WHERE query LIKE '%ignore(''gone'')%' " +
		"AND query NOT LIKE '%processes%'"
	for begun := time.Now(); number(t, db, running) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > 5*time.Second {
			t.Fatal("the query still runs")
		}
	}
	limited := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
		"max_execution_time": 0.2}))
	wantCode(t, db.QueryRow(limited, "SELECT count() FROM system.numbers").Scan(new(uint64)), 159)
}

func TestUnknownTypeHasAClearError(t *testing.T) {
	db := ownDatabase(t, sharedServer(t), nil)
	_, err := db.Query(t.Context(), "SELECT sumState(number) FROM numbers(3)")
	wantCode(t, err, 48)
	if err == nil || !strings.Contains(err.Error(), "AggregateFunction(sum, UInt64)") {
		t.Errorf("got %v", err)
	}
}

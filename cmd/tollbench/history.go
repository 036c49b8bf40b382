package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/schemas"
	"tollstream/sinks/clickhouse"
)

// history is a database with the calls of many closed days and one open one. ClickHouse makes the
// rows itself from the statements of history/, in the form in which the pipeline writes them.
type history struct {
	Calls, Days, Accounts int
	Seed                  uint64
	digest                string // of the catalogue
}

//go:embed history/*.sql
var historySQL embed.FS

// firstDay is the first day of every history; a year after it is in the middle of a month.
var firstDay = billing.DateOf(2025, time.March, 15)

// rowsUnit divides the records of a day evenly: by six partitions, by the third of a day that lies
// before its closing time, and by the 101st that is a duplicate.
const rowsUnit = 18 * 101

// dayRows is how many records each day has.
func (h history) dayRows() int { return rowsFor(h.Calls / h.Days) }

// rowsFor is how many records bring about so many calls.
func rowsFor(calls int) int {
	return max((calls*101/100+rowsUnit-1)/rowsUnit, 1) * rowsUnit
}

// filled is a history that is served.
type filled struct {
	history
	server     *embedded.ClickHouse
	conn       driver.Conn
	store      *clickhouse.Store
	cat        *catalog.Catalog
	filledDays int
	took       time.Duration // 0 where it was there already
	bytes      map[string]uint64
}

const benchDatabase = "billing" // that of the dashboards

// serve starts ClickHouse on a folder, and fills it unless it holds just this history.
func (h history) serve(
	ctx context.Context, self, folder string, notes io.Writer,
) (_ *filled, err error) {
	f, err := h.start(ctx, self, folder, func(f *filled) error { return f.look(folder) })
	if err != nil {
		return nil, err
	}
	if f.filledDays <= f.Days {
		start := time.Now()
		err = f.fill(ctx, folder, notes)
		f.took = time.Since(start)
	}
	if err == nil {
		f.bytes, err = f.sizes(ctx)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// empty starts ClickHouse on a folder that it empties.
func (h history) empty(ctx context.Context, self, folder string) (*filled, error) {
	return h.start(ctx, self, folder, func(*filled) error {
		return errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o750))
	})
}

// start starts ClickHouse with the schema on a folder that was prepared.
func (h history) start(
	ctx context.Context, self, folder string, prepare func(*filled) error,
) (_ *filled, err error) {
	f := &filled{history: h}
	if f.cat, err = catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog()); err != nil {
		return nil, err
	}
	f.digest = f.cat.Digest
	if err := prepare(f); err != nil {
		return nil, err
	}
	f.server, err = embedded.StartClickHouse(ctx, embedded.ClickHouseOptions{Executable: self,
		ServeOptions: embedded.ServeOptions{Listen: "127.0.0.1:0",
			DataDir: filepath.Join(folder, "clickhouse")}})
	if err != nil {
		return nil, err
	}
	if err := f.open(ctx); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// filledUpTo is the file that says what a folder holds.
type filledUpTo struct {
	History history
	Days    int
}

const filledFile = "filled.json"

// look finds out how far a folder is filled. A fill that was cut short goes on where it was: rows
// that are made again are the same.
func (f *filled) look(folder string) error {
	text, err := os.ReadFile(filepath.Join(folder, filledFile))
	if errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(folder, 0o750)
	}
	var have filledUpTo
	if err == nil {
		err = json.Unmarshal(text, &have)
	}
	have.History.digest = f.digest
	if err == nil && have.History != f.history {
		err = fmt.Errorf("%s holds another history: %s", folder, text)
	}
	f.filledDays = have.Days
	return err
}

// note says in the folder how many days are filled.
func (f *filled) note(folder string, days int) error {
	text, err := json.Marshal(filledUpTo{f.history, days})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, filledFile), text, 0o600)
}

func (f *filled) open(ctx context.Context) (err error) {
	options := clickhouse.Options{Addr: f.server.Addr(), Database: benchDatabase}.For(f.cat)
	if _, err = clickhouse.Migrate(ctx, options, false); err != nil {
		return err
	}
	if f.conn, err = connect(f.server.Addr(), benchDatabase); err != nil {
		return err
	}
	f.store, err = f.storeAt(ctx, f.server.Addr())
	return err
}

// storeAt opens the store of the pipeline at an address.
func (f *filled) storeAt(ctx context.Context, address string) (*clickhouse.Store, error) {
	return clickhouse.Open(ctx, clickhouse.Options{Addr: address, Database: benchDatabase,
		ReadTimeout: time.Hour}.For(f.cat))
}

func (f *filled) close() {
	if f.store != nil {
		_ = f.store.Close()
	}
	if f.conn != nil {
		_ = f.conn.Close()
	}
	f.server.Kill()
}

// closedAt is when a day is closed.
func closedAt(day billing.Day) billing.Instant {
	return (day + 1).At(8*time.Hour, shanghai)
}

var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// fill makes all rows, day by day.
func (f *filled) fill(ctx context.Context, folder string, notes io.Writer) error {
	for i := f.filledDays; i <= f.Days; i++ {
		if err := f.fillDay(ctx, i); err != nil {
			return fmt.Errorf("day %d: %w", i, err)
		}
		if err := f.note(folder, i); err != nil { // this day again, until all is done
			return err
		}
		if (i+1)%30 == 0 {
			fmt.Fprintf(notes, "%d of %d days are filled\n", i+1, f.Days+1)
		}
	}
	err := f.run(ctx, "accounts", map[string]string{"{accounts}": fmt.Sprint(f.Accounts),
		"{closed}": instant(closedAt(firstDay - 1))})
	if err == nil {
		err = f.fillBills(ctx)
	}
	if err == nil {
		open := firstDay + billing.Day(f.Days)
		_, err = f.store.SweepOpenUsage(ctx, (open+1).At(0, shanghai), open)
	}
	if err == nil {
		err = f.note(folder, f.Days+1)
	}
	return err
}

// fillDay makes the rows of a day: what ingest stores, and, of a closed one, what its closing does.
func (f *filled) fillDay(ctx context.Context, i int) error {
	values := f.day(i, f.dayRows())
	// In the order of call_copies, which spares the server its sorting.
	err := f.statements(ctx, `DROP TABLE IF EXISTS bench_records;
		CREATE TABLE bench_records ENGINE = Memory AS `+values["{records}"]+`
			ORDER BY sub > 0, account, sub, occurred_us;
		CREATE TABLE IF NOT EXISTS bench_billed (main String, account UInt32,
			closed_at DateTime64(6, 'Asia/Shanghai'), tag LowCardinality(String), package String,
			outcome LowCardinality(String), day Date, calls UInt64)
		ENGINE = ReplacingMergeTree ORDER BY (closed_at, main, tag, package, outcome, day)`)
	values["{records}"] = "SELECT * FROM bench_records"
	for _, part := range []string{"records", "taken", "closing"} {
		if err == nil && (i < f.Days || part == "records") {
			err = f.run(ctx, part, values)
		}
	}
	return err
}

// day gives the values of the statements of a day with so many records.
func (h history) day(i, rows int) map[string]string {
	day, each := firstDay+billing.Day(i), h.dayRows()
	first := i * each
	low := first
	if i > 0 {
		low += each / 3
	}
	values := map[string]string{"{rows}": fmt.Sprint(rows), "{first}": fmt.Sprint(first),
		"{seed}": fmt.Sprint(h.Seed), "{accounts}": fmt.Sprint(h.Accounts),
		"{late}": fmt.Sprint(i > 3), "{start}": fmt.Sprint(int64(day.At(0, shanghai))),
		"{closed}": instant(closedAt(day)), "{number}": fmt.Sprint(i),
		"{day}": "toDate('" + day.String() + "')", "{opened}": "toDate('" + firstDay.String() + "')",
		"{low}": fmt.Sprint(low / 6), "{high}": fmt.Sprint((first + rows + each/3) / 6),
		"{digest}": h.digest}
	values["{records}"] = replaced(sqlOf("day"), values)
	return values
}

// fillBills makes the bills, month by month.
func (f *filled) fillBills(ctx context.Context) error {
	last := closedAt(firstDay + billing.Day(f.Days-1))
	start := time.Date(2025, time.March, 1, 8, 0, 1, 0, shanghai)
	for ; billing.InstantOf(start) <= last; start = start.AddDate(0, 1, 0) {
		err := f.run(ctx, "bills", map[string]string{"{from}": instant(billing.InstantOf(start)),
			"{to}":   instant(billing.InstantOf(start.AddDate(0, 1, 0))),
			"{last}": instant(last), "{digest}": f.digest})
		if err != nil {
			return err
		}
	}
	return f.statements(ctx, "DROP TABLE IF EXISTS bench_records; DROP TABLE bench_billed")
}

// instant is an instant as SQL.
func instant(at billing.Instant) string {
	return fmt.Sprintf("fromUnixTimestamp64Micro(toInt64(%d), 'Asia/Shanghai')", int64(at))
}

// sqlOf reads a file of history/.
func sqlOf(name string) string {
	text, err := historySQL.ReadFile("history/" + name + ".sql")
	if err != nil {
		panic(err) // it is compiled in
	}
	return string(text)
}

func replaced(sql string, values map[string]string) string {
	var pairs []string
	for name, value := range values { // no value holds another's name
		pairs = append(pairs, name, value)
	}
	return strings.NewReplacer(pairs...).Replace(sql)
}

// run runs a file of history/ with values put in.
func (f *filled) run(ctx context.Context, name string, values map[string]string) error {
	return f.statements(ctx, replaced(sqlOf(name), values))
}

// statements runs statements one after the other. No text in them has a semicolon. Blocks are
// written as they are: merging each by itself first would take most of the time.
func (f *filled) statements(ctx context.Context, list string) error {
	ctx = clickhousego.Context(ctx,
		clickhousego.WithSettings(clickhousego.Settings{"optimize_on_insert": 0}))
	for sql := range strings.SplitSeq(list, ";") {
		if strings.TrimSpace(sql) == "" {
			continue
		}
		if err := f.conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// settledMax bounds the wait for merges.
const settledMax = 10 * time.Minute

// settled waits until ClickHouse merges nothing in the background.
func (f *filled) settled(ctx context.Context) error {
	for end := time.Now().Add(settledMax); time.Now().Before(end); {
		var merges uint64
		err := f.conn.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&merges)
		if err != nil || merges == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return nil
}

// sizes are the bytes on disk of each table.
func (f *filled) sizes(ctx context.Context) (map[string]uint64, error) {
	rows, err := f.conn.Query(ctx, `SELECT table, sum(bytes_on_disk) FROM system.parts
		WHERE active AND database = currentDatabase() GROUP BY table`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // only read
	out := map[string]uint64{}
	for rows.Next() {
		var table string
		var bytes uint64
		if err := rows.Scan(&table, &bytes); err != nil {
			return nil, err
		}
		out[table] = bytes
	}
	return out, rows.Err()
}

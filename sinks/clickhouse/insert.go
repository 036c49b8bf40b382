package clickhouse

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// column is one column of an insert: a name and one value per row, as a slice or made one by one
// (values, instants, days). Values that the driver takes: string and []byte for strings, enums and
// LowCardinality; time.Time for times and dates; bool, int32 and so on by the column's type;
// decimal.Decimal and, where the column is Nullable, *decimal.Decimal; []string for Array; maps or
// ordered maps for Map.
type column struct {
	name   string
	values any
}

// made are values that are made when the driver takes them, some at a time: columns of many rows
// are in memory as the driver's bytes alone.
type made[T any] struct {
	n  int
	at func(i int) T
}

// rows is what made is for any type.
type rows interface {
	count() int
	appendTo(to driver.BatchColumn, from, below int) error
	checkScale(scale int32) error
}

func (m made[T]) count() int { return m.n }

// madeTogether is how many values are made for one Append.
const madeTogether = 512

func (m made[T]) appendTo(to driver.BatchColumn, from, below int) error {
	buffer := make([]T, 0, min(madeTogether, below-from))
	for i := from; i < below; i++ {
		if buffer = append(buffer, m.at(i)); len(buffer) == cap(buffer) || i+1 == below {
			if err := to.Append(buffer); err != nil {
				return err
			}
			buffer = buffer[:0]
		}
	}
	return nil
}

func (m made[T]) checkScale(scale int32) error {
	for i := range m.n {
		if err := checkScale(any(m.at(i)), scale); err != nil {
			return err
		}
	}
	return nil
}

// given are values in a slice.
type given struct{ reflect.Value }

func (g given) count() int { return g.Len() }

func (g given) appendTo(to driver.BatchColumn, from, below int) error {
	return to.Append(g.Slice(from, below).Interface())
}

func (g given) checkScale(scale int32) error {
	for i := range g.Len() {
		if err := checkScale(g.Index(i).Interface(), scale); err != nil {
			return err
		}
	}
	return nil
}

// rows gives the values of a column; nil where they are neither made nor a slice.
func (c column) rows() rows {
	if r, ok := c.values.(rows); ok {
		return r
	}
	if v := reflect.ValueOf(c.values); v.Kind() == reflect.Slice {
		return given{v}
	}
	return nil
}

// instants makes the values of a DateTime64 column.
func instants(n int, at func(i int) billing.Instant) made[time.Time] {
	return values(n, func(i int) time.Time { return at(i).Time() })
}

// days makes the values of a Date column.
func days(n int, at func(i int) billing.Day) made[time.Time] {
	return values(n, func(i int) time.Time { return dayTime(at(i)) })
}

// values makes the values of any other column.
func values[T any](n int, at func(i int) T) made[T] { return made[T]{n, at} }

// list gives a slice of n values.
func list[T any](n int, at func(i int) T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = at(i)
	}
	return out
}

// dayTime is a day as the driver wants a Date: midnight in UTC.
func dayTime(d billing.Day) time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// tableColumns is what the server says of a table: the type of each column by name.
type tableColumns map[string]string

// insert writes rows given as columns, in inserts of at most InsertRowsMax rows, one after the
// other. An error leaves what was written before it; repeating the whole call is always right.
func (s *Store) insert(ctx context.Context, table string, columns []column) error {
	rows, err := rowsOf(table, columns)
	if err != nil || rows == 0 {
		return err
	}
	types, err := s.columnsOf(ctx, table)
	if err != nil {
		return err
	}
	if err := checkColumns(table, types, columns); err != nil {
		return err
	}
	for from := 0; from < rows; from += s.options.InsertRowsMax {
		to := min(from+s.options.InsertRowsMax, rows)
		if err := s.insertRange(ctx, table, types, columns, from, to); err != nil {
			return s.options.explain(fmt.Sprintf("insert into %s", table), err)
		}
	}
	return nil
}

func rowsOf(table string, columns []column) (int, error) {
	n := 0
	for i, c := range columns {
		r := c.rows()
		if r == nil {
			return 0, fmt.Errorf("insert into %s: column %s is a %T, not a slice",
				table, c.name, c.values)
		}
		if i == 0 {
			n = r.count()
		}
		if r.count() != n {
			return 0, fmt.Errorf("insert into %s: column %s has %d rows, %s has %d",
				table, c.name, r.count(), columns[0].name, n)
		}
	}
	return n, nil
}

// columnsOf asks for the types of a table once and keeps the answer.
func (s *Store) columnsOf(ctx context.Context, table string) (tableColumns, error) {
	s.mu.Lock()
	types := s.tables[table]
	s.mu.Unlock()
	if types != nil {
		return types, nil
	}
	rows, err := s.conn.Query(ctx, "SELECT name, type FROM system.columns "+
		"WHERE database = currentDatabase() AND table = ? "+
		"AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')", table)
	if err != nil {
		return nil, s.options.explain("describe "+table, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	types = tableColumns{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, s.options.explain("describe "+table, err)
		}
		types[name] = kind
	}
	if err := rows.Err(); err != nil {
		return nil, s.options.explain("describe "+table, err)
	}
	if len(types) == 0 {
		return nil, fmt.Errorf("ClickHouse database %s has no table %s: run tollstream migrate",
			s.options.Database, table)
	}
	s.mu.Lock()
	s.tables[table] = types
	s.mu.Unlock()
	return types, nil
}

// checkColumns refuses what would be stored otherwise than it was given: a column left out would
// take a default, and the driver cuts the digits that a Decimal column has no room for.
func checkColumns(table string, types tableColumns, columns []column) error {
	if err := checkNames(table, types, columns); err != nil {
		return err
	}
	for _, c := range columns {
		if err := checkDecimals(types[c.name], c.rows()); err != nil {
			return fmt.Errorf("insert into %s: column %s: %w", table, c.name, err)
		}
	}
	return nil
}

// checkNames refuses columns that are not those of the table.
func checkNames(table string, types tableColumns, columns []column) error {
	for _, c := range columns {
		if _, ok := types[c.name]; !ok {
			return fmt.Errorf("insert into %s: no column %s: run tollstream migrate", table, c.name)
		}
	}
	if len(columns) != len(types) {
		return fmt.Errorf("insert into %s: %d of its %d columns are given: "+
			"run tollstream migrate or use the matching program", table, len(columns), len(types))
	}
	return nil
}

var decimalScale = regexp.MustCompile(`Decimal\(\d+, (\d+)\)`)

func checkDecimals(kind string, values rows) error {
	m := decimalScale.FindStringSubmatch(kind)
	if m == nil {
		return nil
	}
	scale, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil {
		return err
	}
	return values.checkScale(int32(scale))
}

func checkScale(value any, scale int32) error {
	d, ok := value.(decimal.Decimal)
	if p, nullable := value.(*decimal.Decimal); nullable && p != nil {
		d, ok = *p, true
	}
	if ok && -d.Exponent() > scale && !d.Truncate(scale).Equal(d) {
		return fmt.Errorf("%s has more than %d decimal places", d, scale)
	}
	return nil
}

func (s *Store) insertRange(
	ctx context.Context, table string, types tableColumns, columns []column, from, to int,
) error {
	names := make([]string, len(columns))
	kinds := make([]clickhouse.ColumnNameAndType, len(columns))
	for i, c := range columns {
		names[i] = "`" + c.name + "`"
		kinds[i] = clickhouse.ColumnNameAndType{Name: c.name, Type: plainType(types[c.name])}
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithColumnNamesAndTypes(kinds))
	batch, err := s.conn.PrepareBatch(ctx,
		"INSERT INTO "+table+" ("+strings.Join(names, ", ")+")")
	if err != nil {
		return err
	}
	defer batch.Close() //nolint:errcheck // Send has the error that counts
	for i, c := range columns {
		if err := c.rows().appendTo(batch.Column(i), from, to); err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	if batch.Rows() != to-from {
		return fmt.Errorf("the driver holds %d rows, not %d", batch.Rows(), to-from)
	}
	return batch.Send()
}

var lowCardinality = regexp.MustCompile(`LowCardinality\(([A-Za-z0-9]+)\)`)

// plainType is the type in which values travel over HTTP, where the block names its own types and
// the server converts: the driver's dictionaries cost it more than plain strings do. The native
// protocol ignores it and takes the table's types.
func plainType(kind string) string { return lowCardinality.ReplaceAllString(kind, "$1") }

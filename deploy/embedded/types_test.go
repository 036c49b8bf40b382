package embedded

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// everyType has one field for each type that the pipeline's tables use.
type everyType struct {
	ID      uint64            `ch:"id"`
	Text    string            `ch:"text"`
	Fixed   string            `ch:"fixed"`
	Low     string            `ch:"low"`
	LowNull *string           `ch:"low_null"`
	Null    *string           `ch:"null_text"`
	NullInt *int64            `ch:"null_int"`
	List    []string          `ch:"list"`
	Nested  [][]string        `ch:"nested"`
	Tags    map[string]string `ch:"tags"`
	At      time.Time         `ch:"at"`
	Seconds time.Time         `ch:"seconds"`
	Day     time.Time         `ch:"day"`
	Day32   time.Time         `ch:"day32"`
	Yes     bool              `ch:"yes"`
	U8      uint8             `ch:"u8"`
	U16     uint16            `ch:"u16"`
	U32     uint32            `ch:"u32"`
	U128    *big.Int          `ch:"u128"`
	I64     int64             `ch:"i64"`
	Price   decimal.Decimal   `ch:"price"`
	Amount  decimal.Decimal   `ch:"amount"`
	Kind    string            `ch:"kind"`
	Pair    []any             `ch:"pair"`
	UUID    uuid.UUID         `ch:"uuid"`
	F64     float64           `ch:"f64"`
}

const everyTypeColumns = `(id UInt64, text String, fixed FixedString(4), low LowCardinality(String),
	low_null LowCardinality(Nullable(String)), null_text Nullable(String), null_int Nullable(Int64),
	list Array(String), nested Array(Array(LowCardinality(String))),
	tags Map(LowCardinality(String), String), at DateTime64(6, 'Asia/Shanghai'),
	seconds DateTime('UTC'), day Date, day32 Date32, yes Bool, u8 UInt8, u16 UInt16, u32 UInt32,
	u128 UInt128, i64 Int64, price Decimal(38, 18), amount Decimal(18, 2),
	kind Enum8('usage' = 1, 'credit' = -2), pair Tuple(String, UInt32), uuid UUID, f64 Float64)
	ENGINE = MergeTree ORDER BY id`

func sample(i int) everyType {
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(err)
	}
	text := fmt.Sprintf("文本 %d \x00'\t\n", i)
	at := time.Date(2026, 3, 31, 23, 59, 59, 123456000, zone).Add(time.Duration(i) * time.Second)
	row := everyType{ID: uint64(i), Text: text, Fixed: fmt.Sprintf("%04d", i%10000),
		Low: fmt.Sprintf("api-%d", i%300), List: []string{}, Nested: [][]string{},
		Tags: map[string]string{}, At: at, Seconds: at.UTC().Truncate(time.Second),
		Day:   time.Date(2026, 4, 1+i%28, 0, 0, 0, 0, time.UTC),
		Day32: time.Date(1925, 4, 1+i%28, 0, 0, 0, 0, time.UTC), Yes: i%2 == 0,
		U8: uint8(i), U16: uint16(i), U32: uint32(i), I64: -int64(i) << 30,
		U128:   new(big.Int).Lsh(big.NewInt(int64(i)), 90),
		Price:  decimal.RequireFromString("12345678901234567890.123456789012345678"),
		Amount: decimal.New(int64(i)*100+1, -2).Neg(), Kind: []string{"usage", "credit"}[i%2],
		Pair: []any{text, uint32(i)}, UUID: uuid.NewSHA1(uuid.Nil, []byte(text)), F64: float64(i) / 3}
	if i%3 > 0 {
		number := int64(i)
		row.LowNull, row.Null, row.NullInt = &row.Low, &text, &number
		row.List = []string{"a", "", text}
		row.Nested = [][]string{{"x", row.Low}, {}, {"x"}}
		row.Tags = map[string]string{"model": row.Low, "说明": text}
	}
	return row
}

func (e *everyType) fields() []any {
	value := reflect.ValueOf(e).Elem()
	fields := make([]any, value.NumField())
	for i := range fields {
		fields[i] = value.Field(i).Interface()
	}
	return fields
}

// text makes two rows comparable: times and big numbers hold pointers.
func (e everyType) text() string {
	var b strings.Builder
	for i, field := range e.fields() {
		value := reflect.ValueOf(field)
		switch v := field.(type) {
		case time.Time:
			field = v.UTC().Format(time.RFC3339Nano)
		case *big.Int:
		default:
			if value.Kind() == reflect.Pointer && !value.IsNil() {
				field = value.Elem().Interface()
			}
		}
		fmt.Fprintf(&b, "%d=%q ", i, fmt.Sprint(field))
	}
	return b.String()
}

var compressions = map[string]*clickhouse.Compression{
	"none":    nil,
	"lz4":     {Method: clickhouse.CompressionLZ4},
	"zstd":    {Method: clickhouse.CompressionZSTD, Level: 1},
	"gzip":    {Method: clickhouse.CompressionGZIP, Level: 1},
	"deflate": {Method: clickhouse.CompressionDeflate, Level: 1},
	"br":      {Method: clickhouse.CompressionBrotli, Level: 1},
}

// TestTypesRoundTrip sends every type through the unchanged client: in by row, by struct and by
// column, out by Scan and by ScanStruct, in each compression the client has.
func TestTypesRoundTrip(t *testing.T) {
	server := sharedServer(t)
	for name, compression := range compressions {
		t.Run(name, func(t *testing.T) {
			db := ownDatabase(t, server, func(o *clickhouse.Options) { o.Compression = compression })
			execAll(t, db, "CREATE TABLE every "+everyTypeColumns)
			const rows = 700 // more than 255 different api-N, so that indexes take two bytes
			batch, err := db.PrepareBatch(t.Context(), "INSERT INTO every")
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				row := sample(i)
				if i%2 == 0 {
					err = batch.AppendStruct(&row)
				} else {
					err = batch.Append(row.fields()...)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			result, err := db.Query(t.Context(), "SELECT * FROM every ORDER BY id")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = result.Close() }()
			n := 0
			for ; result.Next(); n++ {
				var got everyType
				if err := result.ScanStruct(&got); err != nil {
					t.Fatal(err)
				}
				if want := sample(n); got.text() != want.text() {
					t.Fatalf("row %d\n got %s\nwant %s", n, got.text(), want.text())
				}
			}
			if err := result.Err(); err != nil || n != rows {
				t.Fatalf("%d rows of %d: %v", n, rows, err)
			}
		})
	}
}

// TestTypesByColumn is the way the pipeline inserts: a slice per column, only some columns named.
func TestTypesByColumn(t *testing.T) {
	db := ownDatabase(t, sharedServer(t), nil)
	execAll(t, db, "CREATE TABLE every "+everyTypeColumns)
	batch, err := db.PrepareBatch(t.Context(),
		"INSERT INTO every (id, low, tags, price, at) SETTINGS async_insert = 0")
	if err != nil {
		t.Fatal(err)
	}
	one, two := sample(1), sample(2)
	for i, column := range []any{[]uint64{1, 2}, []string{one.Low, two.Low},
		[]map[string]string{one.Tags, two.Tags}, []decimal.Decimal{one.Price, two.Price},
		[]time.Time{one.At, two.At}} {
		if err := batch.Column(i).Append(column); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	var id uint64
	var low string
	var tags map[string]string
	var price decimal.Decimal
	var at time.Time
	row := db.QueryRow(t.Context(), "SELECT id, low, tags, price, at FROM every WHERE id = ?", 2)
	if err := row.Scan(&id, &low, &tags, &price, &at); err != nil {
		t.Fatal(err)
	}
	if low != two.Low || !reflect.DeepEqual(tags, two.Tags) || !price.Equal(two.Price) ||
		!at.Equal(two.At) || at.Location().String() != "Asia/Shanghai" {
		t.Errorf("got %v %v %v %v %v", id, low, tags, price, at)
	}
}

package clickhouse

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
)

// block is a block of rows in ClickHouse's format Native, made column by column. The tables to
// which ingest writes get their rows this way, over HTTP: what the driver makes of lists of values
// costs several times as much as all other work on a record.
type block struct {
	buf   []byte
	rows  int
	names []string
	types tableColumns // of the table
	fault error        // the first

	// Of the dictionary at hand:
	seen     map[string]uint32
	distinct []string
	keys     []uint32 // by the things that rows share
}

// begin makes the block empty, for as many rows and columns of a table.
func (b *block) begin(types tableColumns, rows, columns int) {
	b.buf, b.names, b.rows, b.types, b.fault = b.buf[:0], b.names[:0], rows, types, nil
	b.varint(columns)
	b.varint(rows)
}

func (b *block) varint(n int)      { b.buf = binary.AppendUvarint(b.buf, uint64(n)) }
func (b *block) uint64(n uint64)   { b.buf = binary.LittleEndian.AppendUint64(b.buf, n) }
func (b *block) text(s string)     { b.varint(len(s)); b.buf = append(b.buf, s...) }
func (b *block) append(raw []byte) { b.buf = append(b.buf, raw...) }

// column begins a column that has to be of a type, which the table's own type may detail further.
func (b *block) column(name, kind string) {
	is, known := b.types[name]
	if !strings.HasPrefix(is, kind) && b.fault == nil {
		b.fault = fmt.Errorf("column %s is %q, not %s: run tollstream migrate or use the matching "+
			"program", name, is, kind)
		if !known {
			b.fault = fmt.Errorf("no column %s: run tollstream migrate", name)
		}
	}
	b.names = append(b.names, "`"+name+"`")
	b.text(name)
	b.text(is)
}

// longs, ints and octets write columns of eight, four and one byte a value.
func (b *block) longs(name, kind string, at func(i int) uint64) {
	b.column(name, kind)
	for i := range b.rows {
		b.uint64(at(i))
	}
}

func (b *block) ints(name, kind string, at func(i int) uint32) {
	b.column(name, kind)
	for i := range b.rows {
		b.buf = binary.LittleEndian.AppendUint32(b.buf, at(i))
	}
}

func (b *block) octets(name, kind string, at func(i int) byte) {
	b.column(name, kind)
	for i := range b.rows {
		b.buf = append(b.buf, at(i))
	}
}

// texts writes a column of texts that are in ClickHouse's form already.
func (b *block) texts(name string, raw []byte) {
	b.column(name, "String")
	b.append(raw)
}

// The parts of a LowCardinality column: the version of its form, and a flag each for a dictionary
// of its own and for one that is new.
const (
	lowCardinalityVersion = 1
	ownDictionary         = 1<<9 | 1<<10
)

// dictionary writes a LowCardinality column. Its values are those of things that many rows share;
// places says which one each row has.
func dictionary[T uint16 | uint32](
	b *block, name string, things int, value func(i int) string, places []T,
) {
	b.column(name, "LowCardinality(String)")
	clear(b.seen)
	b.distinct, b.keys = b.distinct[:0], b.keys[:0]
	for i := range things {
		v := value(i)
		key, known := b.seen[v]
		if !known {
			key = uint32(len(b.distinct))
			b.seen[v], b.distinct = key, append(b.distinct, v)
		}
		b.keys = append(b.keys, key)
	}
	width := widthOf(len(b.distinct))
	b.uint64(lowCardinalityVersion)
	b.uint64(width | ownDictionary)
	b.uint64(uint64(len(b.distinct)))
	for _, v := range b.distinct {
		b.text(v)
	}
	b.uint64(uint64(len(places)))
	for _, p := range places {
		switch key := b.keys[p]; width {
		case 0:
			b.buf = append(b.buf, byte(key))
		case 1:
			b.buf = append(b.buf, byte(key), byte(key>>8))
		default:
			b.buf = binary.LittleEndian.AppendUint32(b.buf, key)
		}
	}
}

// widthOf is 0, 1 or 2 where the keys of n values take one, two or four bytes.
func widthOf(n int) uint64 {
	switch {
	case n <= math.MaxUint8+1:
		return 0
	case n <= math.MaxUint16+1:
		return 1
	}
	return 2
}

// insertBlock sends a block as one INSERT.
func (s *Store) insertBlock(ctx context.Context, table string, b *block) error {
	if b.fault == nil && len(b.names) != len(b.types) {
		b.fault = fmt.Errorf("%d of its %d columns are given: run tollstream migrate or use the "+
			"matching program", len(b.names), len(b.types))
	}
	if b.fault != nil {
		return fmt.Errorf("insert into %s: %w", table, b.fault)
	}
	var body io.Reader = bytes.NewReader(b.buf)
	if m := frames[s.options.Compression]; m != 0 {
		body = &packed{left: b.buf, writer: compress.NewWriter(0, m)}
	}
	err := s.conn.InsertFormat(ctx, "Native",
		"INSERT INTO "+table+" ("+strings.Join(b.names, ", ")+")", body)
	if err != nil {
		return s.options.explain("insert into "+table, err)
	}
	return nil
}

// frames are the compressions in ClickHouse's own frames.
var frames = map[string]compress.Method{"lz4": compress.LZ4, "zstd": compress.ZSTD}

// frameBytes is how much is compressed at once.
const frameBytes = 1 << 20

// packed are bytes that are read as compressed frames.
type packed struct {
	left   []byte // not compressed yet
	writer *compress.Writer
	frame  []byte // not read yet
}

// Close implements io.ReadCloser, which makes it the body of its request as it is.
func (f *packed) Close() error { return nil }

// unpacking tells the server which bodies are packed. To say so in the context of the insert would
// say it as well of the request by which the driver gets to know a server, on a new connection.
type unpacking struct{ http.RoundTripper }

func unpack(t *http.Transport) (http.RoundTripper, error) { return unpacking{t}, nil }

// RoundTrip implements http.RoundTripper.
func (u unpacking) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, isPacked := r.Body.(*packed); isPacked {
		r = r.Clone(r.Context())
		query := r.URL.Query()
		query.Set("decompress", "1")
		r.URL.RawQuery = query.Encode()
	}
	return u.RoundTripper.RoundTrip(r)
}

func (f *packed) Read(p []byte) (int, error) {
	if len(f.frame) == 0 {
		if len(f.left) == 0 {
			return 0, io.EOF
		}
		n := min(len(f.left), frameBytes)
		if err := f.writer.Compress(f.left[:n]); err != nil {
			return 0, err
		}
		f.left, f.frame = f.left[n:], f.writer.Data
	}
	n := copy(p, f.frame)
	f.frame = f.frame[n:]
	return n, nil
}

package clickhouse

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go/compress"

	"tollstream/pipeline/stored"
)

// block is a block of rows in ClickHouse's format Native. The tables to which ingest writes get
// their rows this way, over HTTP: what the driver makes of lists of values costs several times as
// much as all other work on a record. Its bytes are made while they are read, some rows of a column
// at a time, so that it takes little memory of its own, however many rows it has.
type block struct {
	types tableColumns // of the table
	names []string
	order []uint32 // where each row is in what the columns are made of
	parts []part
	fault error // the first

	// Of reading: the part and the row at hand, and bytes that are made and not read.
	part, row int
	buf, left []byte

	sorter sorter
	shared stored.Texts // of things that rows share

	// Of the dictionary at hand:
	seen     map[string]uint32
	distinct []string
	keys     []uint32 // by the things that rows share
}

// part is a stretch of a block's bytes: what stands before the rows, and what each row adds. Both
// append to buf; one may be nil.
type part struct {
	head func()
	rows func(order []uint32)
}

// stepRows is of how many rows bytes are made at once.
const stepRows = 4096

// sentBytes is how many bytes are made before they are sent: some columns take only a few thousand
// for the rows of a step, and each time they are sent costs the same on both sides.
const sentBytes = 128 << 10

func newBlock() *block {
	return &block{seen: map[string]uint32{}}
}

// begin makes the block empty, for columns of a table. The order says how many rows it has.
func (b *block) begin(types tableColumns) {
	b.names, b.parts, b.types, b.fault = b.names[:0], b.parts[:0], types, nil
	b.part, b.row, b.buf, b.left = 0, 0, b.buf[:0], nil
	b.add(func() {
		b.varint(len(b.names))
		b.varint(len(b.order))
	}, nil)
}

func (b *block) add(head func(), rows func([]uint32)) {
	b.parts = append(b.parts, part{head, rows})
}

// Read implements io.Reader.
func (b *block) Read(p []byte) (int, error) {
	if !b.fill() {
		return 0, io.EOF
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, for whom copies what is read.
func (b *block) WriteTo(w io.Writer) (written int64, err error) {
	for b.fill() {
		n, err := w.Write(b.left)
		written += int64(n)
		if err != nil {
			return written, err
		}
		b.left = nil
	}
	return written, nil
}

// fill makes bytes if none are left to be read; false is the end of the block.
func (b *block) fill() bool {
	for len(b.left) == 0 {
		if b.part == len(b.parts) {
			return false
		}
		b.buf = b.buf[:0]
		for b.part < len(b.parts) && len(b.buf) < sentBytes {
			b.step()
		}
		b.left = b.buf
	}
	return true
}

// step makes what comes next.
func (b *block) step() {
	p := &b.parts[b.part]
	if b.row == 0 && p.head != nil {
		p.head()
	}
	if p.rows != nil {
		below := min(b.row+stepRows, len(b.order))
		p.rows(b.order[b.row:below])
		b.row = below
	}
	if p.rows == nil || b.row == len(b.order) {
		b.part, b.row = b.part+1, 0
	}
}

func (b *block) varint(n int)      { b.buf = binary.AppendUvarint(b.buf, uint64(n)) }
func (b *block) uint64(n uint64)   { b.buf = binary.LittleEndian.AppendUint64(b.buf, n) }
func (b *block) text(s string)     { b.buf = appendText(b.buf, s) }
func (b *block) append(raw []byte) { b.buf = append(b.buf, raw...) }

// column adds a column that has to be of a type, which the table's own type may detail further.
func (b *block) column(name, kind string, head func(), rows func([]uint32)) {
	is, known := b.types[name]
	if !strings.HasPrefix(is, kind) && b.fault == nil {
		b.fault = fmt.Errorf("column %s is %q, not %s: run tollstream migrate or use the matching "+
			"program", name, is, kind)
		if !known {
			b.fault = fmt.Errorf("no column %s: run tollstream migrate", name)
		}
	}
	b.names = append(b.names, "`"+name+"`")
	b.add(func() {
		b.text(name)
		b.text(is)
		if head != nil {
			head()
		}
	}, rows)
}

// longs adds a column of eight bytes a value.
func longs[T ~int64 | ~uint64](b *block, name, kind string, values []T) {
	b.column(name, kind, nil, func(order []uint32) {
		to := b.more(8 * len(order))
		for i, row := range order {
			binary.LittleEndian.PutUint64(to[8*i:], uint64(values[row]))
		}
	})
}

// ints adds a column of four bytes a value.
func (b *block) ints(name, kind string, values []int32) {
	b.column(name, kind, nil, func(order []uint32) {
		to := b.more(4 * len(order))
		for i, row := range order {
			binary.LittleEndian.PutUint32(to[4*i:], uint32(values[row]))
		}
	})
}

// octets adds a column of one byte a value.
func (b *block) octets(name, kind string, at func(row uint32) byte) {
	b.column(name, kind, nil, func(order []uint32) {
		to := b.more(len(order))
		for i, row := range order {
			to[i] = at(row)
		}
	})
}

// more appends bytes that are to be filled.
func (b *block) more(n int) []byte {
	end := len(b.buf)
	b.buf = slices.Grow(b.buf, n)[:end+n]
	return b.buf[end:]
}

// texts adds a column of texts, which are in ClickHouse's form already.
func (b *block) texts(name string, t *stored.Texts) {
	b.column(name, "String", nil, func(order []uint32) {
		for _, row := range order {
			b.append(t.Range(int(row), int(row)+1))
		}
	})
}

// sharedTexts adds a column of texts that are those of things that many rows share; places says
// which one each row has.
func (b *block) sharedTexts(name string, things int, value func(i int) string, places []uint32) {
	b.column(name, "String", func() {
		b.shared.Reset()
		for i := range things {
			b.shared.Add(value(i))
		}
	}, func(order []uint32) {
		for _, row := range order {
			place := int(places[row])
			b.append(b.shared.Range(place, place+1))
		}
	})
}

// The parts of a LowCardinality column: the version of its form, and a flag each for a dictionary
// of its own and for one that is new.
const (
	lowCardinalityVersion = 1
	ownDictionary         = 1<<9 | 1<<10
)

// dictionary adds a LowCardinality column. Its values are those of things that many rows share;
// places says which one each row has.
func dictionary[T uint16 | uint32](
	b *block, name string, things int, value func(i int) string, places []T,
) {
	width := uint64(0)
	b.column(name, "LowCardinality(String)", func() {
		b.number(things, value)
		width = widthOf(len(b.distinct))
		b.uint64(lowCardinalityVersion)
		b.uint64(width | ownDictionary)
		b.uint64(uint64(len(b.distinct)))
		for _, v := range b.distinct {
			b.text(v)
		}
		b.uint64(uint64(len(b.order)))
	}, func(order []uint32) {
		to := b.more(len(order) << width)
		switch width {
		case 0:
			for i, row := range order {
				to[i] = byte(b.keys[places[row]])
			}
		case 1:
			for i, row := range order {
				binary.LittleEndian.PutUint16(to[2*i:], uint16(b.keys[places[row]]))
			}
		default:
			for i, row := range order {
				binary.LittleEndian.PutUint32(to[4*i:], b.keys[places[row]])
			}
		}
	})
}

// number gives each different value of some things a key.
func (b *block) number(things int, value func(i int) string) {
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
	return s.insertNative(ctx, table, b.names, b)
}

// insertNative sends the bytes of a block as one INSERT.
func (s *Store) insertNative(
	ctx context.Context, table string, names []string, body io.Reader,
) error {
	if m := frames[s.options.Compression]; m != 0 {
		body = &packed{from: body, writer: compress.NewWriter(0, m), plain: make([]byte, frameBytes)}
	}
	err := s.conn.InsertFormat(ctx, "Native",
		"INSERT INTO "+table+" ("+strings.Join(names, ", ")+")", body)
	if err != nil {
		return s.options.explain("insert into "+table, err)
	}
	return nil
}

// frames are the compressions in ClickHouse's own frames.
var frames = map[string]compress.Method{"lz4": compress.LZ4, "zstd": compress.ZSTD}

// frameBytes is how much is compressed at once.
const frameBytes = 256 << 10

// packed are bytes that are read as compressed frames.
type packed struct {
	from   io.Reader
	writer *compress.Writer
	plain  []byte // of a frame
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
		n, err := io.ReadFull(f.from, f.plain)
		if n == 0 {
			return 0, err
		}
		if err := f.writer.Compress(f.plain[:n]); err != nil {
			return 0, err
		}
		f.frame = f.writer.Data
	}
	n := copy(p, f.frame)
	f.frame = f.frame[n:]
	return n, nil
}

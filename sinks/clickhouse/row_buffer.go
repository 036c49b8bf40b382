package clickhouse

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// rowBuffer has rows of one table that wait to be inserted together, as the bytes that ClickHouse's
// format Native has for them. Its memory is used again once they are inserted.
type rowBuffer struct {
	table   string
	types   tableColumns
	columns []columnBuffer
	rows    int
}

// columnBuffer is one column of them.
type columnBuffer struct {
	name string
	kind string // the type in which it travels
	// ahead stands before the values: of what may be NULL a flag for each row, of lists where each
	// row's ends.
	ahead, values []byte
	listed        int // values in the lists so far
}

// add appends rows given as columns. They have to be the same columns each time.
func (w *rowBuffer) add(columns []column) error {
	n, err := rowsOf(w.table, columns)
	if err != nil || n == 0 {
		return err
	}
	if err := checkNames(w.table, w.types, columns); err != nil {
		return err
	}
	if w.columns == nil {
		w.columns = make([]columnBuffer, len(columns))
	}
	for i := range columns {
		if err := w.columns[i].add(columns[i], w.types[columns[i].name]); err != nil {
			return fmt.Errorf("insert into %s: column %s: %w", w.table, columns[i].name, err)
		}
	}
	w.rows += n
	return nil
}

func (w *rowBuffer) bytes() int {
	n := 0
	for i := range w.columns {
		n += len(w.columns[i].ahead) + len(w.columns[i].values)
	}
	return n
}

// empty forgets the rows and keeps the memory.
func (w *rowBuffer) empty() {
	w.rows = 0
	for i := range w.columns {
		c := &w.columns[i]
		c.ahead, c.values, c.listed = c.ahead[:0], c.values[:0], 0
	}
}

// block gives the rows as one block, and the names of its columns.
func (w *rowBuffer) block() (names []string, body io.Reader) {
	head := binary.AppendUvarint(nil, uint64(len(w.columns)))
	head = binary.AppendUvarint(head, uint64(w.rows))
	var all pieces
	for i := range w.columns {
		c := &w.columns[i]
		names = append(names, "`"+c.name+"`")
		all = append(all, appendText(appendText(head, c.name), c.kind), c.ahead, c.values)
		head = nil
	}
	return names, &all
}

// pieces are bytes that are read one stretch after the other.
type pieces [][]byte

// Read implements io.Reader.
func (p *pieces) Read(to []byte) (int, error) {
	for len(*p) > 0 && len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(to, (*p)[0])
	(*p)[0] = (*p)[0][n:]
	return n, nil
}

// WriteTo implements io.WriterTo, for whom copies what is read.
func (p *pieces) WriteTo(to io.Writer) (written int64, err error) {
	for _, piece := range *p {
		n, err := to.Write(piece)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	*p = nil
	return written, nil
}

// add appends the values of a column of a table whose column has the type is.
func (c *columnBuffer) add(from column, is string) error {
	c.name, c.kind = from.name, plainType(is)
	to := &c.values
	switch v := from.values.(type) {
	case made[string]:
		if strings.HasPrefix(is, "Enum8(") {
			return appendEnum(to, is, v)
		}
		return appendEach(to, v, c.kind, "String", appendText[string])
	case made[[]byte]:
		return appendEach(to, v, c.kind, "String", appendText[[]byte])
	case made[time.Time]:
		return appendTimes(to, is, v)
	case made[bool]:
		return appendEach(to, v, is, "Bool", func(b []byte, yes bool) []byte {
			return append(b, octet(yes))
		})
	case made[uint8]:
		return appendEach(to, v, is, "UInt8", func(b []byte, n uint8) []byte { return append(b, n) })
	case made[int32]:
		return appendEach(to, v, is, "Int32", func(b []byte, n int32) []byte {
			return binary.LittleEndian.AppendUint32(b, uint32(n))
		})
	case made[uint32]:
		return appendEach(to, v, is, "UInt32", binary.LittleEndian.AppendUint32)
	case made[int64]:
		return appendEach(to, v, is, "Int64", func(b []byte, n int64) []byte {
			return binary.LittleEndian.AppendUint64(b, uint64(n))
		})
	case made[uint64]:
		return appendEach(to, v, is, "UInt64", binary.LittleEndian.AppendUint64)
	case made[decimal.Decimal]:
		return c.addDecimals(is, v)
	case made[*decimal.Decimal]:
		return c.addNullable(is, v)
	case made[[]string]:
		return c.addLists(v)
	}
	return fmt.Errorf("no form for a %T", from.values)
}

func octet(yes bool) byte {
	if yes {
		return 1
	}
	return 0
}

func appendText[T string | []byte](to []byte, s T) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

// appendEach appends values to a column that has to be of a type.
func appendEach[T any](
	to *[]byte, from made[T], is, kind string, one func([]byte, T) []byte,
) error {
	if is != kind {
		return wrongType(is, kind)
	}
	for i := range from.n {
		*to = one(*to, from.at(i))
	}
	return nil
}

func wrongType(is, kind string) error {
	return fmt.Errorf("the table has %q, not %s: run tollstream migrate or use the matching program",
		is, kind)
}

var enumValue = regexp.MustCompile(`'([^']*)' = (-?\d+)`)

func appendEnum(to *[]byte, is string, from made[string]) error {
	numbers := map[string]byte{}
	for _, m := range enumValue.FindAllStringSubmatch(is, -1) {
		n, err := strconv.ParseInt(m[2], 10, 8)
		if err != nil {
			return err
		}
		numbers[m[1]] = byte(n)
	}
	for i := range from.n {
		n, known := numbers[from.at(i)]
		if !known {
			return fmt.Errorf("%q is not a value of %s", from.at(i), is)
		}
		*to = append(*to, n)
	}
	return nil
}

func appendTimes(to *[]byte, is string, from made[time.Time]) error {
	const secondsADay = 86_400
	for i := range from.n {
		t := from.at(i)
		switch {
		case strings.HasPrefix(is, "DateTime64(6"):
			*to = binary.LittleEndian.AppendUint64(*to, uint64(t.UnixMicro()))
		case strings.HasPrefix(is, "DateTime64(3"):
			*to = binary.LittleEndian.AppendUint64(*to, uint64(t.UnixMilli()))
		case is == "Date":
			*to = binary.LittleEndian.AppendUint16(*to, uint16(t.Unix()/secondsADay))
		default:
			return wrongType(is, "a time")
		}
	}
	return nil
}

func (c *columnBuffer) addDecimals(is string, from made[decimal.Decimal]) error {
	scale, err := scaleOf(is)
	for i := 0; err == nil && i < from.n; i++ {
		c.values, err = appendDecimal(c.values, from.at(i), scale)
	}
	return err
}

func (c *columnBuffer) addNullable(is string, from made[*decimal.Decimal]) error {
	scale, err := scaleOf(strings.TrimSuffix(strings.TrimPrefix(is, "Nullable("), ")"))
	for i := 0; err == nil && i < from.n; i++ {
		d := from.at(i)
		c.ahead = append(c.ahead, octet(d == nil))
		if d == nil {
			d = &decimal.Zero
		}
		c.values, err = appendDecimal(c.values, *d, scale)
	}
	return err
}

func (c *columnBuffer) addLists(from made[[]string]) error {
	if c.kind != "Array(String)" {
		return wrongType(c.kind, "Array(String)")
	}
	for i := range from.n {
		for _, s := range from.at(i) {
			c.values = appendText(c.values, s)
			c.listed++
		}
		c.ahead = binary.LittleEndian.AppendUint64(c.ahead, uint64(c.listed))
	}
	return nil
}

// scaleOf gives the decimal places of a type of 16 bytes.
func scaleOf(is string) (int32, error) {
	m := decimalScale.FindStringSubmatch(is)
	if m == nil || !strings.HasPrefix(is, "Decimal(38, ") {
		return 0, wrongType(is, "Decimal(38, …)")
	}
	scale, err := strconv.ParseInt(m[1], 10, 32)
	return int32(scale), err
}

// powers are those of ten that fit.
var powers = func() (p [19]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// appendDecimal appends a number as a whole one of so many decimal places, 16 bytes with the lowest
// first. What has more places than that is an error, as is what does not fit.
func appendDecimal(to []byte, d decimal.Decimal, scale int32) ([]byte, error) {
	const digitsMax = 18 // of which all numbers fit in 64 bits
	shift := scale + d.Exponent()
	if shift < 0 || int(shift) >= len(powers) || d.NumDigits() > digitsMax {
		return appendLong(to, d, scale)
	}
	n := d.CoefficientInt64()
	high, low := bits.Mul64(uint64(max(n, -n)), powers[shift])
	if n < 0 {
		var borrow uint64
		low, borrow = bits.Sub64(0, low, 0)
		high, _ = bits.Sub64(0, high, borrow)
	}
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(to, low), high), nil
}

// appendLong is appendDecimal for any number.
func appendLong(to []byte, d decimal.Decimal, scale int32) ([]byte, error) {
	if err := checkScale(d, scale); err != nil {
		return to, err
	}
	const digits, size = 38, 16
	n := d.Shift(scale).BigInt()
	if limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil); n.CmpAbs(limit) >= 0 {
		return to, fmt.Errorf("%s has more than %d digits with %d decimal places", d, digits, scale)
	}
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), 8*size))
	}
	var bytes [size]byte
	n.FillBytes(bytes[:])
	for i := range bytes {
		to = append(to, bytes[size-1-i])
	}
	return to, nil
}

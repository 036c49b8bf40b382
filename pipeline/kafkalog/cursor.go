package kafkalog

import (
	"encoding/binary"
	"errors"
)

// errShort says that a length or count points past the end of the bytes at hand.
var errShort = errors.New("fields run past the end of the bytes")

// cursor reads Kafka's big-endian fields from a buffer. The first failure sticks and makes every
// later read give zero, so callers check err once at the end of a loop's turn.
type cursor struct {
	b   []byte
	err error
}

// take gives the next n bytes without copying them.
func (c *cursor) take(n int) []byte {
	if c.err != nil || n < 0 || n > len(c.b) {
		c.fail()
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) fail() {
	c.b = nil
	if c.err == nil {
		c.err = errShort
	}
}

func (c *cursor) int16() int16 {
	if b := c.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) int64() int64 {
	if b := c.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (c *cursor) string() string {
	if n := c.int16(); n > 0 {
		return string(c.take(int(n)))
	}
	return ""
}

func (c *cursor) bytes() []byte {
	if n := c.int32(); n > 0 {
		return c.take(int(n))
	}
	return nil
}

// count reads an array's length and refuses one that could not fit in what is left, given the
// least size of an element: hostile counts then cost nothing.
func (c *cursor) count(elementMin int) int {
	n := int(c.int32())
	if n > 0 && n > len(c.b)/elementMin {
		c.fail()
		return 0
	}
	return max(n, 0)
}

// uvarint reads the length prefix of flexible protocol versions.
func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

// compactCount is count for flexible versions: the length plus one, zero for null.
func (c *cursor) compactCount(elementMin int) int {
	n := c.uvarint()
	if n <= 1 {
		return 0
	}
	if n-1 > uint64(len(c.b)/elementMin) {
		c.fail()
		return 0
	}
	return int(n - 1)
}

func (c *cursor) compactString() string { return string(c.take(c.compactCount(1))) }

// tags skips the tagged fields that end every flexible structure.
func (c *cursor) tags() {
	for n := c.uvarint(); n > 0 && c.err == nil; n-- {
		c.uvarint()
		size := c.uvarint()
		if size > uint64(len(c.b)) {
			c.fail()
			return
		}
		c.take(int(size))
	}
}

func appendInt32(b []byte, values ...int32) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// appendHeader writes request header v1, which all the versions used here begin with.
func appendHeader(b []byte, api, version int16, correlation int32, clientID string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(api))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = appendInt32(b, correlation)
	return appendString(b, clientID)
}

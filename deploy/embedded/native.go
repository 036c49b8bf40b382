package embedded

import (
	"encoding/binary"
	"errors"
	"io"
)

// Revisions of ClickHouse's protocol at which the Native format gained a field.
const (
	revisionBlockInfo           = 1
	revisionCustomSerialization = 54454
)

var errCutBlock = errors.New("a block of the engine's Native output ends early")

// The engine writes Native for a client of revision 0. A client that announces a later revision
// expects a block info in front of each block and one byte after each column's type; everything
// else is the same bytes. So a block is not decoded: layout only finds where each column ends.

// writeNative copies whole blocks from the engine to w in the shape the revision asks for.
func writeNative(w io.Writer, blocks []byte, revision int) error {
	if revision < revisionBlockInfo {
		_, err := w.Write(blocks)
		return err
	}
	in := &cursor{data: blocks}
	for in.left() > 0 {
		if err := writeBlock(w, in, revision); err != nil {
			return err
		}
	}
	return nil
}

// blockInfo: field 1 is_overflows = 0, field 2 bucket_num = -1, end.
var blockInfo = []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}

func writeBlock(w io.Writer, in *cursor, revision int) error {
	head := in.at
	columns, err := in.varint()
	if err != nil {
		return err
	}
	rows, err := in.varint()
	if err != nil {
		return err
	}
	if _, err := w.Write(blockInfo); err != nil {
		return err
	}
	if _, err := w.Write(in.data[head:in.at]); err != nil {
		return err
	}
	for range columns {
		if err := writeColumn(w, in, int(rows), revision); err != nil {
			return err
		}
	}
	return nil
}

func writeColumn(w io.Writer, in *cursor, rows, revision int) error {
	head := in.at
	if err := in.skipString(); err != nil {
		return err
	}
	kind, err := in.str()
	if err != nil {
		return err
	}
	if _, err := w.Write(in.data[head:in.at]); err != nil {
		return err
	}
	if revision >= revisionCustomSerialization {
		if _, err := w.Write([]byte{0}); err != nil {
			return err
		}
	}
	if rows == 0 {
		return nil
	}
	layout, err := layoutOf(kind)
	if err != nil {
		return err
	}
	start := in.at
	if err := layout.skipPrefix(in); err != nil {
		return err
	}
	if err := layout.skip(in, rows); err != nil {
		return err
	}
	_, err = w.Write(in.data[start:in.at])
	return err
}

// cursor walks over bytes and never past their end.
type cursor struct {
	data []byte
	at   int
}

func (c *cursor) left() int { return len(c.data) - c.at }

func (c *cursor) skip(n int) error {
	if n < 0 || n > c.left() {
		return errCutBlock
	}
	c.at += n
	return nil
}

// skipMany skips count values of the same size. The division keeps a huge count from overflowing.
func (c *cursor) skipMany(count, size int) error {
	if count < 0 || size > 0 && count > c.left()/size {
		return errCutBlock
	}
	c.at += count * size
	return nil
}

func (c *cursor) varint() (uint64, error) {
	value, n := binary.Uvarint(c.data[c.at:])
	if n <= 0 {
		return 0, errCutBlock
	}
	c.at += n
	return value, nil
}

func (c *cursor) uint64() (uint64, error) {
	if c.left() < 8 {
		return 0, errCutBlock
	}
	value := binary.LittleEndian.Uint64(c.data[c.at:])
	c.at += 8
	return value, nil
}

func (c *cursor) skipString() error {
	_, err := c.str()
	return err
}

func (c *cursor) str() (string, error) {
	n, err := c.varint()
	if err != nil {
		return "", err
	}
	if n > uint64(c.left()) {
		return "", errCutBlock
	}
	start := c.at
	c.at += int(n)
	return string(c.data[start:c.at]), nil
}

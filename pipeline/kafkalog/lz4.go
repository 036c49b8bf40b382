package kafkalog

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/pierrec/lz4/v4"
)

// The form of an LZ4 frame: magic, flags, the size of blocks, more that depends on the flags, and
// blocks, each after its size, up to one of size 0.
const (
	lz4Magic         = 0x184D2204
	lz4DescriptorMin = 7 // magic, flags, size of blocks, checksum of these
	lz4Dictionary    = 1 << 0
	lz4ContentSize   = 1 << 3
	lz4BlockChecksum = 1 << 4
	lz4Independent   = 1 << 5 // no block refers to those before it
	lz4Plain         = 1 << 31
	lz4WindowBytes   = 64 << 10 // how far back blocks refer
)

var errLZ4 = errors.New("not an LZ4 frame that Kafka's clients write")

// unlz4 reads a frame straight into a block: the library's own reader copies everything once more.
// It looks at none of the frame's checksums, since that of the batch covers all bytes of the frame.
func unlz4(out, b []byte) ([]byte, error) {
	if len(b) < lz4DescriptorMin {
		return nil, errShort
	}
	flags, size := b[4], b[5]>>4&7
	if binary.LittleEndian.Uint32(b) != lz4Magic || flags>>6 != 1 || flags&lz4Dictionary != 0 ||
		size < 4 {
		return nil, errLZ4
	}
	b = b[lz4DescriptorMin:]
	if flags&lz4ContentSize != 0 {
		b = b[min(8, len(b)):]
	}
	most := 1 << (8 + 2*size)
	for {
		if len(b) < 4 {
			return nil, errShort
		}
		n := binary.LittleEndian.Uint32(b)
		if b = b[4:]; n == 0 {
			return out, nil
		}
		plain := n&lz4Plain != 0
		if n &^= lz4Plain; int64(n) > int64(len(b)) {
			return nil, errShort
		}
		var err error
		if plain {
			out = append(out, b[:n]...)
		} else if out, err = lz4Block(out, b[:n], most, flags&lz4Independent == 0); err != nil {
			return nil, err
		}
		if len(out) > batchBytesMax {
			return nil, errTooLarge
		}
		b = b[n:]
		if flags&lz4BlockChecksum != 0 {
			b = b[min(4, len(b)):]
		}
	}
}

// lz4Usual is above the usual ratio for JSON in a batch, lz4RatioMax what the format can reach.
const (
	lz4Usual    = 4
	lz4RatioMax = 255
)

// lz4Block appends a block of at most so many bytes to what stands before it. Room is made by what
// is usual first, so that a small block cannot make it allocate much without having it.
func lz4Block(out, block []byte, most int, linked bool) ([]byte, error) {
	at := len(out)
	most = min(most, lz4RatioMax*len(block))
	for room := min(most, max(lz4Usual*len(block), cap(out)-at)); ; room = min(most, 4*room) {
		out = slices.Grow(out[:at], room)[:at+room]
		var window []byte
		if linked {
			window = out[max(0, at-lz4WindowBytes):at]
		}
		n, err := lz4.UncompressBlockWithDict(block, out[at:], window)
		if err == nil {
			return out[:at+n], nil
		}
		if room == most {
			return nil, err
		}
	}
}

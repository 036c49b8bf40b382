package kafkalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// The codec numbers of a batch's attributes.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

var errTooLarge = fmt.Errorf("batch decompresses to more than %d bytes: %w", batchBytesMax,
	errLimit)

// decompress gives the records' bytes in a block that nothing else points into.
func decompress(codec int16, payload []byte) ([]byte, error) {
	block := newBlock()
	var out []byte
	var err error
	switch codec {
	case codecGzip:
		out, err = gunzip(block, payload)
	case codecSnappy:
		out, err = unsnappy(block, payload)
	case codecLZ4:
		out, err = unlz4(block, payload)
	case codecZstd:
		out, err = unzstd(block, payload)
	default:
		return nil, fmt.Errorf("batch has unknown compression %d", codec)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", codecName(codec), err)
	}
	return out, nil
}

func codecName(codec int16) string {
	return [...]string{"none", "gzip", "snappy", "lz4", "zstd", "5", "6", "7"}[codec&7]
}

// The readers below hold windows and tables of up to some hundred KiB, so they are kept.
var (
	gzipReaders sync.Pool
	zstdReader  = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(batchBytesMax),
			zstd.WithDecoderConcurrency(0))
	})
)

// readBounded reads r whole into block. Without a block's capacity it begins with a guess of four
// times the compressed size, the usual ratio for JSON in a batch, and grows only as bytes arrive,
// so that a small batch cannot make it allocate much.
func readBounded(block []byte, r io.Reader, compressed int) ([]byte, error) {
	out := bytes.NewBuffer(block)
	out.Grow(min(4*compressed, batchBytesMax) + bytes.MinRead)
	n, err := out.ReadFrom(io.LimitReader(r, batchBytesMax+1))
	if err != nil {
		return nil, err
	}
	if n > batchBytesMax {
		return nil, errTooLarge
	}
	return out.Bytes(), nil
}

func gunzip(block, b []byte) ([]byte, error) {
	r, _ := gzipReaders.Get().(*gzip.Reader)
	if r == nil {
		r = new(gzip.Reader)
	}
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(b)); err != nil {
		return nil, err
	}
	return readBounded(block, r, len(b))
}

func unzstd(block, b []byte) ([]byte, error) {
	d, err := zstdReader()
	if err != nil {
		return nil, err
	}
	out, err := d.DecodeAll(b, block)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(out) > batchBytesMax {
		return nil, errTooLarge
	}
	return out, err
}

// xerialMagic begins the framing that the Java client puts around snappy blocks.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeaderSize = 16

// unsnappy reads a bare block (librdkafka, franz-go) or the Java client's frames.
func unsnappy(out, b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, xerialMagic) {
		return snappyBlock(out, b)
	}
	if len(b) < xerialHeaderSize {
		return nil, errShort
	}
	for b = b[xerialHeaderSize:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, errShort
		}
		n := int64(binary.BigEndian.Uint32(b))
		if n > int64(len(b)-4) {
			return nil, errShort
		}
		var err error
		if out, err = snappyBlock(out, b[4:4+n]); err != nil {
			return nil, err
		}
		b = b[4+n:]
	}
	return out, nil
}

// snappyRatioMax is above what the format can reach (64 bytes from a copy of 3 bytes), so that a
// claimed length is believed only when the block could hold it.
const snappyRatioMax = 32

// snappyBlock appends one block to out.
func snappyBlock(out, block []byte) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if n > batchBytesMax-len(out) {
		return nil, errTooLarge
	}
	if n > snappyRatioMax*len(block) {
		return nil, fmt.Errorf("block of %d bytes claims %d", len(block), n)
	}
	at := len(out)
	out = slices.Grow(out, n)[:at+n]
	_, err = snappy.Decode(out[at:], block)
	return out, err
}

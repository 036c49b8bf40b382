package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/go-faster/city"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A frame of ClickHouse's own compression: a checksum of 16 bytes over the rest, one byte for the
// method, the size of method + sizes + data, the size of the plain bytes, and the data.
const (
	frameChecksumBytes = 16
	frameHeaderBytes   = 9
	frameBytesMax      = 1 << 30 // as in ClickHouse; a client may send a batch as one frame

	frameMethodNone = 0x02
	frameMethodLZ4  = 0x82
	frameMethodZSTD = 0x90
)

// frameReader yields the plain bytes of a stream of frames.
type frameReader struct {
	source io.Reader
	packed []byte
	plain  []byte
	left   []byte
	zstd   *zstd.Decoder
}

func newFrameReader(source io.Reader) *frameReader {
	return &frameReader{source: bufio.NewReaderSize(source, 64<<10)}
}

func (f *frameReader) Read(p []byte) (int, error) {
	for len(f.left) == 0 {
		if err := f.readFrame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

func (f *frameReader) readFrame() error {
	var head [frameChecksumBytes + frameHeaderBytes]byte
	if _, err := io.ReadFull(f.source, head[:]); err != nil {
		return err // io.EOF only at the border between two frames
	}
	header := head[frameChecksumBytes:]
	packed := int(binary.LittleEndian.Uint32(header[1:]))
	plain := int(binary.LittleEndian.Uint32(header[5:]))
	if packed < frameHeaderBytes || packed > frameBytesMax || plain > frameBytesMax {
		return errFrame("a frame of %d bytes for %d bytes is out of bounds", packed, plain)
	}
	f.packed = grown(f.packed, packed)
	copy(f.packed, header)
	if _, err := io.ReadFull(f.source, f.packed[frameHeaderBytes:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	sum := city.CH128(f.packed)
	if sum.Low != binary.LittleEndian.Uint64(head[:]) ||
		sum.High != binary.LittleEndian.Uint64(head[8:]) {
		return errFrame("the checksum of a frame does not match: it was damaged on its way")
	}
	return f.unpack(f.packed[0], f.packed[frameHeaderBytes:], plain)
}

func (f *frameReader) unpack(method byte, data []byte, plain int) error {
	switch method {
	case frameMethodNone:
		f.left = data
		return nil
	case frameMethodLZ4:
		f.plain = grown(f.plain, plain)
		n, err := lz4.UncompressBlock(data, f.plain)
		if err != nil || n != plain {
			return errFrame("a frame does not hold %d bytes of LZ4", plain)
		}
		f.left = f.plain
		return nil
	case frameMethodZSTD:
		if f.zstd == nil {
			decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
			if err != nil {
				return err
			}
			f.zstd = decoder
		}
		out, err := f.zstd.DecodeAll(data, f.plain[:0])
		if err != nil || len(out) != plain {
			return errFrame("a frame does not hold %d bytes of ZSTD", plain)
		}
		f.plain, f.left = out, out
		return nil
	}
	return errFrame("unknown compression method 0x%02x in a frame", method)
}

func errFrame(format string, arguments ...any) error {
	return raise(codeCannotDecompress, "CANNOT_DECOMPRESS", format, arguments...)
}

func grown(buffer []byte, n int) []byte {
	if cap(buffer) < n {
		return make([]byte, n)
	}
	return buffer[:n]
}

// frameWriter packs what is written to it into frames of at most frameWriteBytes.
type frameWriter struct {
	target io.Writer
	packer *compress.Writer
	buffer []byte
}

const frameWriteBytes = 1 << 20

func newFrameWriter(target io.Writer, method compress.Method) *frameWriter {
	return &frameWriter{target: target, packer: compress.NewWriter(compress.LevelZero, method),
		buffer: make([]byte, 0, frameWriteBytes)}
}

func (f *frameWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), frameWriteBytes-len(f.buffer))
		f.buffer, p = append(f.buffer, p[:n]...), p[n:]
		if len(f.buffer) == frameWriteBytes {
			if err := f.Flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

// Flush sends what is gathered as one frame.
func (f *frameWriter) Flush() error {
	if len(f.buffer) == 0 {
		return nil
	}
	if err := f.packer.Compress(f.buffer); err != nil {
		return err
	}
	f.buffer = f.buffer[:0]
	_, err := f.target.Write(f.packer.Data)
	return err
}

func (f *frameWriter) Close() error { return f.Flush() }

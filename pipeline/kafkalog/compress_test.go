package kafkalog

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// TestSnappyOfTheJavaClient has several framed blocks, which neither franz-go nor librdkafka write.
func TestSnappyOfTheJavaClient(t *testing.T) {
	framed := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	want := ""
	for _, text := range []string{"calls ", "and ", strings.Repeat("tokens ", 99)} {
		block := snappy.Encode(nil, []byte(text))
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(block)))
		framed = append(framed, block...)
		want += text
	}
	got, err := decompress(codecSnappy, framed)
	if err != nil || string(got) != want {
		t.Fatalf("%q %v", got, err)
	}
	for cut := xerialHeaderSize + 1; cut < len(framed); cut += 7 {
		if got, err := decompress(codecSnappy, framed[:cut]); err == nil && string(got) == want {
			t.Fatalf("cut at %d: not noticed", cut)
		}
	}
}

// TestBombsAreRefused gives batches that would grow past the limit.
func TestBombsAreRefused(t *testing.T) {
	zeros := make([]byte, 1<<20)
	var zipped, frame bytes.Buffer
	z := gzip.NewWriter(&zipped)
	s, err := zstd.NewWriter(&frame)
	if err != nil {
		t.Fatal(err)
	}
	for range batchBytesMax/len(zeros) + 1 {
		z.Write(zeros)
		s.Write(zeros)
	}
	z.Close()
	s.Close()
	claim := binary.AppendUvarint(nil, 100<<20)
	for codec, payload := range map[int16][]byte{codecGzip: zipped.Bytes(),
		codecZstd: frame.Bytes(), codecSnappy: append(claim, 0, 0)} {
		if got, err := decompress(codec, payload); err == nil {
			t.Errorf("%s: %d bytes became %d", codecName(codec), len(payload), len(got))
		}
	}
}

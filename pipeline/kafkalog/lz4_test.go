package kafkalog

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// TestLZ4Frames: frames of all forms that clients write are read, behind what stands there already,
// and one that is cut short is noticed.
func TestLZ4Frames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for name, text := range map[string]string{"empty": "", "short": "calls",
		"records": strings.Repeat(`{"call_id":"c1","result_code":"0"}`, 10_000),
		"zeros":   string(make([]byte, 5<<20)), "noise": string(noise)} {
		for _, options := range [][]lz4.Option{nil, {lz4.BlockSizeOption(lz4.Block64Kb)},
			{lz4.BlockChecksumOption(true), lz4.ChecksumOption(false)},
			{lz4.SizeOption(uint64(len(text))), lz4.BlockSizeOption(lz4.Block256Kb)}} {
			var framed bytes.Buffer
			w := lz4.NewWriter(&framed)
			if err := w.Apply(options...); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := unlz4([]byte("before "), framed.Bytes())
			if err != nil || string(got) != "before "+text {
				t.Fatalf("%s %v: %d bytes became %d: %v", name, options, len(text), len(got), err)
			}
			for cut := 0; cut < framed.Len()-8; cut += 1 + framed.Len()/50 {
				if _, err := unlz4(nil, framed.Bytes()[:cut]); err == nil {
					t.Errorf("%s %v: cut at %d: not noticed", name, options, cut)
				}
			}
		}
	}
}

// TestLZ4BlocksThatReferBack has linked blocks, as librdkafka and the C library write them.
func TestLZ4BlocksThatReferBack(t *testing.T) {
	frame := func(flags byte) []byte {
		f := binary.LittleEndian.AppendUint32(nil, lz4Magic)
		f = append(f, 1<<6|flags, 4<<4, 0)
		// Four letters as they are; then one more, four from five bytes back, and five as they are.
		for _, block := range []string{"\x40wxyz", "\x10x\x05\x00\x50abcde"} {
			f = binary.LittleEndian.AppendUint32(f, uint32(len(block)))
			f = append(f, block...)
		}
		return append(f, 0, 0, 0, 0)
	}
	if got, err := unlz4(nil, frame(0)); err != nil || string(got) != "wxyzxwxyzabcde" {
		t.Errorf("%q %v", got, err)
	}
	for what, f := range map[string][]byte{"independent": frame(lz4Independent),
		"dictionary": frame(lz4Dictionary), "version": frame(1 << 7),
		"other": []byte("no LZ4 frame")} {
		if got, err := unlz4(nil, f); err == nil {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// BenchmarkLZ4 unpacks a batch of 1000 records.
func BenchmarkLZ4(b *testing.B) {
	var plain []byte
	for i := range benchBatch {
		plain = append(plain, benchValue(i)...)
	}
	var framed bytes.Buffer
	w := lz4.NewWriter(&framed)
	if _, err := w.Write(plain); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		out, err := unlz4(newBlock(), framed.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		putBlock(out)
	}
}

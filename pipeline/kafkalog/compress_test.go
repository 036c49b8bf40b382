package kafkalog

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
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
	var zipped, frame, blocks bytes.Buffer
	z := gzip.NewWriter(&zipped)
	s, err := zstd.NewWriter(&frame)
	if err != nil {
		t.Fatal(err)
	}
	l := lz4.NewWriter(&blocks)
	for range batchBytesMax/len(zeros) + 1 {
		z.Write(zeros)
		s.Write(zeros)
		l.Write(zeros)
	}
	z.Close()
	s.Close()
	l.Close()
	claim := binary.AppendUvarint(nil, 100<<20)
	for codec, payload := range map[int16][]byte{codecGzip: zipped.Bytes(),
		codecZstd: frame.Bytes(), codecLZ4: blocks.Bytes(), codecSnappy: append(claim, 0, 0)} {
		if got, err := decompress(codec, payload); err == nil {
			t.Errorf("%s: %d bytes became %d", codecName(codec), len(payload), len(got))
		}
	}
}

// zeros is a batch of one record at an offset, whose value of so many zeros is compressed.
func zeros(t *testing.T, offset int64, size int) []byte {
	t.Helper()
	var body bytes.Buffer
	w := gzip.NewWriter(&body)
	plain := handMade(nil, entry{value: string(make([]byte, size))})
	if _, err := w.Write(plain[batchHeaderSize:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return handMade(func(b *kmsg.RecordBatch) {
		b.FirstOffset, b.NumRecords, b.Attributes, b.Records = offset, 1, codecGzip, body.Bytes()
	})
}

// TestManyBombsComeOneByOne: an answer of small batches that grow without measure together is read
// in several fetches, none of which holds much more than the bound, and nothing is left out.
func TestManyBombsComeOneByOne(t *testing.T) {
	const batches, size = 5, unpackedMax/2 + 1
	var all [][]byte
	for i := range batches {
		all = append(all, zeros(t, int64(100+i), size))
	}
	for next, left := int64(100), []int{2, 2, 1}; next < 100+batches; left = left[1:] {
		f, _, err := decodeFrom(next, bytes.Join(all[next-100:], nil))
		if err != nil || len(f.Records) != left[0] {
			t.Fatalf("from %d on: %d records, %v; want %d", next, len(f.Records), err, left[0])
		}
		checkAccounted(t, &f, next)
		next = f.Next
	}
	// Batches before the offset that is asked for do not end a fetch that has given nothing yet.
	if f, _, err := decodeFrom(104, bytes.Join(all, nil)); err != nil || len(f.Records) != 1 {
		t.Fatalf("%d records, %v", len(f.Records), err)
	}
}

// TestCountsAreBounded: more records in a batch or headers in a record than there is room for are
// refused before room is made for them.
func TestCountsAreBounded(t *testing.T) {
	headers := func(n int) []byte {
		r := kmsg.Record{Headers: make([]kmsg.Header, n)}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		return handMade(func(b *kmsg.RecordBatch) { b.NumRecords, b.Records = 1, r.AppendTo(nil) })
	}
	records := func(n int32) []byte {
		return handMade(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = n, n-1 })
	}
	for _, x := range []struct {
		raw  []byte
		want string
	}{
		{headers(recordHeadersMax), ""},
		{headers(recordHeadersMax + 1), "headers, at most"},
		{records(batchRecordsMax), "records in 0 bytes"},
		{records(batchRecordsMax + 1), "records, at most"},
	} {
		_, _, err := decodeFrom(100, x.raw)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want %q", err, x.want)
		}
	}
}

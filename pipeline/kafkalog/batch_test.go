package kafkalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// entry is a record of a hand-made batch.
type entry struct {
	delta     int32
	timeDelta int64
	key       []byte
	value     string
}

// handMade writes a batch with franz-go's encoder. The fields not set here are those of a batch
// of plain records at base offset 100 and base time 1000 ms.
func handMade(change func(*kmsg.RecordBatch), entries ...entry) []byte {
	b := kmsg.RecordBatch{FirstOffset: 100, Magic: 2, FirstTimestamp: 1000, MaxTimestamp: 5000,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(entries))}
	for _, e := range entries {
		r := kmsg.Record{TimestampDelta64: e.timeDelta, OffsetDelta: e.delta, Key: e.key,
			Value: []byte(e.value)}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // the length of an empty length is one byte
		b.Records = r.AppendTo(b.Records)
		b.LastOffsetDelta = e.delta
	}
	if change != nil {
		change(&b)
	}
	b.Length = int32(batchHeaderSize - batchLengthStart + len(b.Records))
	return sealed(b.AppendTo(nil))
}

// sealed writes the right checksum into a batch.
func sealed(b []byte) []byte {
	if len(b) >= batchCRCStart {
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[batchCRCStart:], castagnoli))
	}
	return b
}

func decodeFrom(offset int64, raw []byte, aborted ...abortedTxn) (Fetched, bool, error) {
	f := Fetched{Topic: "calls", Partition: 7, Next: offset, LastStable: -1}
	partial, err := decodeSet(raw, aborted, &f)
	return f, partial, err
}

func TestWhoseClock(t *testing.T) {
	for _, x := range []struct {
		attributes int16
		stamp      TimestampType
		want       []int64
	}{
		{0, CreateTime, []int64{1000, 900}},
		{attrAppendTime, LogAppendTime, []int64{5000, 5000}},
	} {
		raw := handMade(func(b *kmsg.RecordBatch) { b.Attributes = x.attributes },
			entry{value: "a"}, entry{delta: 1, timeDelta: -100, value: "b"})
		f, _, err := decodeFrom(100, raw)
		if err != nil || len(f.Records) != 2 {
			t.Fatalf("%+v %v", f, err)
		}
		for i, r := range f.Records {
			if !r.AppendTime.Equal(time.UnixMilli(x.want[i])) || r.TimestampType != x.stamp ||
				r.AppendTime.Location() != time.UTC {
				t.Errorf("%v, record %d: %v %v", x.stamp, i, r.AppendTime, r.TimestampType)
			}
		}
	}
	raw := handMade(func(b *kmsg.RecordBatch) { b.FirstTimestamp = -1 }, entry{})
	if f, _, _ := decodeFrom(100, raw); !f.Records[0].AppendTime.IsZero() {
		t.Error(f.Records[0].AppendTime)
	}
}

func TestHolesBeforeInsideAfterAndBetween(t *testing.T) {
	first := handMade(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 9 },
		entry{delta: 2, value: "a"}, entry{delta: 5, value: "b"})
	second := handMade(func(b *kmsg.RecordBatch) { b.FirstOffset = 120 }, entry{value: "c"})
	third := handMade(func(b *kmsg.RecordBatch) { // compaction keeps a batch without records
		b.FirstOffset, b.LastOffsetDelta = 121, 3
	})
	f, _, err := decodeFrom(95, slices.Concat(first, second, third))
	if err != nil {
		t.Fatal(err)
	}
	checkAccounted(t, &f, 95)
	want := []Range{{95, 102}, {103, 105}, {106, 120}, {121, 125}}
	if f.Next != 125 || !slices.Equal(f.Compacted, want) {
		t.Fatalf("next %d, holes %v", f.Next, f.Compacted)
	}
	if f, _, _ = decodeFrom(104, first); f.Next != 110 || len(f.Records) != 1 ||
		!slices.Equal(f.Compacted, []Range{{104, 105}, {106, 110}}) {
		t.Fatalf("%+v", f)
	}
}

// TestAbortedAsJavaDoes has one producer whose second transaction only is void, beside another
// whose only one is, in one set; the list comes in no order.
func TestAbortedAsJavaDoes(t *testing.T) {
	var raw []byte
	add := func(offset, producer int64, attributes int16, e entry) {
		raw = append(raw, handMade(func(b *kmsg.RecordBatch) {
			b.FirstOffset, b.ProducerID, b.Attributes = offset, producer, attributes
		}, e)...)
	}
	abort, commit := []byte{0, 0, 0, 0}, []byte{0, 0, 0, 1}
	const marker = attrTxn | attrControl
	add(0, 1, attrTxn, entry{value: "a"})
	add(1, 2, attrTxn, entry{value: "x"})
	add(2, 1, marker, entry{key: commit})
	add(3, 1, attrTxn, entry{value: "y"})
	add(4, 2, marker, entry{key: abort})
	add(5, 1, 0, entry{value: "b"}) // not transactional, though its producer has a void one open
	add(6, 1, marker, entry{key: abort})
	add(7, 1, attrTxn, entry{value: "c"})
	f, _, err := decodeFrom(0, raw, abortedTxn{1, 3}, abortedTxn{2, 1})
	want := []string{"0:data:a", "1:aborted:x", "2:control", "3:aborted:y", "4:control",
		"5:data:b", "6:control", "7:data:c"}
	if got := story(f.Records); err != nil || !slices.Equal(got, want) {
		t.Fatal(got, err)
	}
}

func TestNothingBeyondTheStableOffset(t *testing.T) {
	raw := append(handMade(nil, entry{value: "a"}),
		handMade(func(b *kmsg.RecordBatch) { b.FirstOffset = 101 }, entry{value: "b"})...)
	f := Fetched{Next: 100, LastStable: 101}
	if _, err := decodeSet(raw, nil, &f); err != nil || f.Next != 101 || len(f.Records) != 1 {
		t.Fatalf("%+v %v", f, err)
	}
}

func TestPartialBatchAtTheEnd(t *testing.T) {
	whole := handMade(nil, entry{value: "a"})
	next := handMade(func(b *kmsg.RecordBatch) { b.FirstOffset = 101 }, entry{value: "b"})
	for cut := range next {
		f, partial, err := decodeFrom(100, append(slices.Clone(whole), next[:cut]...))
		if err != nil || partial != (cut > 0) || f.Next != 101 || len(f.Records) != 1 {
			t.Fatalf("cut at %d: %+v %v %v", cut, f, partial, err)
		}
	}
}

func TestCorruptBatchesNameTheirPlace(t *testing.T) {
	two := []entry{{value: "a"}, {delta: 1, value: "b"}}
	flipped := handMade(nil, two...)
	flipped[len(flipped)-1] ^= 1
	old := handMade(nil, two...)
	old[16] = 1
	cases := map[string][]byte{
		"checksum":         flipped,
		"only v2":          old,
		"records for":      handMade(func(b *kmsg.RecordBatch) { b.NumRecords = 3 }, two...),
		"follow the last":  handMade(func(b *kmsg.RecordBatch) { b.NumRecords = 1 }, two...),
		"offset delta":     handMade(nil, entry{delta: 1}, entry{delta: 1}),
		"unknown compress": handMade(func(b *kmsg.RecordBatch) { b.Attributes = 6 }, two...),
		"decompress zstd":  handMade(func(b *kmsg.RecordBatch) { b.Attributes = 4 }, two...),
		"claims offset":    handMade(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -5 }, two...),
		"do not fill":      handMade(func(b *kmsg.RecordBatch) { b.Records[0] += 2 }, two...),
		"records in": handMade(func(b *kmsg.RecordBatch) {
			b.NumRecords, b.LastOffsetDelta = 1e6, 1e6
		}, two...),
		"batch begins before": append(handMade(nil, two...), handMade(nil, two...)...),
	}
	for word, raw := range cases {
		f, _, err := decodeFrom(100, raw)
		var bad *CorruptBatch
		if !errors.As(err, &bad) || bad.Offset != 100 || !strings.Contains(err.Error(), word) ||
			!strings.Contains(err.Error(), "calls/7 at offset 100") {
			t.Errorf("%s: %v", word, err)
		}
		if n := f.count(); f.Next != 100+n {
			t.Errorf("%s: a batch that failed left %d of %d offsets", word, n, f.Next-100)
		}
	}
}

func TestNullAndEmptyAreTold(t *testing.T) {
	raw := encodeKafkaGo(t, protocol.Record{Value: protocol.NewBytes([]byte{})},
		protocol.Record{Key: protocol.NewBytes([]byte("k"))})
	f, _, err := decodeFrom(0, raw)
	if err != nil || len(f.Records) != 2 {
		t.Fatal(err)
	}
	a, b := f.Records[0], f.Records[1]
	if a.Key != nil || a.Value == nil || string(b.Key) != "k" || b.Value != nil {
		t.Fatalf("%+v", f.Records)
	}
}

// encodeKafkaGo writes a batch with kafka-go's encoder.
func encodeKafkaGo(t testing.TB, records ...protocol.Record) []byte {
	t.Helper()
	return encodeKafkaGoAs(t, 0, records...)
}

func encodeKafkaGoAs(t testing.TB, a protocol.Attributes, records ...protocol.Record) []byte {
	t.Helper()
	set := protocol.RecordSet{Version: 2, Attributes: a,
		Records: protocol.NewRecordReader(records...)}
	var out bytes.Buffer
	if _, err := set.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()[4:] // without the length of the set
}

func TestHeaderKeysBeyondTheTable(t *testing.T) {
	var records []protocol.Record
	for i := range 3 * headerNamesMax {
		records = append(records, protocol.Record{Headers: []protocol.Header{
			{Key: fmt.Sprint(i), Value: []byte("v")}, {Key: "same"}}})
	}
	f, _, err := decodeFrom(0, encodeKafkaGo(t, records...))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range f.Records {
		if len(r.Headers) != 2 || r.Headers[0].Key != fmt.Sprint(i) ||
			string(r.Headers[0].Value) != "v" || r.Headers[1].Key != "same" {
			t.Fatalf("record %d: %+v", i, r.Headers)
		}
	}
}

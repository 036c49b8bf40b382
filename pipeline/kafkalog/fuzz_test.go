package kafkalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzDecodeBatches feeds hostile record sets. The checksum is put right first, so that the bytes
// behind it are reached; whatever they are, the offsets must add up and a failure must be typed.
func FuzzDecodeBatches(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed, int64(0), int64(1), int64(0))
		f.Add(seed, int64(101), int64(-1), int64(100))
	}
	f.Fuzz(func(t *testing.T, raw []byte, offset, producer, first int64) {
		if offset < 0 || len(raw) > 1<<20 {
			return
		}
		reseal(raw)
		out := Fetched{Topic: "calls", Next: offset, LastStable: -1}
		_, err := decodeSet(raw, []abortedTxn{{producer, first}}, &out)
		var bad *CorruptBatch
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("untyped: %v", err)
		}
		checkAccounted(t, &out, offset)
	})
}

// FuzzFetchResponse feeds hostile answers.
func FuzzFetchResponse(f *testing.F) {
	answer := kmsg.FetchResponse{Topics: []kmsg.FetchResponseTopic{{Topic: "calls",
		Partitions: []kmsg.FetchResponseTopicPartition{{HighWatermark: 3,
			AbortedTransactions: []kmsg.FetchResponseTopicPartitionAbortedTransaction{{}},
			RecordBatches:       handMade(nil, entry{value: "a"})}}}}}
	for version := int16(fetchVersionMin); version <= fetchVersionMax; version++ {
		answer.Version = version
		f.Add(answer.AppendTo(nil), version)
	}
	f.Fuzz(func(t *testing.T, body []byte, version int16) {
		r := fetchRequest{version: version, parts: []fetchPart{{0, "calls", 0, 0}}}
		if got, err := r.decode(body); err == nil && len(got.parts) != 1 {
			t.Fatalf("%d answers to one question", len(got.parts))
		}
		decodeMetadata(&cursor{b: body})
	})
}

// FuzzDecompress: whatever a batch holds, what comes out of it is bounded.
func FuzzDecompress(f *testing.F) {
	for codec := int16(codecNone); codec <= codecZstd+1; codec++ {
		f.Add(codec, []byte{})
		f.Add(codec, append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0))
	}
	for _, seed := range fuzzSeeds(f) {
		h, err := parseHeader(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(h.attributes&attrCompression, seed[batchHeaderSize:h.size])
	}
	f.Fuzz(func(t *testing.T, codec int16, payload []byte) {
		if len(payload) > 1<<12 {
			return // larger ones only cost time: the formats reach a thousandfold and more
		}
		if out, err := decompress(codec, payload); err == nil && len(out) > batchBytesMax {
			t.Fatalf("%d bytes became %d", len(payload), len(out))
		}
	})
}

// FuzzReadResponse: a frame is read whole, or refused by what its head says.
func FuzzReadResponse(f *testing.F) {
	f.Add([]byte{0, 0, 0, 6, 0x74, 0x6f, 0x6c, 0x6c, 1, 2})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0x74, 0x6f, 0x6c, 0x6c})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x74, 0x6f, 0x6c, 0x6c})
	f.Fuzz(func(t *testing.T, frame []byte) {
		const most = 1 << 10
		answer, err := readResponse(bytes.NewReader(frame), fetchCorrelation, most)
		if err == nil && (len(answer.b) > most || !bytes.HasPrefix(frame[8:], answer.b)) {
			t.Fatalf("%x is read as %x", frame, answer.b)
		}
	})
}

// fuzzSeeds are sets written by kafka-go's and franz-go's encoders.
func fuzzSeeds(f *testing.F) [][]byte {
	var seeds [][]byte
	for _, a := range []protocol.Attributes{0, protocol.Gzip, protocol.Snappy, protocol.Lz4,
		protocol.Zstd, protocol.Transactional} {
		seeds = append(seeds, encodeKafkaGoAs(f, a,
			protocol.Record{Key: protocol.NewBytes([]byte("k")), Time: time.UnixMilli(1),
				Value:   protocol.NewBytes([]byte("value value value value value")),
				Headers: []protocol.Header{{Key: "h", Value: []byte("v")}}},
			protocol.Record{}))
	}
	marker := handMade(func(b *kmsg.RecordBatch) {
		b.FirstOffset, b.ProducerID, b.Attributes = 102, 1, attrTxn|attrControl
	}, entry{key: []byte{0, 0, 0, 0}})
	body := handMade(func(b *kmsg.RecordBatch) { b.ProducerID, b.Attributes = 1, attrTxn },
		entry{value: "a"}, entry{delta: 1, timeDelta: 300, value: "b"})
	return append(seeds, append(body, marker...), marker,
		handMade(func(b *kmsg.RecordBatch) { b.Attributes = attrAppendTime }, entry{}))
}

// reseal puts the checksums of all batches right, as far as their lengths lead.
func reseal(raw []byte) {
	for len(raw) >= batchHeaderSize {
		size := int64(int32(binary.BigEndian.Uint32(raw[8:]))) + batchLengthStart
		if size < batchHeaderSize || size > int64(len(raw)) {
			return
		}
		sealed(raw[:size])
		raw = raw[size:]
	}
}

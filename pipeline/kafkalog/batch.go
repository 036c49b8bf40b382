package kafkalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

const (
	// batchHeaderSize is the fixed part of a record batch v2.
	batchHeaderSize = 61
	// batchLengthStart is where the bytes counted by batchLength begin.
	batchLengthStart = 12
	// batchCRCStart is where the bytes covered by the checksum begin.
	batchCRCStart = 21
	// recordSizeMin is a record with no key, value or headers, its length byte included; it
	// bounds how many records a batch can claim.
	recordSizeMin = 7
	// batchBytesMax bounds one batch, compressed and decompressed. Brokers allow 1 MiB
	// compressed by default; a batch beyond this cannot be read and stops the partition.
	batchBytesMax = 128 << 20
	// batchRecordsMax bounds the records of one batch: a Record takes a hundred bytes and more,
	// whatever is in it, so a few kilobytes of compressed nothing could fill the memory.
	batchRecordsMax = 1 << 20
	// recordHeadersMax bounds the headers of one record for the same reason.
	recordHeadersMax = 10_000
	// unpackedMax is what one partition's answer may decompress to before the rest is left to the
	// next fetch: the bounds on an answer are on its compressed size.
	unpackedMax = 64 << 20

	attrCompression = 0x07
	attrAppendTime  = 0x08
	attrTxn         = 0x10
	attrControl     = 0x20

	controlAbort = 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batchHeader is the fixed part of a record batch v2.
type batchHeader struct {
	baseOffset  int64
	size        int // the whole batch, header included
	crc         uint32
	attributes  int16
	lastDelta   int32
	baseTime    int64
	maxTime     int64
	producerID  int64
	recordCount int32
}

func (h *batchHeader) lastOffset() int64 { return h.baseOffset + int64(h.lastDelta) }
func (h *batchHeader) control() bool     { return h.attributes&attrControl != 0 }
func (h *batchHeader) txn() bool         { return h.attributes&attrTxn != 0 }

// errPartial says that the set ends inside a batch, which is how brokers cut at a size limit.
var errPartial = errors.New("the record set ends inside a batch")

// parseHeader reads the header of the batch that b begins with. It checks everything that later
// steps rely on, checksum included.
func parseHeader(b []byte) (batchHeader, error) {
	var h batchHeader
	if len(b) < batchCRCStart-4 {
		return h, errPartial
	}
	h.baseOffset = int64(binary.BigEndian.Uint64(b))
	size := int64(int32(binary.BigEndian.Uint32(b[8:])))
	if magic := int8(b[16]); magic != 2 {
		return h, fmt.Errorf("batch has format v%d, only v2 is read "+
			"(written before Apache Kafka 0.11, or not a batch)", magic)
	}
	if size < batchHeaderSize-batchLengthStart || size > batchBytesMax {
		return h, fmt.Errorf("batch claims %d bytes, allowed are %d to %d",
			size, batchHeaderSize-batchLengthStart, batchBytesMax)
	}
	h.size = int(size) + batchLengthStart
	if len(b) < h.size {
		return h, errPartial
	}
	h.crc = binary.BigEndian.Uint32(b[17:])
	if sum := crc32.Checksum(b[batchCRCStart:h.size], castagnoli); sum != h.crc {
		return h, fmt.Errorf("batch has checksum %08x, its bytes give %08x", h.crc, sum)
	}
	h.attributes = int16(binary.BigEndian.Uint16(b[21:]))
	h.lastDelta = int32(binary.BigEndian.Uint32(b[23:]))
	h.baseTime = int64(binary.BigEndian.Uint64(b[27:]))
	h.maxTime = int64(binary.BigEndian.Uint64(b[35:]))
	h.producerID = int64(binary.BigEndian.Uint64(b[43:]))
	h.recordCount = int32(binary.BigEndian.Uint32(b[57:]))
	if h.baseOffset < 0 || h.lastDelta < 0 || h.recordCount < 0 ||
		h.baseOffset > math.MaxInt64-int64(h.lastDelta)-1 {
		return h, fmt.Errorf("batch claims offset %d, last delta %d, %d records",
			h.baseOffset, h.lastDelta, h.recordCount)
	}
	if h.recordCount > batchRecordsMax {
		return h, fmt.Errorf("batch has %d records, at most %d are read: %w", h.recordCount,
			batchRecordsMax, errLimit)
	}
	if int64(h.recordCount) > int64(h.lastDelta)+1 {
		return h, fmt.Errorf("batch claims %d records for %d offsets",
			h.recordCount, int64(h.lastDelta)+1)
	}
	return h, nil
}

// setDecoder walks a partition's record set and fills a Fetched.
type setDecoder struct {
	out     *Fetched
	aborted abortedFilter
	// names holds header keys seen in this set, so that a repeated key is one string.
	names    map[string]string
	headers  []Header
	unpacked int // bytes of batches that were decompressed
}

// decodeSet adds the records of raw at or after out.Next to out and moves out.Next past them.
// It stops at the last stable offset: beyond it nothing is decided, whatever a broker sends.
// partial says that raw ends inside a batch.
func decodeSet(raw []byte, aborted []abortedTxn, out *Fetched) (partial bool, err error) {
	d := setDecoder{out: out, aborted: newAbortedFilter(aborted)}
	out.Records = newRecords(countRecords(raw))
	after := int64(0) // batches come in offset order, without overlap
	for from := out.Next; len(raw) > 0; {
		if out.Next > from && (d.unpacked >= unpackedMax || len(out.Records) >= batchRecordsMax) {
			return false, nil
		}
		h, err := parseHeader(raw)
		if errors.Is(err, errPartial) {
			return true, nil
		}
		if err != nil {
			return false, d.corrupt(max(h.baseOffset, after), err)
		}
		if h.baseOffset < after {
			return false, d.corrupt(h.baseOffset,
				fmt.Errorf("batch begins before the one ahead of it ends (%d)", after))
		}
		after = h.lastOffset() + 1
		if out.LastStable >= 0 && h.baseOffset >= out.LastStable {
			return false, nil
		}
		if err := d.batch(&h, raw[batchHeaderSize:h.size]); err != nil {
			return false, d.corrupt(h.baseOffset, err)
		}
		raw = raw[h.size:]
	}
	return false, nil
}

func (d *setDecoder) corrupt(offset int64, err error) error {
	return &CorruptBatch{d.out.Topic, d.out.Partition, offset, err}
}

// batch adds one batch's records. A batch that ends below the requested offset still counts for
// the aborted filter, as it does in Kafka's own consumer. A batch that fails leaves out as it was.
func (d *setDecoder) batch(h *batchHeader, payload []byte) error {
	d.aborted.advance(h)
	body := payload
	if codec := h.attributes & attrCompression; codec != codecNone {
		var err error
		if body, err = decompress(codec, payload); err != nil {
			return err
		}
		d.unpacked += len(body)
		if d.out.memory != nil {
			d.out.memory.blocks = append(d.out.memory.blocks, body)
		}
	}
	if int64(h.recordCount) > int64(len(body))/recordSizeMin {
		return fmt.Errorf("batch claims %d records in %d bytes", h.recordCount, len(body))
	}
	outcome := d.aborted.outcome(h)
	keep := *d.out
	keep.Compacted = slices.Clone(keep.Compacted) // fillTo may lengthen the last range in place
	if err := d.records(h, body, outcome); err != nil {
		*d.out = keep
		return err
	}
	d.fillTo(h.lastOffset() + 1)
	return nil
}

// records decodes the body of one batch.
func (d *setDecoder) records(h *batchHeader, body []byte, outcome Outcome) error {
	stamp, appended := CreateTime, time.Time{}
	if h.attributes&attrAppendTime != 0 {
		stamp, appended = LogAppendTime, millis(h.maxTime)
	}
	lastDelta := int64(-1)
	c := cursor{b: body}
	for i := int32(0); i < h.recordCount; i++ {
		size := c.varint()
		r := cursor{b: c.take(clampInt(size)), err: c.err}
		rec := Record{Outcome: outcome, TimestampType: stamp, AppendTime: appended}
		r.take(1) // record attributes: unused by Kafka
		timeDelta, delta := r.varint(), r.varint()
		rec.Key, rec.Value = r.varBytes(), r.varBytes()
		if err := d.recordHeaders(&r, &rec); err != nil {
			return fmt.Errorf("record %d of %d: %w", i+1, h.recordCount, err)
		}
		if r.err != nil || len(r.b) != 0 {
			return fmt.Errorf("record %d of %d: its fields do not fill its %d bytes",
				i+1, h.recordCount, size)
		}
		if delta <= lastDelta || delta > int64(h.lastDelta) {
			return fmt.Errorf("record %d of %d: offset delta %d after %d, the batch's last is %d",
				i+1, h.recordCount, delta, lastDelta, h.lastDelta)
		}
		lastDelta = delta
		rec.Offset = h.baseOffset + delta
		if stamp == CreateTime {
			rec.AppendTime = millis(h.baseTime + timeDelta)
		}
		if outcome == Control && i == 0 {
			d.aborted.marker(h, rec.Key)
		}
		d.add(&rec)
	}
	if len(c.b) != 0 {
		return fmt.Errorf("%d bytes follow the last record", len(c.b))
	}
	return nil
}

// recordHeaders decodes the headers into an arena, so that they cost no allocation per record.
func (d *setDecoder) recordHeaders(r *cursor, rec *Record) error {
	n := r.varint()
	if n == 0 {
		return nil
	}
	if n < 0 || n > int64(len(r.b)/2) {
		return fmt.Errorf("claims %d headers in %d bytes", n, len(r.b))
	}
	if n > recordHeadersMax {
		return fmt.Errorf("has %d headers, at most %d are read: %w", n, recordHeadersMax, errLimit)
	}
	start := len(d.headers)
	for ; n > 0 && r.err == nil; n-- {
		name := d.name(r.varBytes())
		d.headers = append(d.headers, Header{Key: name, Value: r.varBytes()})
	}
	rec.Headers = d.headers[start:len(d.headers):len(d.headers)]
	return nil
}

// headerNamesMax bounds the table of names; a set with more distinct keys pays for each.
const headerNamesMax = 64

func (d *setDecoder) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if d.names == nil {
		d.names = map[string]string{}
	}
	if len(d.names) < headerNamesMax {
		d.names[s] = s
	}
	return s
}

// recordsGuessMax bounds the room made on the word of headers alone; beyond it, and for headers
// that lie, append grows the slice as records come.
const recordsGuessMax = 1 << 16

// countRecords adds up what the headers claim, so that the records are one allocation.
func countRecords(raw []byte) int {
	n := int64(0)
	for len(raw) >= batchHeaderSize && n < recordsGuessMax {
		size := int64(int32(binary.BigEndian.Uint32(raw[8:]))) + batchLengthStart
		claim := int64(int32(binary.BigEndian.Uint32(raw[57:])))
		if size < batchHeaderSize || size > int64(len(raw)) || claim < 0 {
			break
		}
		n += claim
		raw = raw[size:]
	}
	return int(min(n, recordsGuessMax))
}

// add appends a record unless it stands before the requested offset: a broker answers with the
// whole batch that holds it.
func (d *setDecoder) add(rec *Record) {
	if rec.Offset < d.out.Next {
		return
	}
	d.fillTo(rec.Offset)
	d.out.Records = append(d.out.Records, *rec)
	d.out.Next = rec.Offset + 1
}

// fillTo books the offsets from Next up to to as compacted.
func (d *setDecoder) fillTo(to int64) {
	if to <= d.out.Next {
		return
	}
	holes := d.out.Compacted
	if n := len(holes); n > 0 && holes[n-1].To == d.out.Next {
		holes[n-1].To = to
	} else {
		d.out.Compacted = append(holes, Range{d.out.Next, to})
	}
	d.out.Next = to
}

// millis is Kafka's time; -1 means that there is none.
func millis(ms int64) time.Time {
	if ms == -1 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// clampInt keeps a hostile length from wrapping where int is small; take refuses it anyway.
func clampInt(n int64) int {
	if n < 0 || n > batchBytesMax {
		return -1
	}
	return int(n)
}

// varint reads a zigzag varint. One and two bytes, nearly all lengths and deltas, are read here.
func (c *cursor) varint() int64 {
	if b := c.b; len(b) >= 2 {
		if b[0] < 0x80 {
			c.b = b[1:]
			return int64(b[0]>>1) ^ -int64(b[0]&1)
		}
		if b[1] < 0x80 {
			c.b = b[2:]
			v := uint64(b[0]&0x7f) | uint64(b[1])<<7
			return int64(v>>1) ^ -int64(v&1)
		}
	}
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

// varBytes reads a key or value: nil for null.
func (c *cursor) varBytes() []byte {
	n := c.varint()
	if n == -1 {
		return nil
	}
	return c.take(clampInt(n))
}

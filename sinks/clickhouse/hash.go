package clickhouse

import (
	"cmp"
	"encoding/binary"
	"slices"

	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/cespare/xxhash/v2"

	"tollstream/pipeline/billing"
)

// billingHasher hashes what billing.CallRecord.SameBilling compares, so that copies which differ
// there have different keys in call_copies. Dimensions are hashed by name and only where present:
// a catalogue that lists them in another order, or adds one, does not move earlier records.
type billingHasher struct {
	names []string
	order []int // indices of names in the order of the names
	buf   []byte
}

func newBillingHasher(dims []string) *billingHasher {
	h := &billingHasher{names: dims, order: make([]int, len(dims))}
	for i := range h.order {
		h.order[i] = i
	}
	slices.SortFunc(h.order, func(a, b int) int { return cmp.Compare(dims[a], dims[b]) })
	return h
}

func (h *billingHasher) sum(c *billing.CallRecord) uint64 {
	h.buf = h.buf[:0]
	h.text(c.AccountID)
	h.buf = binary.AppendVarint(h.buf, int64(c.OccurredAt))
	h.text(c.ResultCode)
	h.text(c.NeedCharge)
	for _, i := range h.order {
		if i < len(c.Dims) && c.Dims[i] != "" {
			h.text(h.names[i])
			h.text(c.Dims[i])
		}
	}
	return xxhash.Sum64(h.buf)
}

// text appends a length and the bytes, so that no two lists of texts give the same bytes.
func (h *billingHasher) text(s string) {
	h.buf = binary.AppendUvarint(h.buf, uint64(len(s)))
	h.buf = append(h.buf, s...)
}

// dimMap is one value of the column dims, in the form that the driver takes without reflection.
// Few combinations occur, so equal ones share a value.
type dimMap struct{ pairs []any } // name, value, name, value ...

// dimMaps makes dimMaps and remembers them for one batch.
type dimMaps struct {
	names []any
	seen  map[string]*dimMap
	key   []byte
}

func newDimMaps(dims []string) *dimMaps {
	m := &dimMaps{seen: map[string]*dimMap{}}
	for _, name := range dims {
		m.names = append(m.names, name)
	}
	return m
}

func (m *dimMaps) of(dims []string) *dimMap {
	m.key = m.key[:0]
	for _, v := range dims {
		m.key = binary.AppendUvarint(m.key, uint64(len(v)))
		m.key = append(m.key, v...)
	}
	if d := m.seen[string(m.key)]; d != nil {
		return d
	}
	d := &dimMap{}
	for i, v := range dims {
		if v != "" && i < len(m.names) {
			d.pairs = append(d.pairs, m.names[i], v)
		}
	}
	m.seen[string(m.key)] = d
	return d
}

// Put is part of the driver's interface for maps; values of dims are only written.
func (d *dimMap) Put(key, value any) { d.pairs = append(d.pairs, key, value) }

// Iterator walks the pairs in the order of the catalogue's list.
func (d *dimMap) Iterator() chcolumn.MapIterator { return &dimIterator{pairs: d.pairs, at: -2} }

type dimIterator struct {
	pairs []any
	at    int
}

func (i *dimIterator) Next() bool { i.at += 2; return i.at < len(i.pairs) }
func (i *dimIterator) Key() any   { return i.pairs[i.at] }
func (i *dimIterator) Value() any { return i.pairs[i.at+1] }

package clickhouse

import (
	"encoding/binary"

	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

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

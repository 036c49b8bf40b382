package decode

import (
	"strings"

	"tollstream/pipeline/billing"
)

// A record is read in four parts where producers write it so: the fields that it has of its own
// (call_id, account_id, occurred_at), its Rest, its client library, and a tail of fields that are
// not known. Rest and library are the same to the byte in many records, and so is all that follows
// from them: they are read once, and found again by their bytes.

// Rest is what a record's known fields say, apart from those of its own and its client library.
type Rest struct {
	dims                   []string
	resultCode, needCharge string
	ends                   bool // the record ends with it: it has no library and no tail
}

// library is a client library.
type library struct {
	billing.SDK
	ends bool // the record ends with it
}

// common remembers what records have in common.
type common struct {
	head      [ownFields]string // `"call_id":` and the others, as records begin with them
	slots     [ownFields]int
	tail      string // `,"duration":`, with which the last tail began
	tailName  int    // the place of its name
	rests     map[string]*Rest
	libraries map[string]*library
	rest      *Rest // of the record read last; nil where it was read field by field
	library   *library
	hits      int // since the maps were emptied
	off       int // for so many records nothing is looked for
}

// commonMax bounds what is remembered of each kind. Where records differ in their rest as well, the
// maps fill up without being of use: then nothing is looked for in the next commonPause records.
const (
	commonMax   = 8192
	commonPause = 1 << 20
)

const libraryBegins = `,"sdk":`

func newCommon() common {
	return common{rests: map[string]*Rest{}, libraries: map[string]*library{}}
}

// cut takes rest and library out of what follows a record's own fields. What comes behind them is
// the tail, or nothing: then the record ends with one of them.
func (c *common) cut(value string) (rest, library string) {
	// Mostly the library is the only object, and looking for a brace costs a tenth of looking for
	// names, which begin as all names do.
	const name = len(libraryBegins)
	if i := strings.IndexByte(value, '{'); i >= name && value[i-name:i] == libraryBegins {
		end := i + 1 + strings.IndexByte(value[i:], '}')
		switch {
		case value[end:] == "}":
			return value[:i-name], value[i-name:]
		case c.tail != "" && strings.HasPrefix(value[end:], c.tail):
			return value[:i-name], value[i-name : end]
		}
	}
	if c.tail != "" {
		if i := strings.Index(value, c.tail); i >= 0 {
			value = value[:i]
		}
	}
	if i := strings.Index(value, libraryBegins); i >= 0 {
		return value[:i], value[i:]
	}
	return value, ""
}

// again reads a record of which rest and library were read before.
func (p *plain) again(value string, at billing.Arrival) (rec billing.CallRecord, ok bool) {
	c := &p.common
	c.rest, c.library = nil, nil
	if c.off > 0 {
		c.off--
		return rec, false
	}
	behind := p.head(value)
	if behind < 0 || len(value) > recordBytesMax {
		return rec, false
	}
	rest, library := c.cut(value[behind:])
	tail := behind + len(rest) + len(library)
	r, l := c.rests[rest], c.libraries[library]
	if r == nil || l == nil || r.ends != (library == "" && tail == len(value)) ||
		l.ends != (library != "" && tail == len(value)) {
		return rec, false
	}
	if tail < len(value) {
		p.next = c.tailName
		if !p.each(value, tail) || p.form.known {
			return rec, false
		}
	}
	rec = billing.CallRecord{ResultCode: r.resultCode, NeedCharge: r.needCharge, SDK: l.SDK,
		Dims: r.dims, Arrival: at}
	if !p.own(&rec) {
		return rec, false
	}
	c.rest, c.library = r, l
	c.hits++
	return rec, true
}

// head reads the fields of its own with which a record begins, and gives the byte behind them, or
// -1.
func (p *plain) head(value string) (behind int) {
	c := &p.common
	if c.head[0] == "" || value == "" || value[0] != '{' {
		return -1
	}
	for i, name := range c.head {
		if behind == len(value) || i > 0 && value[behind] != ',' ||
			!strings.HasPrefix(value[behind+1:], name) {
			return -1
		}
		from := behind + 1 + len(name)
		if behind = scanText(value, from); behind < 0 {
			return -1
		}
		p.values[c.slots[i]] = value[from:behind]
	}
	return behind
}

// remember keeps what a record that was read field by field may have in common with others.
func (p *plain) remember(value string, rec *billing.CallRecord) {
	c, f := &p.common, &p.form
	if f.ownAt == 0 || f.mixed || c.off > 0 {
		return
	}
	if f.tailAt > 0 {
		c.tail, c.tailName = ","+p.names[f.tailName].quoted, f.tailName
	}
	for i, k := range f.first {
		c.head[i], c.slots[i] = p.names[k].quoted, p.names[k].slot
	}
	rest, lib := c.cut(value[f.ownAt:])
	tail := f.ownAt + len(rest) + len(lib)
	if lib != "" && f.libraryAt != tail-len(lib) || lib == "" && f.libraryAt > 0 ||
		tail < len(value) && f.tailAt != tail || tail == len(value) && f.tailAt > 0 {
		return
	}
	if max(len(c.rests), len(c.libraries)) >= commonMax {
		if c.hits < commonMax {
			c.off = commonPause
		}
		clear(c.rests)
		clear(c.libraries)
		c.hits = 0
	}
	if c.rests[rest] == nil {
		r := &Rest{resultCode: strings.Clone(rec.ResultCode), needCharge: rec.NeedCharge,
			dims: make([]string, len(rec.Dims)), ends: lib == "" && tail == len(value)}
		for i, d := range rec.Dims {
			r.dims[i] = strings.Clone(d)
		}
		c.rests[strings.Clone(rest)] = r
	}
	if c.libraries[lib] == nil {
		c.libraries[strings.Clone(lib)] = &library{billing.SDK{
			Platform: strings.Clone(rec.SDK.Platform), Name: strings.Clone(rec.SDK.Name),
			Version: strings.Clone(rec.SDK.Version)}, lib != "" && tail == len(value)}
	}
}

// ownFields is how many fields a record has of its own.
const ownFields = 3

// form is in which order a record has its fields.
type form struct {
	n         int
	first     [ownFields]int // the places of the first names
	own       int            // how many of the first are fields of its own
	ownAt     int            // where those end, if they are the first fields; else 0
	libraryAt int            // the comma before the library, if that is the last known field; else 0
	tailAt    int            // the comma before the first field that is not known; else 0
	tailName  int            // the place of that field's name
	known     bool           // there are known fields
	mixed     bool           // a known field comes behind one that is not known
}

// add adds a field, by the place of its name, its slot, the comma before it and the byte behind it.
func (f *form) add(k, slot, before, end int) {
	if slot < 0 {
		if f.tailAt == 0 {
			f.tailAt, f.tailName = before, k
		}
	} else {
		f.known, f.mixed = true, f.mixed || f.tailAt > 0
		if f.libraryAt = 0; slot == slotSDK {
			f.libraryAt = before
		}
	}
	if f.n < ownFields {
		f.first[f.n] = k
		if slot == slotCallID || slot == slotAccountID || slot == slotOccurredAt {
			f.own++
		}
		if f.own == ownFields {
			f.ownAt = end
		}
	}
	f.n++
}

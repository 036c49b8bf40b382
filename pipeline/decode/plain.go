package decode

import (
	"slices"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// plain reads call records as producers write them: known fields of the right types, texts without
// escapes and within their bounds, nothing twice. Of anything else it says nothing, and the way of
// Calls.Decode decides, at several times the cost. What it reads, that way reads alike
// (FuzzCall).
type plain struct {
	calls  *Calls
	values []string // raw, by slot; "" where the record has no such field
	// names are those of fields in the order in which they were first seen. Producers write their
	// fields in one order, so the next name is most often the one behind the last.
	names   []seenName
	next    int    // where the next name is looked for first
	record  uint64 // how many were read
	dates   dates
	nested  []field // of the object that was read last
	library []field // of the field sdk

	form   form
	common common
}

type seenName struct {
	name   string
	quoted string // as most records have it, with the colon behind it
	slot   int    // -1 where the field is not known
	seen   uint64 // the last record that had it
}

// namesAhead is how many of the names behind the last are tried: optional fields may be left out.
const namesAhead = 4

// namesMax bounds the names that are kept; a record with others is not plain.
const namesMax = 100

// The slots of the fields; those of the dimensions follow.
const (
	slotCallID = iota
	slotAccountID
	slotOccurredAt
	slotResultCode
	slotNeedCharge
	slotSDK
	slotsFixed
)

func newPlain(c *Calls) plain {
	p := plain{calls: c, values: make([]string, slotsFixed+len(c.dims)), common: newCommon()}
	for i, name := range [slotsFixed]string{"call_id", "account_id", "occurred_at", "result_code",
		"need_charge", "sdk"} {
		p.learn(name, i)
	}
	for i := range c.dims {
		p.learn(c.dims[i].Name, slotsFixed+i)
	}
	return p
}

func (p *plain) learn(name string, slot int) {
	quoted := `"` + name + `":`
	p.names = append(p.names, seenName{name: quoted[1 : len(quoted)-2], quoted: quoted, slot: slot})
}

// read reads a record into memory for its dimensions.
func (p *plain) read(
	value string, dims []string, at billing.Arrival,
) (rec billing.CallRecord, ok bool) {
	if len(value) > recordBytesMax || !p.fields(value) {
		return rec, false
	}
	rec.Arrival, rec.Dims = at, dims
	ok = p.own(&rec) && p.text(slotResultCode, textCharsMax, &rec.ResultCode) &&
		p.flag(slotNeedCharge, &rec.NeedCharge) && p.sdk(&rec.SDK) && p.dimensions(dims)
	return rec, ok
}

// own reads the fields that a record has of its own: its ids and its time.
func (p *plain) own(rec *billing.CallRecord) bool {
	return p.text(slotCallID, callIDCharsMax, &rec.CallID) &&
		p.text(slotAccountID, accountIDCharsMax, &rec.AccountID) && p.instant(&rec.OccurredAt) &&
		rec.OccurredAt >= p.calls.limits.Earliest &&
		rec.OccurredAt <= rec.Arrival.Appended+p.calls.limits.Future
}

// fields finds the values of the known fields.
func (p *plain) fields(value string) bool {
	clear(p.values)
	p.next = 0
	at := skipBlanks(value, 0)
	return at < len(value) && value[at] == '{' && p.each(value, at)
}

// each reads the fields behind a byte, which is the brace or the comma before them, up to the end
// of the record.
func (p *plain) each(value string, at int) bool {
	p.record, p.form = p.record+1, form{}
	for {
		before := at
		k, behind := p.name(value, skipBlanks(value, at+1))
		if k < 0 {
			return false
		}
		at = skipBlanks(value, behind)
		end := p.scan(value, at)
		if end < 0 || !p.put(k, value[at:end]) {
			return false
		}
		p.form.add(k, p.names[k].slot, before, end)
		if at = skipBlanks(value, end); at >= len(value) {
			return false
		}
		if value[at] == '}' {
			return skipBlanks(value, at+1) == len(value)
		}
		if value[at] != ',' {
			return false
		}
	}
}

// scan is scanValue for values of which objects hold no other objects.
func (p *plain) scan(value string, at int) (end int) {
	if at >= len(value) || value[at] != '{' {
		return scanValue(value, at, 1, nil)
	}
	p.nested, end = scanObject(value, at, p.nested[:0], 1)
	return end
}

// name reads the name of a field and its colon. It gives the place of the name and the byte behind
// the colon, or -1.
func (p *plain) name(value string, at int) (k, behind int) {
	for k := p.next; k < min(p.next+namesAhead, len(p.names)); k++ {
		if quoted := p.names[k].quoted; strings.HasPrefix(value[at:], quoted) {
			return k, at + len(quoted)
		}
	}
	end := scanText(value, at)
	if end < 0 {
		return -1, 0
	}
	behind = skipBlanks(value, end)
	if behind >= len(value) || value[behind] != ':' {
		return -1, 0
	}
	k = p.find(value[at+1 : end-1])
	if k < 0 && len(p.names) < namesMax {
		k = len(p.names)
		p.learn(value[at+1:end-1], -1)
	}
	return k, behind + 1
}

// put notes the value of a field. It is false where the record has it twice.
func (p *plain) put(k int, value string) bool {
	f := &p.names[k]
	if f.seen == p.record {
		return false
	}
	f.seen, p.next = p.record, k+1
	if f.slot == slotSDK && value[0] == '{' {
		p.library, p.nested = p.nested, p.library
	}
	if f.slot >= 0 {
		p.values[f.slot] = value
	}
	return true
}

func (p *plain) find(name string) int {
	for k := p.next; k < len(p.names); k++ {
		if p.names[k].name == name {
			return k
		}
	}
	for k := range min(p.next, len(p.names)) {
		if p.names[k].name == name {
			return k
		}
	}
	return -1
}

// text reads a text that has to be there.
func (p *plain) text(slot, most int, to *string) bool {
	v := p.values[slot]
	*to = inner(v)
	return v != "" && v[0] == '"' && *to != "" && len(*to) <= most
}

// inner is a text without its quotes, and "" for any other value.
func inner(v string) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	return v[1 : len(v)-1]
}

// optional reads a text that may be absent or null.
func optional(v string, most int, to *string) bool {
	if v == "" || v[0] == 'n' {
		return true
	}
	*to = inner(v)
	return *to != "" && len(*to) <= most
}

func (p *plain) flag(slot int, to *string) bool { return flag(p.values[slot], to) }

// flag reads a boolean that may be absent or null.
func flag(v string, to *string) bool {
	switch {
	case v == "" || v[0] == 'n':
	case v[0] == 't':
		*to = "true"
	case v[0] == 'f':
		*to = "false"
	default:
		return false
	}
	return true
}

func (p *plain) instant(to *billing.Instant) (ok bool) {
	*to, ok = p.dates.instant(inner(p.values[slotOccurredAt]))
	return ok
}

// dimensions reads the dimensions. One that can select a channel has to be there.
func (p *plain) dimensions(dims []string) bool {
	selected := false
	for i := range dims {
		d, v := &p.calls.dims[i], p.values[slotsFixed+i]
		dims[i] = ""
		if d.Kind == catalog.Flag {
			if !flag(v, &dims[i]) {
				return false
			}
		} else if !optional(v, textCharsMax, &dims[i]) ||
			d.Kind == catalog.Enum && dims[i] != "" && !slices.Contains(d.Values, dims[i]) {
			return false
		}
		selected = selected || dims[i] != "" && p.calls.selector[i]
	}
	return selected
}

// sdk reads the fields of the client library.
func (p *plain) sdk(to *billing.SDK) bool {
	v := p.values[slotSDK]
	if v == "" || v[0] == 'n' {
		return true
	}
	ok := v[0] == '{'
	for i := 0; ok && i < len(p.library); i++ {
		switch text := p.library[i].value; p.library[i].name {
		case "platform":
			ok = optional(text, textCharsMax, &to.Platform)
		case "name":
			ok = optional(text, textCharsMax, &to.Name)
		case "version":
			ok = optional(text, textCharsMax, &to.Version)
		}
	}
	return ok
}

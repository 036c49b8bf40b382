package decode

import (
	"slices"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// Calls decodes call records of one catalogue, which says what the rating dimensions are.
type Calls struct {
	dims      []catalog.Dimension
	selector  []bool // by dimension: it can select a channel
	selectors string // their names
	limits    TimeLimits
}

// NewCalls makes a decoder for a catalogue's call records.
func NewCalls(cat *catalog.Catalog) *Calls {
	c := &Calls{dims: cat.Dimensions, limits: limitsOf(cat)}
	var names []string
	for _, s := range cat.Selectors {
		if !slices.Contains(names, s.Dimension) {
			names = append(names, s.Dimension)
		}
	}
	c.selectors = strings.Join(names, ", ")
	for i := range c.dims {
		c.selector = append(c.selector, slices.Contains(names, c.dims[i].Name))
	}
	return c
}

func limitsOf(cat *catalog.Catalog) TimeLimits {
	return TimeLimits{Earliest: cat.Settings.Earliest, Future: cat.Settings.FutureTolerance}
}

// Decode reads one record, or says why it cannot be used (B7).
func (c *Calls) Decode(value []byte, at billing.Arrival) (billing.CallRecord, *billing.Refusal) {
	o, refusal := ParseObject(value)
	if refusal != nil {
		return billing.CallRecord{}, refusal
	}
	return c.FromObject(o, at)
}

// FromObject is Decode for a record that was parsed already.
func (c *Calls) FromObject(o Object, at billing.Arrival) (billing.CallRecord, *billing.Refusal) {
	r := reader{Object: o}
	return c.record(&r, make([]string, len(c.dims)), at)
}

// Reader decodes records one after the other, in memory that is used again. It is not safe for
// concurrent use.
type Reader struct {
	plain plain
	r     reader
	dims  []string
}

// Reader gives a decoder of its own to one goroutine.
func (c *Calls) Reader() *Reader {
	return &Reader{plain: newPlain(c), dims: make([]string, len(c.dims))}
}

// Decode is Calls.Decode. The texts of the record are parts of the value, and its dimensions are
// good until the next Decode.
func (d *Reader) Decode(value string, at billing.Arrival) (billing.CallRecord, *billing.Refusal) {
	if rec, ok := d.plain.again(value, at); ok {
		return rec, nil
	}
	if rec, ok := d.plain.read(value, d.dims, at); ok {
		d.plain.remember(value, &rec)
		return rec, nil
	}
	d.r.refusal = nil
	if refusal := d.r.parse(value); refusal != nil {
		return billing.CallRecord{}, refusal
	}
	return d.plain.calls.record(&d.r, d.dims, at)
}

// Common gives what the record that was decoded last has in common with others that have the same
// Rest or library; nil where it was not found among what was read before.
func (d *Reader) Common() (*Rest, *billing.SDK) {
	c := &d.plain.common
	if c.rest == nil {
		return nil, nil
	}
	return c.rest, &c.library.SDK
}

func (c *Calls) record(
	r *reader, dims []string, at billing.Arrival,
) (billing.CallRecord, *billing.Refusal) {
	rec := billing.CallRecord{
		CallID:     r.text("call_id", callIDCharsMax),
		AccountID:  r.text("account_id", accountIDCharsMax),
		OccurredAt: r.instant("occurred_at"),
		ResultCode: r.text("result_code", textCharsMax),
		NeedCharge: r.flag("need_charge"),
		SDK:        r.sdk(),
		Dims:       dims,
		Arrival:    at,
	}
	selected := false
	for i := range c.dims {
		dims[i] = r.dimension(&c.dims[i])
		selected = selected || dims[i] != "" && c.selector[i]
	}
	if !selected {
		r.fail(refuse(billing.FieldMissing, "one of %s is needed", c.selectors))
	}
	if r.refusal == nil {
		r.refusal = c.limits.check("occurred_at", rec.OccurredAt, at.Appended)
	}
	if r.refusal != nil {
		return billing.CallRecord{}, r.refusal
	}
	return rec, nil
}

func (r *reader) dimension(d *catalog.Dimension) string {
	if d.Kind == catalog.Flag {
		return r.flag(d.Name)
	}
	s := r.optional(d.Name, textCharsMax)
	if s != "" && d.Kind == catalog.Enum && !slices.Contains(d.Values, s) {
		r.fail(refuse(billing.FieldValue, "%s is %q, not one of %s",
			d.Name, s, strings.Join(d.Values, ", ")))
	}
	return s
}

func (r *reader) sdk() billing.SDK {
	v, ok := r.raw("sdk")
	if !ok {
		return billing.SDK{}
	}
	if v[0] != '{' {
		r.fail(refuse(billing.FieldType, "sdk is a JSON %s, not an object", kind(v)))
		return billing.SDK{}
	}
	s := reader{Object: Object{fields: r.nested[:0]}}
	if refusal := s.parse(v); refusal != nil {
		r.fail(refusal)
		return billing.SDK{}
	}
	r.nested = s.fields
	sdk := billing.SDK{
		Platform: s.optional("platform", textCharsMax),
		Name:     s.optional("name", textCharsMax),
		Version:  s.optional("version", textCharsMax),
	}
	if s.refusal != nil {
		r.fail(refuse(s.refusal.Reason, "sdk.%s", s.refusal.Detail))
	}
	return sdk
}

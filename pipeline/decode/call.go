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
	selectors []string
	limits    TimeLimits
}

// NewCalls makes a decoder for a catalogue's call records.
func NewCalls(cat *catalog.Catalog) *Calls {
	c := &Calls{dims: cat.Dimensions, limits: limitsOf(cat)}
	for _, s := range cat.Selectors {
		if !slices.Contains(c.selectors, s.Dimension) {
			c.selectors = append(c.selectors, s.Dimension)
		}
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
	rec := billing.CallRecord{
		CallID:     r.text("call_id", callIDCharsMax),
		AccountID:  r.text("account_id", accountIDCharsMax),
		OccurredAt: r.instant("occurred_at"),
		ResultCode: r.text("result_code", textCharsMax),
		NeedCharge: r.flag("need_charge"),
		SDK:        r.sdk(),
		Dims:       make([]string, len(c.dims)),
		Arrival:    at,
	}
	selected := false
	for i := range c.dims {
		rec.Dims[i] = r.dimension(&c.dims[i])
		selected = selected || rec.Dims[i] != "" && slices.Contains(c.selectors, c.dims[i].Name)
	}
	if !selected {
		r.fail(refuse(billing.FieldMissing, "one of %s is needed",
			strings.Join(c.selectors, ", ")))
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
	if v.Kind() != '{' {
		r.fail(refuse(billing.FieldType, "sdk is a JSON %s, not an object", v.Kind()))
		return billing.SDK{}
	}
	o, refusal := ParseObject(v)
	if refusal != nil {
		r.fail(refusal)
		return billing.SDK{}
	}
	s := reader{Object: o}
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

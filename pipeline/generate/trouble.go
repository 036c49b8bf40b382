package generate

import (
	"bytes"
	"strconv"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// trouble makes records beside the calls: free actions, unknown accounts, calls without a tag, and
// records that cannot be decoded.
func (s *stream) trouble(d dice, a *account, at billing.Instant, day billing.Day) {
	r := &s.opts.Rates
	if len(s.shapes.free) > 0 && d.chance(r.FreeActions) {
		s.freeAction(d, a, at)
	}
	if d.chance(r.Unknown) {
		s.unknown(d, a, at)
	}
	if d.chance(r.Malformed) {
		f := s.plain(d, a, at, day)
		value, reason := s.malformed(d, f, at)
		s.ledger.Malformed[reason]++
		s.pushCall(d, f, value, at, reason)
	}
}

// plain is an ordinary call at some time of the slot.
func (s *stream) plain(d dice, a *account, at billing.Instant, day billing.Day) *callFields {
	epoch := s.shapes.epoch(day)
	i := s.shapeOn(d, a, epoch)
	f := &callFields{id: s.callID(), account: a.id, dims: s.shapes.all[i].dims,
		occurredAt: s.time(wholeMillis(d.between(at, at+slot)))}
	f.code = s.mixOf(s.shapes.rulings[a.cohort.Name][epoch][i].table, day).unknown
	return f
}

func (s *stream) pushCall(d dice, f *callFields, value []byte, at billing.Instant,
	expect billing.Reason,
) {
	r := s.callRecord(f.account, value)
	r.Expect = expect
	s.push(d.between(at, at+slot)+billing.Second, r)
}

func (s *stream) freeAction(d dice, a *account, at billing.Instant) {
	f := &callFields{id: s.callID(), account: a.id, dims: pick(d, s.shapes.free).dims,
		occurredAt: s.time(wholeMillis(d.between(at, at+slot))), code: "0"}
	s.count(a, false)
	s.ledger.FreeActions++
	s.pushCall(d, f, f.encode(s.opts.Catalog), at, "")
}

// unknown is a call of an account that nobody has heard of, or one that no tag fits.
func (s *stream) unknown(d dice, a *account, at billing.Instant) {
	f := s.plain(d, a, at, billing.DayOf(at, s.opts.Catalog.Settings.Zone))
	if len(s.shapes.untagged) == 0 || d.chance(0.5) {
		f.account = strconv.Itoa(1_900_000_001 + d.IntN(50))
		s.ledger.UnknownAccounts++
	} else {
		f.dims = pick(d, s.shapes.untagged).dims
		s.ledger.NoTag++
	}
	s.pushCall(d, f, f.encode(s.opts.Catalog), at, "")
}

// malformed spoils a call in one of many ways and says why it must be refused.
func (s *stream) malformed(d dice, f *callFields, at billing.Instant) ([]byte, billing.Reason) {
	cat := s.opts.Catalog
	good := f.encode(cat)
	spoil := func(old, new string) []byte {
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	switch d.IntN(16) {
	case 0:
		return []byte(`<?xml version="1.0"?><call id="` + f.id + `"/>`), billing.NotJSON
	case 1:
		return good[:len(good)/2], billing.NotJSON
	case 2:
		return spoil(`"call_id":"`+f.id+`"`, `"call_id":20230105001`), billing.FieldType
	case 3:
		return spoil(`{`, `{"latency_ms":NaN,`), billing.NotJSON
	case 4:
		return spoil(f.occurredAt, "2023-02-30T08:00:00+08:00"), billing.FieldValue
	case 5:
		return spoil(f.occurredAt, f.occurredAt[:19]), billing.FieldValue // no offset
	case 6:
		return spoil(`,"result_code":"`+f.code+`"`, ""), billing.FieldMissing
	case 7:
		return spoil(f.code+`"`, "\xff\xfe\""), billing.NotJSON
	case 8:
		return append(append([]byte("["), good...), ']'), billing.NotAnObject
	case 9:
		return spoil(`{`, `{"call_id":"twice",`), billing.DuplicateKey
	case 10:
		return spoil(f.id, f.id+string(bytes.Repeat([]byte("x"), 128))), billing.FieldTooLong
	case 11:
		return spoil(f.occurredAt, s.time(at+3*24*billing.Hour)), billing.TimeOutOfRange
	case 12:
		return spoil(f.occurredAt, "2017-12-31T23:59:59+08:00"), billing.TimeOutOfRange
	case 13:
		f.dims = make([]string, len(f.dims))
		return f.encode(cat), billing.FieldMissing
	case 14:
		return append([]byte{0, 0, 0, 0, 7, 2}, f.id...), billing.ConfluentFramed
	}
	return s.wrongEnum(f, good)
}

// wrongEnum uses a value that a dimension does not have, or an empty code where none is an enum.
func (s *stream) wrongEnum(f *callFields, good []byte) ([]byte, billing.Reason) {
	for i, d := range s.opts.Catalog.Dimensions {
		if d.Kind == catalog.Enum {
			f.dims = append([]string{}, f.dims...)
			f.dims[i] = "neither"
			return f.encode(s.opts.Catalog), billing.FieldValue
		}
	}
	return bytes.Replace(good, []byte(`"`+f.code+`"`), []byte(`""`), 1), billing.FieldValue
}

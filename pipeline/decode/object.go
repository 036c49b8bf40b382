package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"tollstream/pipeline/billing"
)

func refuse(r billing.Reason, format string, args ...any) *billing.Refusal {
	return &billing.Refusal{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// Object is a JSON object whose fields are still raw. It shares the memory of the text that it was
// parsed from, and so do its own texts.
type Object struct{ fields []field }

type field struct{ name, value string }

// kind is what a raw value is.
func kind(value string) jsontext.Kind {
	switch c := value[0]; {
	case c == '-', c >= '0' && c <= '9':
		return '0'
	default:
		return jsontext.Kind(c)
	}
}

// parser is a decoder that is used again for the next record: a fresh one per record costs more
// than the parsing.
type parser struct {
	in  bytes.Reader
	dec *jsontext.Decoder
}

var parsers = sync.Pool{New: func() any {
	p := &parser{}
	p.dec = jsontext.NewDecoder(&p.in)
	return p
}}

func withDecoder(value []byte, use func(*jsontext.Decoder) error) error {
	p := parsers.Get().(*parser)
	defer parsers.Put(p)
	p.in.Reset(value)
	p.dec.Reset(&p.in)
	return use(p.dec)
}

// ParseObject reads exactly one JSON object: valid UTF-8, no field twice, nothing after it.
func ParseObject(value []byte) (Object, *billing.Refusal) {
	o := Object{fields: make([]field, 0, fieldsUsual)}
	if refusal := o.parse(string(value)); refusal != nil {
		return Object{}, refusal
	}
	return o, nil
}

// parse is ParseObject into the memory of an object's fields.
func (o *Object) parse(value string) (refusal *billing.Refusal) {
	if len(value) > recordBytesMax {
		return refuse(billing.RecordTooLarge, "%d bytes; at most %d", len(value), recordBytesMax)
	}
	if len(value) > 5 && value[0] == 0 {
		id := uint32(value[1])<<24 | uint32(value[2])<<16 | uint32(value[3])<<8 | uint32(value[4])
		return refuse(billing.ConfluentFramed, "schema registry framing, schema id %d", id)
	}
	if o.scan(value) {
		return nil
	}
	err := withDecoder([]byte(value), func(dec *jsontext.Decoder) error {
		if kind := dec.PeekKind(); kind != '{' {
			if err := whole(dec); err != nil {
				return err
			}
			refusal = refuse(billing.NotAnObject, "the record is a JSON %s", kind)
			return nil
		}
		if err := o.read(dec, value); err != nil {
			return err
		}
		if rest := strings.TrimLeft(value[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
			refusal = refuse(billing.NotJSON, "text after the object at byte %d", dec.InputOffset())
		}
		return nil
	})
	if err != nil {
		return notJSON(err)
	}
	return refusal
}

func whole(dec *jsontext.Decoder) error {
	_, err := dec.ReadValue()
	return err
}

// fieldsUsual is how many fields a record usually has.
const fieldsUsual = 12

func (o *Object) read(dec *jsontext.Decoder, value string) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	o.fields = o.fields[:0]
	for dec.PeekKind() != '}' {
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		name, err := unquote(own(dec, value, raw))
		if err != nil {
			return err
		}
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		o.fields = append(o.fields, field{name: name, value: own(dec, value, v)})
	}
	_, err := dec.ReadToken()
	return err
}

// own gives the value just read as a part of the record instead of the decoder's buffer.
func own(dec *jsontext.Decoder, value string, v jsontext.Value) string {
	end := dec.InputOffset()
	return value[end-int64(len(v)) : end]
}

// unquote gives the text of a JSON string that the decoder has checked.
func unquote(v string) (string, error) {
	if strings.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], nil
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err
}

func notJSON(err error) *billing.Refusal {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return refuse(billing.DuplicateKey, "%s", oneLine(err))
	}
	return refuse(billing.NotJSON, "%s", oneLine(err))
}

// oneLine bounds an error's text, since the parser's quotes names of any length.
func oneLine(err error) string {
	text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "jsontext: "), "\n", " ")
	if len(text) > detailBytesMax {
		text = strings.ToValidUTF8(text[:detailBytesMax], "") + "..."
	}
	return text
}

// raw finds a field; null counts as absent.
func (o *Object) raw(name string) (string, bool) {
	for i := range o.fields {
		if f := &o.fields[i]; f.name == name {
			return f.value, f.value[0] != 'n'
		}
	}
	return "", false
}

// Text reads an optional string of 1 to most characters.
func (o *Object) Text(name string, most int) (string, bool, *billing.Refusal) {
	v, ok := o.raw(name)
	if !ok {
		return "", false, nil
	}
	if v[0] != '"' {
		return "", false, refuse(billing.FieldType, "%s is a JSON %s, not a string", name, kind(v))
	}
	s, err := unquote(v)
	if err != nil {
		return "", false, refuse(billing.FieldValue, "%s: %s", name, oneLine(err))
	}
	switch n := utf8.RuneCountInString(s); {
	case n == 0:
		return "", false, refuse(billing.FieldValue, "%s is empty", name)
	case n > most:
		return "", false, refuse(billing.FieldTooLong, "%s has %d characters; at most %d",
			name, n, most)
	}
	return s, true, nil
}

// reader reads the fields of one object and keeps the first refusal, so that a decoder reads as a
// list of its fields.
type reader struct {
	Object
	refusal *billing.Refusal
	nested  []field // memory for the fields of an object within
}

func (r *reader) fail(f *billing.Refusal) {
	if r.refusal == nil {
		r.refusal = f
	}
}

func (r *reader) optional(name string, most int) string {
	s, _, f := r.Text(name, most)
	if f != nil {
		r.fail(f)
	}
	return s
}

func (r *reader) text(name string, most int) string {
	s, ok, f := r.Text(name, most)
	switch {
	case f != nil:
		r.fail(f)
	case !ok:
		r.fail(refuse(billing.FieldMissing, "%s is missing", name))
	}
	return s
}

// flag reads an optional boolean as "true", "false" or "".
func (r *reader) flag(name string) string {
	v, ok := r.raw(name)
	if !ok {
		return ""
	}
	switch v[0] {
	case 't':
		return "true"
	case 'f':
		return "false"
	}
	r.fail(refuse(billing.FieldType, "%s is a JSON %s, not a boolean", name, kind(v)))
	return ""
}

func (r *reader) instant(name string) billing.Instant {
	s := r.text(name, textCharsMax)
	if r.refusal != nil {
		return 0
	}
	at, err := billing.ParseInstant(s)
	if err != nil {
		r.fail(refuse(billing.FieldValue, "%s %v", name, err))
	}
	return at
}

package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"tollstream/pipeline/billing"
)

func refuse(r billing.Reason, format string, args ...any) *billing.Refusal {
	return &billing.Refusal{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// Object is a decoded JSON object whose fields are still raw.
type Object struct {
	names  []string
	values []jsontext.Value
}

// ParseObject reads exactly one JSON object: valid UTF-8, no field twice, nothing after it.
func ParseObject(value []byte) (Object, *billing.Refusal) {
	var o Object
	if len(value) > recordBytesMax {
		return o, refuse(billing.RecordTooLarge, "%d bytes; at most %d", len(value), recordBytesMax)
	}
	if len(value) > 5 && value[0] == 0 {
		id := uint32(value[1])<<24 | uint32(value[2])<<16 | uint32(value[3])<<8 | uint32(value[4])
		return o, refuse(billing.ConfluentFramed, "schema registry framing, schema id %d", id)
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(value))
	if kind := dec.PeekKind(); kind != '{' {
		if err := whole(value); err != nil {
			return o, notJSON(err)
		}
		return o, refuse(billing.NotAnObject, "the record is a JSON %s", kind)
	}
	if err := o.read(dec); err != nil {
		return Object{}, notJSON(err)
	}
	if rest := bytes.TrimLeft(value[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return Object{}, refuse(billing.NotJSON, "text after the object at byte %d",
			dec.InputOffset())
	}
	return o, nil
}

func whole(value []byte) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(value))
	_, err := dec.ReadValue()
	return err
}

func (o *Object) read(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		key := name.String()
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		o.names = append(o.names, key)
		o.values = append(o.values, v.Clone())
	}
	_, err := dec.ReadToken()
	return err
}

func notJSON(err error) *billing.Refusal {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return refuse(billing.DuplicateKey, "%s", oneLine(err))
	}
	return refuse(billing.NotJSON, "%s", oneLine(err))
}

func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "jsontext: "), "\n", " ")
}

// raw finds a field; null counts as absent.
func (o *Object) raw(name string) (jsontext.Value, bool) {
	for i, n := range o.names {
		if n == name {
			return o.values[i], o.values[i].Kind() != 'n'
		}
	}
	return nil, false
}

// Text reads an optional string of 1 to most characters.
func (o *Object) Text(name string, most int) (string, bool, *billing.Refusal) {
	v, ok := o.raw(name)
	if !ok {
		return "", false, nil
	}
	if v.Kind() != '"' {
		return "", false, refuse(billing.FieldType, "%s is a JSON %s, not a string", name, v.Kind())
	}
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return "", false, refuse(billing.FieldValue, "%s: %s", name, oneLine(err))
	}
	switch n := utf8.RuneCount(b); {
	case n == 0:
		return "", false, refuse(billing.FieldValue, "%s is empty", name)
	case n > most:
		return "", false, refuse(billing.FieldTooLong, "%s has %d characters; at most %d",
			name, n, most)
	}
	return string(b), true, nil
}

// reader reads the fields of one object and keeps the first refusal, so that a decoder reads as a
// list of its fields.
type reader struct {
	Object
	refusal *billing.Refusal
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
	switch v.Kind() {
	case 't':
		return "true"
	case 'f':
		return "false"
	}
	r.fail(refuse(billing.FieldType, "%s is a JSON %s, not a boolean", name, v.Kind()))
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

// Package canonical writes JSON in one way only: keys sorted, no insignificant space, no HTML
// escapes, integers as digits and decimals as strings. Equal values give equal bytes, which is
// what digests and byte-for-byte comparison of bills rest on (rule B22). It takes no floats.
package canonical

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Object is a JSON object.
type Object = map[string]any

// JSON encodes nil, bool, string, int64, int, []any, []string and Object. Any other type is a
// mistake of the caller and panics, since it would make a digest ambiguous.
func JSON(v any) []byte {
	var b bytes.Buffer
	write(&b, v)
	return b.Bytes()
}

func write(b *bytes.Buffer, v any) {
	switch x := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(x))
	case int:
		b.WriteString(strconv.Itoa(x))
	case int64:
		b.WriteString(strconv.FormatInt(x, 10))
	case string:
		writeString(b, x)
	case []any:
		writeList(b, x)
	case []string:
		list := make([]any, len(x))
		for i := range x {
			list[i] = x[i]
		}
		writeList(b, list)
	case Object:
		writeObject(b, x)
	default:
		panic(fmt.Sprintf("canonical: no encoding for %T", v))
	}
}

func writeList(b *bytes.Buffer, list []any) {
	b.WriteByte('[')
	for i, x := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		write(b, x)
	}
	b.WriteByte(']')
}

func writeObject(b *bytes.Buffer, o Object) {
	keys := make([]string, 0, len(o))
	for k := range o { // sorted below
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		writeString(b, k)
		b.WriteByte(':')
		write(b, o[k])
	}
	b.WriteByte('}')
}

// writeString leaves every character as it is, save those that JSON must escape.
func writeString(b *bytes.Buffer, s string) {
	if !plain(s) {
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(s) // a string into a buffer cannot fail
		b.Truncate(b.Len() - 1)
		return
	}
	b.WriteByte('"')
	b.WriteString(s)
	b.WriteByte('"')
}

// plain tells whether a text has nothing that encoding/json escapes or replaces.
func plain(s string) bool {
	for _, r := range s {
		switch {
		case r < ' ', r == '"', r == '\\', r == utf8.RuneError, r == '\u2028', r == '\u2029':
			return false
		}
	}
	return true
}

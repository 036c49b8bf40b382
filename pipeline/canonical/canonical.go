// Package canonical writes JSON in one way only: keys sorted, no insignificant space, no HTML
// escapes, integers as digits and decimals as strings. Equal values give equal bytes, which is
// what digests and byte-for-byte comparison of bills rest on (rule B22). It takes no floats.
//
// JSON writes any value. Bills, of which a closing writes as many as there are accounts, are
// written key by key in their order; a test holds that against JSON.
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
func JSON(v any) []byte { return write(nil, v) }

func write(b []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, x)
	case int:
		return strconv.AppendInt(b, int64(x), 10)
	case int64:
		return strconv.AppendInt(b, x, 10)
	case string:
		return AppendString(b, x)
	case []any:
		return writeList(b, x)
	case []string:
		return AppendStrings(b, x)
	case Object:
		return writeObject(b, x)
	default:
		panic(fmt.Sprintf("canonical: no encoding for %T", v))
	}
}

func writeList(b []byte, list []any) []byte {
	b = append(b, '[')
	for i, x := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = write(b, x)
	}
	return append(b, ']')
}

// AppendStrings appends a list of texts.
func AppendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, x := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, x)
	}
	return append(b, ']')
}

func writeObject(b []byte, o Object) []byte {
	keys := make([]string, 0, len(o))
	for k := range o { // sorted below
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(AppendString(b, k), ':')
		b = write(b, o[k])
	}
	return append(b, '}')
}

// AppendString appends a text. It leaves every character as it is, save those that JSON must
// escape.
func AppendString(b []byte, s string) []byte {
	if plain(s) {
		b = append(append(b, '"'), s...)
		return append(b, '"')
	}
	var escaped bytes.Buffer
	enc := json.NewEncoder(&escaped)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string into a buffer cannot fail
	return append(b, escaped.Bytes()[:escaped.Len()-1]...)
}

// plain tells whether a text has nothing that encoding/json escapes or replaces: control
// characters, quotes, backslashes, U+2028, U+2029, U+FFFD, and what is not UTF-8.
func plain(s string) bool {
	for i := range len(s) {
		if !asItIs[s[i]] {
			return plainFrom(s, i)
		}
	}
	return true
}

// asItIs are the ASCII characters that stand for themselves.
var asItIs = func() (is [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// plainFrom is plain from a place on at which something is not ASCII.
func plainFrom(s string, from int) bool {
	for i := from; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ', c == '"', c == '\\':
			return false
		case c == 0xe2 && i+2 < len(s) && s[i+1] == 0x80 && s[i+2]|1 == 0xa9:
			return false
		case c == 0xef && i+2 < len(s) && s[i+1] == 0xbf && s[i+2] == 0xbd:
			return false
		}
	}
	return utf8.ValidString(s[from:])
}

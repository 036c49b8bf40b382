package decode

import (
	"math/bits"
	"unicode/utf8"
)

// scan reads an object as producers write it: texts without escapes, true, false, null, integers,
// and objects of these. Of anything else, right or wrong, it says nothing, and the parser decides,
// at several times the cost. What it reads, the parser reads alike (FuzzScan).
func (o *Object) scan(value string) bool {
	fields, end := scanObject(value, 0, o.fields[:0], nestedMax)
	if end < 0 || skipBlanks(value, end) != len(value) {
		return false
	}
	o.fields = fields
	return true
}

// nestedMax is how deep objects are scanned.
const nestedMax = 3

// scanObject reads the object that begins at a byte. It gives the byte behind it, or -1.
func scanObject(value string, at int, fields []field, depth int) ([]field, int) {
	if at >= len(value) || value[at] != '{' || depth == 0 {
		return nil, -1
	}
	for at++; ; at++ {
		name := skipBlanks(value, at)
		nameEnd := scanText(value, name)
		if nameEnd < 0 {
			return nil, -1
		}
		at = skipBlanks(value, nameEnd)
		if at >= len(value) || value[at] != ':' {
			return nil, -1
		}
		at = skipBlanks(value, at+1)
		end := scanValue(value, at, depth, fields[len(fields):])
		if end < 0 || holds(fields, value[name+1:nameEnd-1]) {
			return nil, -1
		}
		fields = append(fields, field{name: value[name+1 : nameEnd-1], value: value[at:end]})
		if at = skipBlanks(value, end); at >= len(value) {
			return nil, -1
		}
		switch value[at] {
		case '}':
			return fields, at + 1
		case ',':
		default:
			return nil, -1
		}
	}
}

// scanValue gives the byte behind a value. Spare is memory for the fields of an object.
func scanValue(value string, at, depth int, spare []field) (end int) {
	if at >= len(value) {
		return -1
	}
	switch value[at] {
	case '"':
		return scanText(value, at)
	case 't':
		return scanWord(value, at, "true")
	case 'f':
		return scanWord(value, at, "false")
	case 'n':
		return scanWord(value, at, "null")
	case '{':
		_, end = scanObject(value, at, spare, depth-1)
		return end
	}
	return scanInteger(value, at)
}

// scanInteger gives the byte behind an integer of digits alone.
func scanInteger(value string, at int) (end int) {
	for end = at; end < len(value) && value[end] >= '0' && value[end] <= '9'; end++ {
	}
	switch {
	case end == at, end > at+1 && value[at] == '0', end == len(value):
		return -1
	case value[end] == '.', value[end] == 'e', value[end] == 'E':
		return -1
	}
	return end
}

// scanText gives the byte behind a text without escapes.
func scanText(value string, at int) (end int) {
	if at >= len(value) || value[at] != '"' {
		return -1
	}
	plain := true
	for i := at + 1; ; i++ {
		if i = skipPlain(value, i); i >= len(value) {
			return -1
		}
		switch c := value[i]; {
		case c == '"':
			if !plain && !utf8.ValidString(value[at+1:i]) {
				return -1
			}
			return i + 1
		case c == '\\', c < ' ':
			return -1
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
}

// Bytes of a word of eight, each one or with its highest bit.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// skipPlain gives the first byte from at on that a text may not simply have: a quote, a backslash,
// a control character, or a part of a character that is not ASCII. It looks at eight bytes at a
// time: subtracting one from each byte of a word sets the highest bit of the first that was zero.
func skipPlain(value string, at int) int {
	for ; at+8 <= len(value); at += 8 {
		s := value[at : at+8]
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, escape := w^('"'*ones), w^('\\'*ones)
		found := ((quote-ones)&^quote | (escape-ones)&^escape | (w-' '*ones)&^w | w) & highs
		if found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for ; at < len(value); at++ {
		if c := value[at]; c == '"' || c == '\\' || c < ' ' || c >= utf8.RuneSelf {
			break
		}
	}
	return at
}

func scanWord(value string, at int, word string) (end int) {
	if end = at + len(word); end > len(value) || value[at:end] != word {
		return -1
	}
	return end
}

func skipBlanks(value string, at int) int {
	for at < len(value) {
		switch value[at] {
		case ' ', '\t', '\r', '\n':
			at++
		default:
			return at
		}
	}
	return at
}

func holds(fields []field, name string) bool {
	for i := range fields {
		if fields[i].name == name {
			return true
		}
	}
	return false
}

package embedded

import (
	"math"
	"strconv"
	"strings"
)

// layout knows how many bytes the values of one type take in the Native format.
type layout struct {
	kind  layoutKind
	size  int      // of one value, for fixed
	inner []layout // element types, for the composed kinds
}

type layoutKind int

const (
	layoutFixed layoutKind = iota
	layoutString
	layoutNullable
	layoutArray // inner holds the element; a Map is an array of tuples
	layoutTuple
	layoutLowCardinality
)

// Flags of a LowCardinality column: its index width sits in the low byte.
const (
	lowCardinalityWidthMask  = 0xff
	lowCardinalityGlobalKeys = 1 << 8
	lowCardinalityOwnKeys    = 1 << 9
)

// skipPrefix passes the state that precedes the data of a column: one version per LowCardinality.
func (l layout) skipPrefix(in *cursor) error {
	if l.kind == layoutLowCardinality {
		return in.skip(8)
	}
	for _, inner := range l.inner {
		if err := inner.skipPrefix(in); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) skip(in *cursor, rows int) error {
	switch l.kind {
	case layoutFixed:
		return in.skipMany(rows, l.size)
	case layoutString:
		for range rows {
			n, err := in.varint()
			if err != nil {
				return err
			}
			if n > uint64(in.left()) {
				return errCutBlock
			}
			in.at += int(n)
		}
		return nil
	case layoutNullable:
		if err := in.skipMany(rows, 1); err != nil {
			return err
		}
		return l.inner[0].skip(in, rows)
	case layoutArray:
		return l.skipArray(in, rows)
	case layoutTuple:
		for _, inner := range l.inner {
			if err := inner.skip(in, rows); err != nil {
				return err
			}
		}
		return nil
	default:
		return l.skipLowCardinality(in, rows)
	}
}

// skipArray reads the last offset, which is the number of elements of all rows together.
func (l layout) skipArray(in *cursor, rows int) error {
	if rows == 0 {
		return nil
	}
	if err := in.skipMany(rows-1, 8); err != nil {
		return err
	}
	elements, err := in.uint64()
	if err != nil {
		return err
	}
	if elements > math.MaxInt32*8 {
		return errCutBlock
	}
	return l.inner[0].skip(in, int(elements))
}

func (l layout) skipLowCardinality(in *cursor, rows int) error {
	for done := 0; done < rows; {
		flags, err := in.uint64()
		if err != nil {
			return err
		}
		if flags&lowCardinalityGlobalKeys != 0 || flags&lowCardinalityOwnKeys == 0 {
			return raise(codeNotImplemented, "NOT_IMPLEMENTED",
				"LowCardinality column with a shared dictionary; set low_cardinality_max_dictionary_size")
		}
		keys, err := in.uint64()
		if err != nil {
			return err
		}
		if keys > uint64(in.left()) {
			return errCutBlock
		}
		if err := l.inner[0].skip(in, int(keys)); err != nil {
			return err
		}
		indexes, err := in.uint64()
		if err != nil {
			return err
		}
		width := 1 << (flags & lowCardinalityWidthMask)
		if indexes == 0 || indexes > uint64(in.left()) {
			return errCutBlock
		}
		if err := in.skipMany(int(indexes), width); err != nil {
			return err
		}
		done += int(indexes)
	}
	return nil
}

var fixedSizes = map[string]int{
	"UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "UInt128": 16, "UInt256": 32,
	"Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8, "Int128": 16, "Int256": 32,
	"Float32": 4, "Float64": 8, "BFloat16": 2, "Bool": 1, "Nothing": 1,
	"Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "Time": 4, "Time64": 8,
	"UUID": 16, "IPv4": 4, "IPv6": 16, "Enum8": 1, "Enum16": 2,
	"Decimal32": 4, "Decimal64": 8, "Decimal128": 16, "Decimal256": 32,
}

var aliases = map[string]string{
	"Point": "Tuple(Float64, Float64)", "Ring": "Array(Point)", "LineString": "Array(Point)",
	"Polygon": "Array(Ring)", "MultiLineString": "Array(LineString)",
	"MultiPolygon": "Array(Polygon)",
}

// layoutOf reads a type as ClickHouse writes it, such as Map(LowCardinality(String), String).
func layoutOf(kind string) (layout, error) {
	name, arguments := splitType(kind)
	if size, ok := fixedSizes[name]; ok {
		return layout{kind: layoutFixed, size: size}, nil
	}
	if alias, ok := aliases[name]; ok {
		return layoutOf(alias)
	}
	if strings.HasPrefix(name, "Interval") {
		return layout{kind: layoutFixed, size: 8}, nil
	}
	switch name {
	case "String":
		return layout{kind: layoutString}, nil
	case "FixedString":
		return fixedString(kind, arguments)
	case "Decimal":
		return decimalLayout(kind, arguments)
	case "Nullable", "Array", "LowCardinality", "Map", "Tuple", "Nested":
		return composedLayout(name, kind, arguments)
	case "SimpleAggregateFunction":
		if len(arguments) == 2 {
			return layoutOf(arguments[1])
		}
	}
	return layout{}, unknownLayout(kind)
}

func unknownLayout(kind string) error {
	return raise(codeNotImplemented, "NOT_IMPLEMENTED", "The embedded server cannot send a column "+
		"of type %s in the Native format: CAST it, or ask for another FORMAT", kind)
}

func fixedString(kind string, arguments []string) (layout, error) {
	if len(arguments) == 1 {
		if size, err := strconv.Atoi(arguments[0]); err == nil && size > 0 {
			return layout{kind: layoutFixed, size: size}, nil
		}
	}
	return layout{}, unknownLayout(kind)
}

func decimalLayout(kind string, arguments []string) (layout, error) {
	if len(arguments) == 0 {
		return layout{}, unknownLayout(kind)
	}
	precision, err := strconv.Atoi(arguments[0])
	if err != nil {
		return layout{}, unknownLayout(kind)
	}
	size := 32
	switch {
	case precision <= 9:
		size = 4
	case precision <= 18:
		size = 8
	case precision <= 38:
		size = 16
	}
	return layout{kind: layoutFixed, size: size}, nil
}

func composedLayout(name, kind string, arguments []string) (layout, error) {
	inner := make([]layout, 0, len(arguments))
	for _, argument := range arguments {
		if name == "Tuple" || name == "Nested" {
			argument = withoutName(argument)
		}
		if name == "LowCardinality" {
			// The dictionary of a nullable column holds plain values; its first key stands for NULL.
			if bare, of := splitType(argument); bare == "Nullable" && len(of) == 1 {
				argument = of[0]
			}
		}
		l, err := layoutOf(argument)
		if err != nil {
			return layout{}, unknownLayout(kind)
		}
		inner = append(inner, l)
	}
	tuple := layout{kind: layoutTuple, inner: inner}
	switch {
	case name == "Tuple" && len(inner) == 0:
		return layout{kind: layoutFixed, size: 1}, nil
	case name == "Tuple":
		return tuple, nil
	case name == "Nested", name == "Map" && len(inner) == 2:
		return layout{kind: layoutArray, inner: []layout{tuple}}, nil
	case len(inner) != 1:
		return layout{}, unknownLayout(kind)
	case name == "Nullable":
		return layout{kind: layoutNullable, inner: inner}, nil
	case name == "Array":
		return layout{kind: layoutArray, inner: inner}, nil
	case name == "LowCardinality":
		return layout{kind: layoutLowCardinality, inner: inner}, nil
	}
	return layout{}, unknownLayout(kind)
}

// withoutName turns the element `total Decimal(38, 18)` of a named tuple into its type.
func withoutName(element string) string {
	depth := 0
	for i := 0; i < len(element); i++ {
		switch element[i] {
		case '`', '\'', '"':
			i = closingQuote(element, i)
		case '(':
			depth++
		case ')':
			depth--
		case ' ':
			if depth == 0 {
				return element[i+1:]
			}
		}
	}
	return element
}

// splitType cuts Name(a, b) into the name and its arguments at the outermost commas.
func splitType(kind string) (string, []string) {
	open := strings.IndexByte(kind, '(')
	if open < 0 || !strings.HasSuffix(kind, ")") {
		return kind, nil
	}
	var arguments []string
	body, depth, start := kind[open+1:len(kind)-1], 0, 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '`', '\'', '"':
			i = closingQuote(body, i)
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				arguments = append(arguments, strings.TrimSpace(body[start:i]))
				start = i + 1
			}
		}
	}
	if rest := strings.TrimSpace(body[start:]); rest != "" {
		arguments = append(arguments, rest)
	}
	return kind[:open], arguments
}

// closingQuote returns the position of the quote that ends the one at i, or the end of the text.
func closingQuote(text string, i int) int {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			if i+1 >= len(text) || text[i+1] != quote {
				return i
			}
			i++ // a doubled quote stands for itself
		}
	}
	return len(text)
}

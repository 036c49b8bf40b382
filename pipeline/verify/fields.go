package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Field is a field in which two records differ, with both values as they are shown.
type Field struct{ Name, Have, Want string }

// Differences compares two records in canonical JSON field by field, a bill's lines first. Records
// that differ in their bytes alone differ in one field, "form".
func Differences(have, want []byte) ([]Field, error) {
	if bytes.Equal(have, want) {
		return nil, nil
	}
	h, err := fieldsOf(have)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	w, err := fieldsOf(want)
	if err != nil {
		return nil, fmt.Errorf("what it is compared with cannot be read: %w", err)
	}
	names := map[string]bool{}
	for _, fields := range []map[string]string{h, w} {
		for name := range fields { // sorted below
			names[name] = true
		}
	}
	order := slices.Sorted(maps.Keys(names))
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	var out []Field
	for _, name := range order {
		if h[name] != w[name] {
			out = append(out, Field{Name: name, Have: shown(h[name]), Want: shown(w[name])})
		}
	}
	if out == nil {
		out = []Field{{Name: "form", Have: "bytes written in another way", Want: "canonical JSON"}}
	}
	return out, nil
}

// OnlyWords tells whether records differ in their explanations and nothing else. Those are made of
// what the digest covers, by the words of the program that made the bill; a later version may find
// better ones.
func OnlyWords(fields []Field) bool {
	return len(fields) > 0 && !slices.ContainsFunc(fields, func(f Field) bool {
		return !strings.HasSuffix(f.Name, ": explain")
	})
}

// rank puts what tells most first: lines, then sums, and digests last, since any change moves them.
func rank(name string) int {
	switch {
	case strings.HasPrefix(name, "line "):
		number, _, _ := strings.Cut(name[len("line "):], ":")
		n, _ := strconv.Atoi(number) // made by fieldsOf, so it is a number
		return n
	case name == "total":
		return 1_000_000
	case name == "digest":
		return 1_000_002
	}
	return 1_000_001
}

// valueMax is how much of a value is shown; an explanation can be long.
const valueMax = 160

func shown(text string) string {
	if r := []rune(text); len(r) > valueMax {
		return string(r[:valueMax]) + "..."
	}
	return cmp.Or(text, "nothing")
}

// fieldsOf takes a record's JSON apart: each field by its name, each of a bill's lines as
// "line 2: amount".
func fieldsOf(raw []byte) (map[string]string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	var lines []map[string]json.RawMessage
	if raw, ok := fields["lines"]; ok {
		if err := json.Unmarshal(raw, &lines); err != nil {
			return nil, fmt.Errorf("lines: %w", err)
		}
	}
	delete(fields, "lines")
	out := map[string]string{}
	for name, value := range fields { // into a map; the order does not matter
		out[name] = string(value)
	}
	for i, line := range lines {
		for name, value := range line { // into a map; the order does not matter
			out[fmt.Sprintf("line %d: %s", i+1, name)] = string(value)
		}
	}
	return out, nil
}

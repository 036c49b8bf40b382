package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
)

// Reader takes values out of a YAML tree and collects every fault with its place; it never stops
// at the first one. A missing node (nil) reads as the zero value: its absence was reported before.
// The catalogue and its example tests are read with it.
type Reader struct {
	file   string
	faults Faults
}

// Entry is one key of a mapping with its value.
type Entry struct {
	Key   string
	At    *yaml.Node
	Value *yaml.Node
}

// OpenYAML parses one YAML document into its root node, nil if that fails. YAML's own ways of
// saying things twice (anchors, aliases, explicit tags) are refused: a reader should see what is.
func OpenYAML(name string, data []byte) (*Reader, *yaml.Node) {
	r := &Reader{file: name}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		r.Fault(nil, "the file is empty", "begin with `format: 1`")
		return r, nil
	}
	if err != nil {
		at := &yaml.Node{Line: lineIn(err), Column: 1}
		r.Fault(at, "not YAML: "+err.Error(), "mend the syntax")
		return r, nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		r.Fault(&more, "a second YAML document", "keep one document in one file")
	}
	r.refuseSugar(&doc)
	if len(r.faults) > 0 {
		return r, nil
	}
	return r, doc.Content[0]
}

// lineIn finds the line number in the parser's message, which is the only place it is told.
func lineIn(err error) int {
	_, rest, _ := strings.Cut(err.Error(), "line ")
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if n, err := strconv.Atoi(digits); err == nil {
		return n
	}
	return 1
}

func (r *Reader) refuseSugar(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.Fault(n, "an alias (*"+n.Value+")", "write the value out")
		return
	case n.Anchor != "":
		r.Fault(n, "an anchor (&"+n.Anchor+")", "write the value out where it is used")
	case n.Style&yaml.TaggedStyle != 0:
		r.Fault(n, "an explicit YAML tag ("+n.Tag+")", "remove it; quote texts instead")
	}
	for _, child := range n.Content {
		r.refuseSugar(child)
	}
}

// Fault notes that something is wrong at a node.
func (r *Reader) Fault(n *yaml.Node, what, do string) {
	f := Fault{File: r.file, Line: 1, Col: 1, What: what, Do: do}
	if n != nil && n.Line > 0 {
		f.Line, f.Col = n.Line, n.Column
	}
	r.faults = append(r.faults, f)
}

// Err is all faults so far, by position, or nil.
func (r *Reader) Err() error {
	if len(r.faults) == 0 {
		return nil
	}
	return r.faults.sorted()
}

// Entries reads a mapping whose keys are names chosen by the author.
func (r *Reader) Entries(n *yaml.Node, what string) []Entry {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.Fault(n, what+" is not a mapping", "write `key: value` pairs")
		return nil
	}
	seen := map[string]bool{}
	var entries []Entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.Fault(key, "a key of "+what+" is not a word", "write `key: value`")
			continue
		}
		if seen[key.Value] {
			r.Fault(key, fmt.Sprintf("the key %q of %s appears twice", key.Value, what),
				"keep one of them")
			continue
		}
		seen[key.Value] = true
		entries = append(entries, Entry{Key: key.Value, At: key, Value: value})
	}
	return entries
}

// Fields is a mapping with a fixed set of keys.
type Fields struct {
	r      *Reader
	at     *yaml.Node
	what   string
	values map[string]*yaml.Node
}

// Fields reads a mapping that may have only the known keys.
func (r *Reader) Fields(n *yaml.Node, what string, known ...string) Fields {
	f := Fields{r: r, at: n, what: what, values: map[string]*yaml.Node{}}
	for _, e := range r.Entries(n, what) {
		if !slices.Contains(known, e.Key) {
			r.Fault(e.At, fmt.Sprintf("unknown key %q in %s", e.Key, what),
				"use "+strings.Join(known, ", "))
			continue
		}
		f.values[e.Key] = e.Value
	}
	return f
}

// Has tells whether the key is there.
func (f Fields) Has(key string) bool { return f.values[key] != nil }

// Get is the value of a key, nil if it is absent.
func (f Fields) Get(key string) *yaml.Node { return f.values[key] }

// Need is the value of a key that must be there.
func (f Fields) Need(key string) *yaml.Node {
	n := f.values[key]
	if n == nil && f.at != nil && f.at.Kind == yaml.MappingNode {
		f.r.Fault(f.at, fmt.Sprintf("%s lacks %q", f.what, key), "add `"+key+":`")
	}
	return n
}

// List reads a sequence.
func (r *Reader) List(n *yaml.Node, what string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.Fault(n, what+" is not a list", "write [a, b] or lines that begin with `- `")
		return nil
	}
	return n.Content
}

// scalar tells whether the node is a scalar of one of the YAML types, and reports it if not.
func (r *Reader) scalar(n *yaml.Node, do, what string, types ...string) bool {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || !slices.Contains(types, n.ShortTag()) {
		got := "a list or mapping"
		if n.Kind == yaml.ScalarNode {
			got = fmt.Sprintf("%q", n.Value)
		}
		r.Fault(n, got+" is not "+what, do)
		return false
	}
	return true
}

// Text reads a text that is not empty. Numbers and dates must be quoted to count as text.
func (r *Reader) Text(n *yaml.Node) string {
	if !r.scalar(n, "put it in quotes", "a text", "!!str") {
		return ""
	}
	if n.Value == "" {
		r.Fault(n, "an empty text", "write a value or leave the key out")
	}
	return n.Value
}

// Items reads a list of texts without repetition, each with its place (Key and At).
func (r *Reader) Items(n *yaml.Node, what string) []Entry {
	seen := map[string]bool{}
	var items []Entry
	for _, item := range r.List(n, what) {
		s := r.Text(item)
		if seen[s] {
			r.Fault(item, fmt.Sprintf("%q appears twice in %s", s, what), "keep one of them")
		}
		if s != "" && !seen[s] {
			seen[s] = true
			items = append(items, Entry{Key: s, At: item})
		}
	}
	return items
}

// Texts reads a list of texts without repetition.
func (r *Reader) Texts(n *yaml.Node, what string) []string {
	var all []string
	for _, item := range r.Items(n, what) {
		all = append(all, item.Key)
	}
	return all
}

// OneOf reads a text that must be one of the choices.
func (r *Reader) OneOf(n *yaml.Node, what string, choices ...string) string {
	s := r.Text(n)
	if s != "" && !slices.Contains(choices, s) {
		r.Fault(n, fmt.Sprintf("%q is not a known %s", s, what),
			"use "+strings.Join(choices, " or "))
	}
	return s
}

// Int reads a whole number.
func (r *Reader) Int(n *yaml.Node, least int64) int64 {
	if !r.scalar(n, "write a whole number without quotes", "a whole number", "!!int") {
		return least
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		r.Fault(n, fmt.Sprintf("%q is not a whole number", n.Value), "write it in plain digits")
		return least
	}
	if v < least {
		r.Fault(n, fmt.Sprintf("%d is below %d", v, least), "raise it")
	}
	return v
}

// Bool reads true or false.
func (r *Reader) Bool(n *yaml.Node) bool {
	return r.scalar(n, "write true or false", "a yes or no", "!!bool") && n.Value == "true"
}

// amountDigitsMax bounds the length of a decimal, so that nobody writes a price by accident that
// no product could have.
const amountDigitsMax = 18

// Decimal reads a decimal written as a text, such as "0.85". A YAML number is refused: it might
// pass through a binary float on its way.
func (r *Reader) Decimal(n *yaml.Node) decimal.Decimal {
	if !r.scalar(n, `write it as a text in quotes, as "0.85"`, "a decimal text", "!!str") {
		return decimal.Zero
	}
	whole, fraction, dotted := strings.Cut(n.Value, ".")
	plain := allDigits(whole) && (!dotted || allDigits(fraction))
	d, err := decimal.NewFromString(n.Value)
	if !plain || err != nil || len(n.Value) > amountDigitsMax {
		r.Fault(n, fmt.Sprintf("%q is not a decimal", n.Value), `write plain digits, as "0.85"`)
		return decimal.Zero
	}
	return d
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Day reads a date, quoted or not.
func (r *Reader) Day(n *yaml.Node) *billing.Day {
	if !r.scalar(n, "write YYYY-MM-DD", "a date", "!!str", "!!timestamp") {
		return nil
	}
	d, err := billing.ParseDay(n.Value)
	if err != nil {
		r.Fault(n, fmt.Sprintf("%q is not a date that exists", n.Value), "write YYYY-MM-DD")
		return nil
	}
	return &d
}

// Instant reads an RFC 3339 time with offset, quoted or not.
func (r *Reader) Instant(n *yaml.Node) billing.Instant {
	const do = "write it as 2023-01-04T00:00:00+08:00"
	if !r.scalar(n, do, "a time", "!!str", "!!timestamp") {
		return 0
	}
	i, err := billing.ParseInstant(n.Value)
	if err != nil {
		r.Fault(n, fmt.Sprintf("%q is not a time with offset", n.Value), do)
	}
	return i
}

// Moment reads a date (its 00:00), a wall-clock time such as 2021-09-01T10:00, both in the zone, or
// a time with offset. Examples may use it; the catalogue itself says its offsets.
func (r *Reader) Moment(n *yaml.Node, zone *time.Location) billing.Instant {
	const do = "write it as 2021-09-01 or 2021-09-01T10:00"
	if !r.scalar(n, do, "a time", "!!str", "!!timestamp") {
		return 0
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, n.Value, zone); err == nil {
			return billing.InstantOf(t)
		}
	}
	i, err := billing.ParseInstant(n.Value)
	if err != nil {
		r.Fault(n, fmt.Sprintf("%q is not a time", n.Value), do)
	}
	return i
}

// Word reads a text or a yes or no as it is written.
func (r *Reader) Word(n *yaml.Node) string {
	if !r.scalar(n, "write the dimension's value", "a value", "!!str", "!!bool") {
		return ""
	}
	return n.Value
}

// Duration reads a length of time such as 24h or 60s.
func (r *Reader) Duration(n *yaml.Node) time.Duration {
	const do = "write it as 24h, 30m or 60s"
	if !r.scalar(n, do, "a length of time", "!!str") {
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < 0 || d%time.Microsecond != 0 {
		r.Fault(n, fmt.Sprintf("%q is not a length of time", n.Value), do)
		return 0
	}
	return d
}

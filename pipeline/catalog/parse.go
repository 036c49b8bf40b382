package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
)

const (
	formatVersion = 1
	// catalogBytesMax lets a file fit in a Kafka record of the usual size, quoted as JSON. Ten times
	// the FaceID catalogue's needs is not a catalogue.
	catalogBytesMax = 512 << 10
	firstDay        = billing.Day(math.MinInt32)
	lastDay         = billing.Day(math.MaxInt32)
	noTag           = "none" // what a rule says where a call has no tag
)

// Parse reads a catalogue file. The name serves only to say where a fault is. Every fault of the
// file is reported at once: the error is Faults, one line each, by position.
func Parse(name string, data []byte) (*Catalog, error) {
	if len(data) > catalogBytesMax {
		return nil, Faults{{name, 1, 1, "the file is over 512 KiB", "drop what is not used"}}
	}
	if !utf8.Valid(data) {
		return nil, Faults{{name, 1, 1, "the file is not UTF-8", "save it as UTF-8"}}
	}
	r, root := OpenYAML(name, data)
	if root == nil {
		return nil, r.Err()
	}
	l := &loader{Reader: r, cat: &Catalog{}}
	l.catalogue(root)
	if err := l.Err(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	l.cat.File = data
	l.cat.Digest = hex.EncodeToString(sum[:])
	l.cat.buildIndex()
	return l.cat, nil
}

// loader fills a catalogue from the tree. Sections are read in the order in which they refer to
// one another, not in the order of the file.
type loader struct {
	*Reader
	cat       *Catalog
	cohorts   []string
	spellings map[string]TagID // by normalised text
}

func (l *loader) catalogue(root *yaml.Node) {
	f := l.Fields(root, "the catalogue", "format", "product", "version", "currency", "sources",
		"settings", "dimensions", "selectors", "cohorts", "tags", "code_tables", "prices",
		"packages", "discounts", "channels", "free_actions", "sdk_minimums", "free_quota", "note")
	if n := f.Need("format"); n != nil && l.Int(n, 1) != formatVersion {
		l.Fault(n, "an unknown format version", fmt.Sprintf("use format: %d", formatVersion))
	}
	l.cat.Product = l.name(f.Need("product"))
	l.cat.Version = l.Text(f.Need("version"))
	l.currency(f.Need("currency"))
	l.sources(f.Need("sources"))
	l.dimensions(f.Need("dimensions"))
	l.selectors(f.Need("selectors"))
	l.cohortList(f.Need("cohorts"))
	l.settings(f.Need("settings"))
	l.tags(f.Need("tags"))
	l.codeTables(f.Need("code_tables"))
	l.prices(f.Need("prices"))
	l.packages(f.Get("packages"))
	l.discounts(f.Get("discounts"))
	l.channels(f.Need("channels"))
	l.freeActions(f.Get("free_actions"))
	l.sdkMinimums(f.Get("sdk_minimums"))
	l.freeQuota(f.Get("free_quota"))
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

const nameBytesMax = 64

// name reads an identifier: of a product, tag, channel, cohort, table, discount.
func (l *loader) name(n *yaml.Node) string {
	s := l.Text(n)
	l.checkName(n, s)
	return s
}

func (l *loader) checkName(n *yaml.Node, s string) {
	if s != "" && (!namePattern.MatchString(s) || len(s) > nameBytesMax) {
		l.Fault(n, fmt.Sprintf("%q is not a name", s), "use up to 64 letters, digits, _ . and -")
	}
}

func (l *loader) currency(n *yaml.Node) {
	s := l.Text(n)
	if s != "" && (len(s) != 3 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		l.Fault(n, fmt.Sprintf("%q is not a currency", s), "use an ISO 4217 code such as CNY")
	}
	l.cat.Currency = s
}

func (l *loader) sources(n *yaml.Node) {
	l.cat.Sources = map[string]Source{}
	for _, e := range l.Entries(n, "sources") {
		l.checkName(e.At, e.Key)
		f := l.Fields(e.Value, "source "+e.Key, "title", "date", "note")
		s := Source{Title: l.Text(f.Need("title"))}
		if f.Has("date") {
			s.Date = l.dateText(f.Get("date"))
		}
		l.cat.Sources[e.Key] = s
	}
}

// dateText is a date as people give it for a document: any text, or a plain YAML date.
func (l *loader) dateText(n *yaml.Node) string {
	if l.scalar(n, "put it in quotes", "a text or a date", "!!str", "!!timestamp") {
		return n.Value
	}
	return ""
}

// source reads a source id or a list of them; every one must be in the table of sources.
func (l *loader) source(n *yaml.Node) string {
	nodes := []*yaml.Node{n}
	if n != nil && n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var ids []string
	for _, node := range nodes {
		id := l.Text(node)
		if _, ok := l.cat.Sources[id]; id != "" && !ok {
			l.Fault(node, fmt.Sprintf("undefined source %q", id), "add it under `sources:`")
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, ", ")
}

func (l *loader) dimensions(n *yaml.Node) {
	for _, e := range l.Entries(n, "dimensions") {
		l.checkName(e.At, e.Key)
		f := l.Fields(e.Value, "dimension "+e.Key, "kind", "values", "note")
		d := Dimension{Name: e.Key, Kind: DimensionKind(l.OneOf(f.Need("kind"), "kind of dimension",
			string(Text), string(Enum), string(Flag)))}
		switch {
		case d.Kind == Enum:
			d.Values = l.Texts(f.Need("values"), "values")
		case f.Has("values"):
			l.Fault(f.Get("values"), "values of a dimension that is not an enum", "remove them")
		}
		l.cat.Dimensions = append(l.cat.Dimensions, d)
	}
}

// dimension reads the name of a dimension.
func (l *loader) dimension(n *yaml.Node) string {
	s := l.Text(n)
	if s != "" && l.dimensionAt(s) < 0 {
		l.Fault(n, fmt.Sprintf("undefined dimension %q", s), "add it under `dimensions:`")
	}
	return s
}

func (l *loader) dimensionAt(name string) int {
	return slices.IndexFunc(l.cat.Dimensions, func(d Dimension) bool { return d.Name == name })
}

// dimensionValue checks a value against its dimension's kind.
func (l *loader) dimensionValue(n *yaml.Node, dimension, value string) {
	at := l.dimensionAt(dimension)
	if at < 0 || value == "" {
		return
	}
	d := l.cat.Dimensions[at]
	allowed := d.Values
	if d.Kind == Flag {
		allowed = []string{"true"}
	}
	if d.Kind != Text && !slices.Contains(allowed, value) {
		l.Fault(n, fmt.Sprintf("%q is not a value of %s", value, dimension),
			"use "+strings.Join(allowed, " or "))
	}
}

func (l *loader) selectors(n *yaml.Node) {
	for _, item := range l.List(n, "selectors") {
		f := l.Fields(item, "a selector", "dimension", "by", "note")
		s := Selector{
			Dimension: l.dimension(f.Need("dimension")),
			By:        l.OneOf(f.Need("by"), "way to select", ByKey, ByAction),
		}
		for _, other := range l.cat.Selectors {
			if other.Dimension == s.Dimension {
				l.Fault(item, fmt.Sprintf("dimension %q selects twice", s.Dimension),
					"keep one of the selectors")
			}
		}
		l.cat.Selectors = append(l.cat.Selectors, s)
	}
	if n != nil && len(l.cat.Selectors) == 0 {
		l.Fault(n, "no selector", "say which dimension chooses a channel")
	}
}

func (l *loader) cohortList(n *yaml.Node) {
	var before billing.Instant // opened_before of the cohort before
	bounded := true
	for i, e := range l.Entries(n, "cohorts") {
		l.checkName(e.At, e.Key)
		f := l.Fields(e.Value, "cohort "+e.Key,
			"opened_from", "opened_before", "cycle", "source", "price_doc", "note")
		c := Cohort{Name: e.Key, OpenedFrom: math.MinInt64}
		c.Cycle = billing.Cycle(l.OneOf(f.Need("cycle"), "cycle",
			string(billing.Daily), string(billing.Monthly)))
		if f.Has("source") {
			c.Source = l.source(f.Get("source"))
		}
		if f.Has("price_doc") {
			c.PriceDoc = l.Text(f.Get("price_doc"))
		}
		if i == 0 && f.Has("opened_from") {
			l.Fault(f.Get("opened_from"), "accounts opened before this have no cohort",
				"remove opened_from of the first cohort")
		}
		if i > 0 {
			c.OpenedFrom = l.follows(f, before, bounded)
		}
		if bounded = f.Has("opened_before"); bounded {
			before = l.Instant(f.Get("opened_before"))
			if before <= c.OpenedFrom {
				l.Fault(f.Get("opened_before"), "cohort "+e.Key+" ends before it begins",
					"list the cohorts by opening time")
			}
		}
		l.cat.Cohorts = append(l.cat.Cohorts, c)
		l.cohorts = append(l.cohorts, e.Key)
	}
	if n != nil && len(l.cohorts) == 0 {
		l.Fault(n, "no cohort", "describe at least one")
	} else if n != nil && bounded {
		l.Fault(n, "accounts opened after the last cohort have none",
			"remove opened_before of the last cohort")
	}
}

// follows checks that a cohort begins exactly where the one before ends.
func (l *loader) follows(f Fields, before billing.Instant, bounded bool) billing.Instant {
	n := f.Need("opened_from")
	from := l.Instant(n)
	switch {
	case n == nil:
	case !bounded:
		l.Fault(n, "the cohort before has no end", "give it the same opened_before")
	case from > before:
		l.Fault(n, "a gap after the cohort before", "begin where it ends: opened_before")
	case from < before:
		l.Fault(n, "an overlap with the cohort before", "begin where it ends: opened_before")
	}
	return from
}

// cohort checks the name of a cohort.
func (l *loader) cohort(n *yaml.Node, name string) string {
	if name != "" && !slices.Contains(l.cohorts, name) {
		l.Fault(n, fmt.Sprintf("undefined cohort %q", name),
			"use one of "+strings.Join(l.cohorts, ", "))
	}
	return name
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

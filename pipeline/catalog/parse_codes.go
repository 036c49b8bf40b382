package catalog

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
)

func (l *loader) codeTables(n *yaml.Node) {
	l.cat.Codes = map[string]*CodeTable{}
	for _, e := range l.Entries(n, "code_tables") {
		l.checkName(e.At, e.Key)
		l.cat.Codes[e.Key] = l.codeTable(e)
	}
}

func (l *loader) codeTable(e Entry) *CodeTable {
	f := l.Fields(e.Value, "code table "+e.Key,
		"field", "charged", "versions", "known_free", "source", "note")
	t := &CodeTable{Name: e.Key, Field: l.Text(f.Need("field")), Source: l.source(f.Need("source"))}
	switch {
	case f.Has("charged") && f.Has("versions"):
		l.Fault(f.Get("versions"), "both charged and versions", "keep one of the two")
	case f.Has("charged"):
		t.Versions = []CodeVersion{{Charged: l.charged(f.Get("charged"))}}
	default:
		t.Versions = l.codeVersions(f.Need("versions"))
	}
	t.heard = map[string]bool{}
	for _, v := range t.Versions {
		for code := range v.Charged { //nolint:maporder // fills a set
			t.heard[code] = true
		}
	}
	if f.Has("known_free") {
		t.KnownFree = l.codeSet(f.Get("known_free"), t.heard)
	}
	return t
}

func (l *loader) charged(n *yaml.Node) map[string]bool {
	codes := map[string]bool{}
	for _, s := range l.Texts(n, "charged") {
		codes[s] = true
	}
	if n != nil && len(codes) == 0 {
		l.Fault(n, "no charged code", "list at least one")
	}
	return codes
}

func (l *loader) codeVersions(n *yaml.Node) []CodeVersion {
	var versions []CodeVersion
	var last *billing.Day
	for i, item := range l.List(n, "versions") {
		f := l.Fields(item, "a version", "from", "charged", "source", "note")
		v := CodeVersion{Charged: l.charged(f.Need("charged"))}
		if i > 0 || f.Has("from") {
			v.From = l.Day(f.Need("from"))
		}
		if f.Has("source") {
			l.source(f.Get("source"))
		}
		if last != nil && v.From != nil && *v.From <= *last {
			l.Fault(f.Get("from"), "versions out of order", "list them by date, oldest first")
		}
		last = v.From
		versions = append(versions, v)
	}
	if n != nil && n.Kind == yaml.SequenceNode && len(versions) == 0 {
		l.Fault(n, "no version", "write at least one")
	}
	return versions
}

func (l *loader) codeSet(n *yaml.Node, charged map[string]bool) CodeSet {
	f := l.Fields(n, "known_free", "codes", "ranges", "prefixes", "note")
	set := CodeSet{Exact: map[string]bool{}}
	for _, item := range l.Items(f.Get("codes"), "codes") {
		if charged[item.Key] {
			l.Fault(item.At, fmt.Sprintf("code %q is charged in some version", item.Key),
				"remove it here (a code that was ever charged is known)")
		}
		set.Exact[item.Key] = true
	}
	for _, item := range l.List(f.Get("ranges"), "ranges") {
		set.Ranges = append(set.Ranges, l.codeRange(item))
	}
	set.Prefixes = l.Texts(f.Get("prefixes"), "prefixes")
	return set
}

func (l *loader) codeRange(n *yaml.Node) [2]int64 {
	const least = -1 << 62
	ends := l.List(n, "a range")
	if len(ends) != 2 {
		l.Fault(n, "a range without exactly two ends", "write [first, last]")
		return [2]int64{}
	}
	first, last := l.Int(ends[0], least), l.Int(ends[1], least)
	if last < first {
		l.Fault(n, "a range that ends before it begins", "write [first, last]")
	}
	return [2]int64{first, last}
}

func (l *loader) freeActions(n *yaml.Node) {
	l.cat.FreeActions = map[string]bool{}
	for _, item := range l.Items(n, "free_actions") {
		l.cat.FreeActions[item.Key] = true
	}
}

func (l *loader) sdkMinimums(n *yaml.Node) {
	for _, item := range l.List(n, "sdk_minimums") {
		f := l.Fields(item, "an SDK minimum",
			"names", "platform", "version", "released", "from", "source", "note")
		m := SDKMinimum{
			Platform: l.Text(f.Need("platform")),
			Version:  l.Text(f.Need("version")),
			Source:   l.source(f.Need("source")),
			Names:    l.Texts(f.Need("names"), "names"),
			folded:   map[string]bool{},
		}
		for _, name := range m.Names {
			m.folded[foldName(name)] = true
		}
		if d := l.Day(f.Need("released")); d != nil {
			m.Released = *d
		}
		if d := l.Day(f.Need("from")); d != nil {
			m.From = *d
		}
		var ok bool
		if m.parts, ok = versionParts(m.Version); !ok && m.Version != "" {
			l.Fault(f.Get("version"), fmt.Sprintf("%q is not a version", m.Version),
				`write numbers with dots, as "4.5.4"`)
		}
		l.cat.SDKMinimums = append(l.cat.SDKMinimums, m)
	}
}

func (l *loader) freeQuota(n *yaml.Node) {
	l.cat.FreeQuota = map[string]map[TagID]int64{}
	for _, e := range l.Entries(n, "free_quota") {
		cohort := l.cohort(e.At, e.Key)
		l.cat.FreeQuota[cohort] = map[TagID]int64{}
		for _, q := range l.Entries(e.Value, "free quota of cohort "+cohort) {
			l.checkTag(q.At, q.Key)
			l.cat.FreeQuota[cohort][TagID(q.Key)] = l.Int(q.Value, 1)
		}
	}
}

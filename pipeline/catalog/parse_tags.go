package catalog

import (
	"fmt"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
)

func (l *loader) tags(n *yaml.Node) {
	l.cat.Tags = map[TagID]*Tag{}
	l.spellings = map[string]TagID{}
	entries := l.Entries(n, "tags")
	for _, e := range entries {
		l.checkName(e.At, e.Key)
		if e.Key == noTag {
			l.Fault(e.At, `a tag cannot be called "none"`, "that word says that there is no tag")
		}
		l.cat.Tags[TagID(e.Key)] = l.tag(e)
	}
	for _, e := range entries { // an id that reads like another tag's spelling
		if other, ok := l.spellings[normalise(e.Key)]; ok && other != TagID(e.Key) {
			l.Fault(e.At, fmt.Sprintf("the id %q is a spelling of tag %s", e.Key, other),
				"choose another id or drop that spelling")
		}
	}
}

func (l *loader) tag(e Entry) *Tag {
	f := l.Fields(e.Value, "tag "+e.Key,
		"name", "spellings", "family", "from", "until", "source", "note")
	t := &Tag{ID: TagID(e.Key), Name: l.Text(f.Need("name")), From: l.Day(f.Get("from"))}
	t.Until = l.Day(f.Get("until"))
	t.Family = l.name(f.Need("family"))
	t.Source = l.source(f.Need("source"))
	t.Names = []string{t.Name}
	l.spelling(f.Get("name"), t)
	for _, item := range l.Items(f.Get("spellings"), "spellings") {
		if item.Key == t.Name {
			l.Fault(item.At, fmt.Sprintf("the spelling %q is the name", item.Key), "remove it")
			continue
		}
		t.Names = append(t.Names, item.Key)
		l.spelling(item.At, t)
	}
	l.ordered(f, t.From, t.Until)
	return t
}

func (l *loader) spelling(n *yaml.Node, t *Tag) {
	if n == nil || n.Kind != yaml.ScalarNode || n.Value == "" {
		return
	}
	key := normalise(n.Value)
	if other, ok := l.spellings[key]; ok && other != t.ID {
		l.Fault(n, fmt.Sprintf("the spelling %q belongs to tag %s too", n.Value, other),
			"give it to one of the two (brackets, spaces and case do not tell tags apart)")
		return
	}
	l.spellings[key] = t.ID
}

// normalise folds what published spellings of one tag differ in: full-width and half-width signs,
// spaces, and the case of Latin letters (A1).
func normalise(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return -1
		case r >= 0xFF01 && r <= 0xFF5E: // full-width forms of ! to ~
			r -= 0xFEE0
		}
		if r < unicode.MaxASCII {
			return unicode.ToLower(r)
		}
		return r
	}, s)
}

// ordered checks that a pair of inclusive dates is in order.
func (l *loader) ordered(f Fields, from, until *billing.Day) {
	if from != nil && until != nil && *until < *from {
		l.Fault(f.Get("until"), "it ends before it begins", "swap or mend the dates")
	}
}

// tagID reads the id of a tag.
func (l *loader) tagID(n *yaml.Node) TagID {
	s := l.Text(n)
	l.checkTag(n, s)
	return TagID(s)
}

func (l *loader) checkTag(n *yaml.Node, id string) {
	if _, ok := l.cat.Tags[TagID(id)]; id != "" && !ok {
		l.Fault(n, fmt.Sprintf("undefined tag %q", id), "add it under `tags:` or mend the id")
	}
}

func (l *loader) tagIDs(n *yaml.Node, what string) []TagID {
	var ids []TagID
	for _, item := range l.Items(n, what) {
		l.checkTag(item.At, item.Key)
		ids = append(ids, TagID(item.Key))
	}
	return ids
}

package simulate

import (
	"cmp"
	"slices"
)

// Totals sums comparisons, those without a difference too.
type Totals struct {
	Accounts, AccountsDiffer int
	Bills, BillsDiffer       int
	StatusesDiffer           int   // accounts with another status after the last closing
	Change                         // of all bills together
	Tags                     []Tag // by tag, rounding last
}

// Tag sums the lines of a tag, of all kinds.
type Tag struct {
	Tag     string // id, "" for rounding
	TagName string
	Change
}

// Add adds an account.
func (t *Totals) Add(a *Account) {
	t.Accounts++
	if a.Differs() {
		t.AccountsDiffer++
	}
	if a.OldStatus != a.NewStatus {
		t.StatusesDiffer++
	}
	t.Change.add(&a.Change)
	for i := range a.Bills {
		b := &a.Bills[i]
		t.Bills++
		if b.Differs() {
			t.BillsDiffer++
		}
		for j := range b.Lines {
			t.tag(&b.Lines[j]).add(&b.Lines[j].Change)
		}
	}
}

// tag finds or makes the place of a line's tag.
func (t *Totals) tag(l *Line) *Tag {
	i, found := slices.BinarySearchFunc(t.Tags, l.Tag, func(x Tag, tag string) int {
		return cmp.Or(cmp.Compare(rankOf(x.Tag), rankOf(tag)), cmp.Compare(x.Tag, tag))
	})
	if !found {
		t.Tags = slices.Insert(t.Tags, i, Tag{Tag: l.Tag})
	}
	t.Tags[i].TagName = l.TagName
	return &t.Tags[i]
}

func rankOf(tag string) int {
	if tag == "" {
		return 1
	}
	return 0
}

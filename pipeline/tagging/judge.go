// Package tagging judges call records by a catalogue: which billing tags a call has (计费标签,
// rule B6) and whether its result code is charged (B5). It owns the order in which these
// questions are asked. It does not own the data that answers them (catalog), and knows nothing of
// packages, quantities or prices.
//
// Invariants: the same catalogue, cohort and record give the same Judgement; nothing is kept
// between calls; a call is either tagged, free by its action, or says why it has no tag.
package tagging

import (
	"fmt"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// Judgement is what the catalogue says about one call.
type Judgement struct {
	Channel   string // key of the channel, aliases resolved; "" where none was found
	Postpaid  catalog.TagID
	Prepaid   catalog.TagID
	Legacy    catalog.TagID // "" where older packages do not reach the call
	Charged   bool
	CodeKnown bool // the catalogue has heard of the code; also true where no code matters
	CodeTable string
	// NoTag says, for a person, why a call has no billing tag; "" when it has one or needs none.
	NoTag string
	// FreeAction: the call names no channel and its action is never charged by itself.
	FreeAction bool
}

// Judge tells tag and charge of a call of an account of that cohort.
//
//	1 find the channel   2 its variant   3 replacement by a flag   4 the cohort's rule of the day
//	5 only then the code: a call without a tag is not judged by its code
func Judge(cat *catalog.Catalog, cohort *catalog.Cohort, rec *billing.CallRecord) Judgement {
	ch, free, why := findChannel(cat, rec.Dims)
	if free {
		return Judgement{FreeAction: true, CodeKnown: true}
	}
	if ch == nil {
		return Judgement{NoTag: why}
	}
	j := Judgement{Channel: ch.Key}
	variant := ch.Variant(variantValue(ch, rec.Dims))
	if variant == nil {
		j.NoTag = noVariant(ch, rec.Dims)
		return j
	}
	by := ch
	if other := ch.ReplacedBy(rec.Dims); other != nil {
		by = other
		if variant = sameVariant(other, variant.Value); variant == nil {
			j.NoTag = fmt.Sprintf("channel %s, billed as %s, which has no such variant",
				ch.Key, other.Key)
			return j
		}
	}
	day := billing.DayOf(rec.OccurredAt, cat.Settings.Zone)
	rule := variant.RuleOn(cohort.Name, day)
	if rule == nil || rule.Postpaid == "" {
		j.NoTag = noRule(ch, by, variant, cohort, day)
		return j
	}
	j.Postpaid, j.Prepaid, j.Legacy = rule.Postpaid, rule.Prepaid, rule.Legacy
	if table := by.CodesFor(rec.Dims); table != nil {
		j.CodeTable = table.Name
		j.Charged, j.CodeKnown = table.Lookup(rec.ResultCode, day)
	}
	return j
}

// dim is the value of a dimension, "" where the record has none.
func dim(dims []string, at int) string {
	if at < 0 || at >= len(dims) {
		return ""
	}
	return dims[at]
}

// findChannel asks the selectors in order; the first dimension that is present decides, for good
// or ill: an unknown channel beside a good action is still unknown.
func findChannel(cat *catalog.Catalog, dims []string) (*catalog.Channel, bool, string) {
	for i := range cat.Selectors {
		s := &cat.Selectors[i]
		value := dim(dims, s.At())
		if value == "" {
			continue
		}
		if s.By == catalog.ByKey {
			if ch, ok := cat.Channel(value); ok {
				return ch, false, ""
			}
			return nil, false, fmt.Sprintf("unknown %s %q", s.Dimension, value)
		}
		if cat.FreeActions[value] {
			return nil, true, ""
		}
		running := cat.ChannelsRunning(value)
		if len(running) == 1 {
			return running[0], false, ""
		}
		return nil, false, notOne(s.Dimension, value, running)
	}
	return nil, false, "none of the dimensions that choose a channel is present: " +
		selectorNames(cat)
}

func notOne(dimension, value string, running []*catalog.Channel) string {
	if len(running) == 0 {
		return fmt.Sprintf("no channel runs %s %q", dimension, value)
	}
	keys := make([]string, len(running))
	for i, ch := range running {
		keys[i] = ch.Key
	}
	return fmt.Sprintf("%s %q is run by several channels (%s) and the call names none",
		dimension, value, strings.Join(keys, ", "))
}

func selectorNames(cat *catalog.Catalog) string {
	names := make([]string, len(cat.Selectors))
	for i, s := range cat.Selectors {
		names[i] = s.Dimension
	}
	return strings.Join(names, ", ")
}

// variantValue is what chooses the variant: the call's own value where the channel has several,
// else the channel's only one, whatever the call says.
func variantValue(ch *catalog.Channel, dims []string) string {
	if ch.Decides == "" {
		return ch.Variants[0].Value
	}
	return dim(dims, ch.DecidesAt())
}

// sameVariant is the variant of the replacing channel for the call's own value; a channel with one
// variant takes every call.
func sameVariant(ch *catalog.Channel, value string) *catalog.Variant {
	if ch.Decides == "" {
		return &ch.Variants[0]
	}
	return ch.Variant(value)
}

func noVariant(ch *catalog.Channel, dims []string) string {
	values := make([]string, len(ch.Variants))
	for i := range ch.Variants {
		values[i] = ch.Variants[i].Value
	}
	choice := strings.Join(values, " or ")
	if got := dim(dims, ch.DecidesAt()); got != "" {
		return fmt.Sprintf("channel %s has no variant for %s %q (it has %s)",
			ch.Key, ch.Decides, got, choice)
	}
	return fmt.Sprintf("channel %s needs %s (%s)", ch.Key, ch.Decides, choice)
}

func noRule(ch, by *catalog.Channel, v *catalog.Variant, cohort *catalog.Cohort,
	day billing.Day,
) string {
	var b strings.Builder
	b.WriteString("channel " + ch.Key)
	if by != ch {
		b.WriteString(", billed as " + by.Key)
	}
	if v.Value != "" {
		b.WriteString(", " + v.Value)
	}
	return b.String() + " has no tag for cohort " + cohort.Name + " on " + day.String()
}

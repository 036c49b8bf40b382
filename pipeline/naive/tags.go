package naive

import (
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// judged is what the catalogue says about one call (B5, B6).
type judged struct {
	tagged                    bool // or free by its action, which needs no tag
	charged                   bool
	postpaid, prepaid, legacy catalog.TagID
}

var asciiSigns = strings.NewReplacer("（", "(", "）", ")", "／", "/", "－", "-", " ", "")

func plain(s string) string { return strings.ToLower(asciiSigns.Replace(s)) }

// said is what a call says about a dimension, "" where it says nothing.
func (b *biller) said(c *billing.CallRecord, dimension string) string {
	for i, d := range b.cat.Dimensions {
		if d.Name == dimension {
			return c.Dims[i]
		}
	}
	return ""
}

func (b *biller) judge(cohort string, c *billing.CallRecord) judged {
	ch, free := b.channelOf(c)
	if free {
		return judged{tagged: true}
	}
	if ch == nil {
		return judged{}
	}
	own := b.variant(ch, b.said(c, ch.Decides))
	if own == nil {
		return judged{}
	}
	billed, variant := ch, own
	for _, r := range ch.Replaced {
		if b.said(c, r.Dimension) == r.Value {
			billed = b.channelNamed(r.Channel)
			variant = b.variant(billed, own.Value)
			break
		}
	}
	if variant == nil {
		return judged{}
	}
	day := b.day(c.OccurredAt)
	var j judged
	for _, rule := range variant.Tags {
		if (rule.From == nil || *rule.From <= day) && has(rule.Cohorts, cohort) {
			j = judged{tagged: rule.Postpaid != "",
				postpaid: rule.Postpaid, prepaid: rule.Prepaid, legacy: rule.Legacy}
		}
	}
	j.charged = j.tagged && b.whitelisted(billed, c, day)
	return j
}

// channelOf finds the channel by the first dimension present that can name one. The second result
// says that no channel is named and the action is never charged.
func (b *biller) channelOf(c *billing.CallRecord) (*catalog.Channel, bool) {
	for _, s := range b.cat.Selectors {
		value := b.said(c, s.Dimension)
		if value == "" {
			continue
		}
		if s.By == catalog.ByKey {
			return b.channelNamed(value), false
		}
		if b.cat.FreeActions[value] {
			return nil, true
		}
		var running []*catalog.Channel
		for _, ch := range b.cat.Channels {
			if has(ch.Actions, value) {
				running = append(running, ch)
			}
		}
		if len(running) == 1 {
			return running[0], false
		}
		return nil, false
	}
	return nil, false
}

func (b *biller) channelNamed(name string) *catalog.Channel {
	for _, ch := range b.cat.Channels {
		if ch.Key == name || has(ch.Aliases, name) {
			return ch
		}
	}
	return nil
}

// variant is the one for a value; a channel with a single source takes every call.
func (b *biller) variant(ch *catalog.Channel, value string) *catalog.Variant {
	for i := range ch.Variants {
		if ch.Decides == "" || ch.Variants[i].Value == value {
			return &ch.Variants[i]
		}
	}
	return nil
}

// whitelisted tells whether the call's code is on the list of its day: that of the last version
// whose day has come, else of the first.
func (b *biller) whitelisted(ch *catalog.Channel, c *billing.CallRecord, day billing.Day) bool {
	for _, choice := range ch.Codes {
		fits := true
		for dimension, value := range choice.When {
			fits = fits && b.said(c, dimension) == value
		}
		if !fits {
			continue
		}
		versions := b.cat.Codes[choice.Table].Versions
		list := versions[0].Charged
		for _, v := range versions {
			if v.From == nil || *v.From <= day {
				list = v.Charged
			}
		}
		return list[c.ResultCode]
	}
	return false
}

// reaches tells whether a package of a tag may cover a call (B9).
func (b *biller) reaches(packageTag catalog.TagID, j judged) bool {
	offer := b.cat.Packages[packageTag]
	if offer == nil {
		return packageTag == j.prepaid
	}
	return j.prepaid != "" && has(offer.CoversPrepaid, j.prepaid) ||
		j.legacy != "" && has(offer.CoversLegacy, j.legacy)
}

func has[T comparable](list []T, x T) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

package generate

import (
	"fmt"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/tagging"
)

// shape is one way to make a call: the rating dimensions that a record has. weight says how often
// it is seen compared with others.
type shape struct {
	dims   []string
	weight int
}

// ruling is what the catalogue says of a shape in a time in which its rules do not change.
type ruling struct {
	ok                        bool // it has a tag
	table                     *catalog.CodeTable
	postpaid, prepaid, legacy catalog.TagID
}

// shapes are all ways to make a call that a catalogue knows.
type shapes struct {
	cat      *catalog.Catalog
	all      []shape
	untagged []shape // never have a tag, whatever cohort and day
	free     []shape // of actions that are never charged by themselves
	// changes are the days on which tags change; between two of them is an epoch.
	changes []billing.Day
	rulings map[string][][]ruling // cohort, epoch, shape
	valid   map[string][][]int    // cohort, epoch -> shapes that have a tag
}

func findShapes(cat *catalog.Catalog, spans []Span) (*shapes, error) {
	s := &shapes{cat: cat, rulings: map[string][][]ruling{}, valid: map[string][][]int{}}
	for _, ch := range cat.Channels {
		s.ofChannel(ch)
	}
	s.ofFreeActions()
	s.findChanges()
	for i := range cat.Cohorts {
		s.judge(&cat.Cohorts[i])
	}
	for _, span := range spans {
		for _, c := range cat.Cohorts {
			for e := s.epoch(span.First); e <= s.epoch(span.End-1); e++ {
				if len(s.valid[c.Name][e]) == 0 {
					return nil, fmt.Errorf("no channel has a tag for cohort %s on %s", c.Name,
						s.changes[e])
				}
			}
		}
	}
	s.keepUntagged()
	return s, nil
}

// ofChannel lists the calls of one channel: how it is named, its variants, and its flags.
func (s *shapes) ofChannel(ch *catalog.Channel) {
	variants := []string{""}
	if ch.Decides != "" {
		variants = nil
		for _, v := range ch.Variants {
			variants = append(variants, v.Value)
		}
	}
	for _, base := range s.namings(ch) {
		for _, v := range variants {
			sh := s.with(base, ch.Decides, v)
			s.all = append(s.all, sh)
			for _, r := range ch.Replaced {
				s.all = append(s.all, lighter(s.with(sh, r.Dimension, r.Value)))
			}
			for _, c := range ch.Codes {
				if len(c.When) > 0 {
					s.all = append(s.all, lighter(s.withAll(sh, c.When)))
				}
			}
		}
		if ch.Decides != "" { // the deciding dimension is missing
			s.untagged = append(s.untagged, base)
		}
	}
}

// namings are the ways to name a channel: by key, by alias, by key and action, by action alone.
func (s *shapes) namings(ch *catalog.Channel) []shape {
	empty := shape{dims: make([]string, len(s.cat.Dimensions)), weight: 8}
	var out []shape
	byKey := ""
	for _, sel := range s.cat.Selectors {
		if sel.By == catalog.ByKey {
			byKey = sel.Dimension
			out = append(out, s.with(empty, byKey, ch.Key))
			for _, alias := range ch.Aliases {
				out = append(out, lighter(s.with(empty, byKey, alias)))
			}
			s.untagged = append(s.untagged, s.with(empty, byKey, "no_such_"+byKey))
			continue
		}
		for _, action := range ch.Actions {
			alone := s.with(empty, sel.Dimension, action)
			if byKey != "" {
				out = append(out, lighter(s.with(alone, byKey, ch.Key)))
			}
			switch {
			case s.cat.FreeActions[action]:
			case len(s.cat.ChannelsRunning(action)) == 1:
				out = append(out, alone)
			default:
				s.untagged = append(s.untagged, alone)
			}
		}
		s.untagged = append(s.untagged, s.with(empty, sel.Dimension, "NoSuchAction"))
	}
	return out
}

func (s *shapes) with(sh shape, dimension, value string) shape {
	if i := s.cat.DimensionIndex(dimension); i >= 0 {
		sh.dims = slices.Clone(sh.dims)
		sh.dims[i] = value
	}
	return sh
}

func (s *shapes) withAll(sh shape, values map[string]string) shape {
	for name, v := range values { // each sets another dimension
		sh = s.with(sh, name, v)
	}
	return sh
}

func lighter(sh shape) shape {
	sh.weight = 1
	return sh
}

func (s *shapes) ofFreeActions() {
	empty := shape{dims: make([]string, len(s.cat.Dimensions)), weight: 1}
	var actions []string
	for action := range s.cat.FreeActions { // sorted below
		actions = append(actions, action)
	}
	slices.Sort(actions)
	for _, sel := range s.cat.Selectors {
		if sel.By != catalog.ByAction {
			continue
		}
		for _, action := range actions {
			s.free = append(s.free, s.with(empty, sel.Dimension, action))
		}
	}
}

// findChanges lists the days on which some channel's tags change, the first one before all others.
func (s *shapes) findChanges() {
	zone := s.cat.Settings.Zone
	s.changes = []billing.Day{billing.DayOf(s.cat.Settings.Earliest, zone)}
	for _, ch := range s.cat.Channels {
		for _, v := range ch.Variants {
			for _, r := range v.Tags {
				if r.From != nil {
					s.changes = append(s.changes, *r.From)
				}
			}
		}
	}
	slices.Sort(s.changes)
	s.changes = slices.Compact(s.changes)
}

// epoch is the last change that is not after the day.
func (s *shapes) epoch(d billing.Day) int {
	i, exact := slices.BinarySearch(s.changes, d)
	if exact {
		return i
	}
	return max(0, i-1)
}

func (s *shapes) judge(c *catalog.Cohort) {
	for _, day := range s.changes {
		rulings := make([]ruling, len(s.all))
		var valid []int
		for i := range s.all {
			j := s.judgement(c, &s.all[i], day)
			rulings[i] = ruling{ok: j.NoTag == "" && !j.FreeAction, table: s.cat.Codes[j.CodeTable],
				postpaid: j.Postpaid, prepaid: j.Prepaid, legacy: j.Legacy}
			if rulings[i].ok {
				valid = append(valid, i)
			}
		}
		s.rulings[c.Name] = append(s.rulings[c.Name], rulings)
		s.valid[c.Name] = append(s.valid[c.Name], valid)
	}
}

func (s *shapes) judgement(c *catalog.Cohort, sh *shape, day billing.Day) tagging.Judgement {
	return tagging.Judge(s.cat, c, &billing.CallRecord{Dims: sh.dims,
		OccurredAt: day.Start(s.cat.Settings.Zone)})
}

// keepUntagged drops what has a tag for some cohort at some time, and repetitions.
func (s *shapes) keepUntagged() {
	seen := map[string]bool{}
	s.untagged = slices.DeleteFunc(s.untagged, func(sh shape) bool {
		key := fmt.Sprintf("%q", sh.dims)
		if seen[key] {
			return true
		}
		seen[key] = true
		for i := range s.cat.Cohorts {
			for _, day := range s.changes {
				j := s.judgement(&s.cat.Cohorts[i], &sh, day)
				if j.NoTag == "" || j.FreeAction {
					return true
				}
			}
		}
		return false
	})
}

// RegimeSpans are the days around every date on which a catalogue's cohorts, tags, prices or codes
// change, so that a short stream sees every rule: margin days before and after each, up to last.
func RegimeSpans(cat *catalog.Catalog, margin int, last billing.Day) []Span {
	zone := cat.Settings.Zone
	first := billing.DayOf(cat.Settings.Earliest, zone) + 30
	dates := []billing.Day{}
	add := func(d *billing.Day) {
		if d != nil && *d >= first && *d < last {
			dates = append(dates, *d)
		}
	}
	for i := range cat.Cohorts[1:] {
		day := billing.DayOf(cat.Cohorts[i+1].OpenedFrom, zone)
		add(&day)
	}
	for _, ch := range cat.Channels {
		for _, v := range ch.Variants {
			for _, r := range v.Tags {
				add(r.From)
			}
		}
	}
	for _, p := range cat.Prices {
		add(p.From)
	}
	for _, t := range cat.Codes { // sorted below
		for _, v := range t.Versions {
			add(v.From)
		}
	}
	slices.Sort(dates)
	var spans []Span
	for _, d := range dates {
		s := Span{d - billing.Day(margin), min(d+billing.Day(margin), last)}
		if n := len(spans); n > 0 && s.First <= spans[n-1].End+1 {
			spans[n-1].End = max(spans[n-1].End, s.End)
			continue
		}
		spans = append(spans, s)
	}
	return spans
}

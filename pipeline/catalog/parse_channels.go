package catalog

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
)

func (l *loader) channels(n *yaml.Node) {
	names := map[string]string{} // key or alias -> channel
	entries := l.Entries(n, "channels")
	for _, e := range entries {
		l.checkName(e.At, e.Key)
		names[e.Key] = e.Key
	}
	var places [][]*yaml.Node // of the channels that replace, per channel
	for _, e := range entries {
		ch, nodes := l.channel(e, names)
		places = append(places, nodes)
		l.cat.Channels = append(l.cat.Channels, ch)
	}
	for i, ch := range l.cat.Channels {
		for k, node := range places[i] {
			l.checkReplacement(node, ch, ch.Replaced[k].Channel)
		}
	}
}

// checkReplacement checks that another channel can stand in for every variant of this one.
func (l *loader) checkReplacement(n *yaml.Node, ch *Channel, by string) {
	at := slices.IndexFunc(l.cat.Channels, func(c *Channel) bool { return c.Key == by })
	if by == "" {
		return // reported where it was read
	}
	if at < 0 {
		l.Fault(n, fmt.Sprintf("undefined channel %q", by), "use the key of a channel")
		return
	}
	target := l.cat.Channels[at]
	for _, v := range ch.Variants {
		if target.Decides != "" && target.Variant(v.Value) == nil {
			l.Fault(n, fmt.Sprintf("%s has no variant %q, which %s has", by, v.Value, ch.Key),
				"add the variant there, or name this channel's own")
		}
	}
}

// channel reads one channel and gives the places that name the channels of Replaced; those can be
// checked only when all channels are read.
func (l *loader) channel(e Entry, names map[string]string) (*Channel, []*yaml.Node) {
	f := l.Fields(e.Value, "channel "+e.Key, "doc", "aliases", "actions", "decides", "variants",
		"tags", "replaced", "codes", "note")
	ch := &Channel{Key: e.Key, decidesAt: -1, Actions: l.Texts(f.Get("actions"), "actions")}
	if f.Has("doc") {
		ch.Doc = l.Text(f.Get("doc"))
	}
	if f.Has("note") {
		ch.Note = l.Text(f.Get("note"))
	}
	for _, item := range l.Items(f.Get("aliases"), "aliases") {
		l.checkName(item.At, item.Key)
		if other, ok := names[item.Key]; ok {
			l.Fault(item.At, fmt.Sprintf("the alias %q belongs to channel %s", item.Key, other),
				"give it to one channel")
			continue
		}
		names[item.Key] = e.Key
		ch.Aliases = append(ch.Aliases, item.Key)
	}
	l.variants(f, ch)
	targets := l.replacements(f.Get("replaced"), ch)
	l.codeChoices(f.Need("codes"), ch)
	return ch, targets
}

func (l *loader) variants(f Fields, ch *Channel) {
	if f.Has("decides") {
		ch.Decides = l.dimension(f.Get("decides"))
		ch.decidesAt = l.dimensionAt(ch.Decides)
	}
	switch {
	case f.Has("tags") && (f.Has("variants") || f.Has("decides")):
		l.Fault(f.Get("tags"), "both tags and variants", "keep one; decides belongs to variants")
	case f.Has("tags"):
		ch.Variants = []Variant{{Tags: l.rules(f.Get("tags"), "channel "+ch.Key)}}
	default:
		n := f.Need("variants")
		for _, e := range l.Entries(n, "variants") {
			l.dimensionValue(e.At, ch.Decides, e.Key)
			what := "channel " + ch.Key + ", " + e.Key
			ch.Variants = append(ch.Variants, Variant{Value: e.Key, Tags: l.rules(e.Value, what)})
		}
		if n != nil && n.Kind == yaml.MappingNode && len(ch.Variants) == 0 {
			l.Fault(n, "no variant", "write one, or use `tags:`")
		} else if n != nil && (ch.Decides != "") != (len(ch.Variants) > 1) {
			l.Fault(n, "several variants need a dimension that decides, and one needs none",
				"add `decides:` or remove it")
		}
	}
}

// rules reads the tags of one variant: for each cohort a rule since ever, then dated ones.
func (l *loader) rules(n *yaml.Node, what string) []TagRule {
	var rules []TagRule
	var nodes []*yaml.Node
	for _, item := range l.List(n, "tags of "+what) {
		rules = append(rules, l.rule(item))
		nodes = append(nodes, item)
	}
	if n == nil || n.Kind != yaml.SequenceNode {
		return rules
	}
	for _, cohort := range l.cohorts {
		l.cohortRules(n, what, cohort, rules, nodes)
	}
	return rules
}

func (l *loader) rule(n *yaml.Node) TagRule {
	f := l.Fields(n, "a tag rule",
		"cohorts", "from", "tag", "postpaid", "prepaid", "legacy", "note")
	rule := TagRule{From: l.Day(f.Get("from")), Legacy: l.ruleTag(f.Get("legacy"))}
	switch {
	case f.Has("tag") && (f.Has("postpaid") || f.Has("prepaid")):
		l.Fault(f.Get("tag"), "both tag and postpaid/prepaid", "tag stands for both; keep one")
	case f.Has("tag"):
		rule.Postpaid = l.ruleTag(f.Get("tag"))
		rule.Prepaid = rule.Postpaid
	default:
		rule.Postpaid, rule.Prepaid = l.ruleTag(f.Need("postpaid")), l.ruleTag(f.Need("prepaid"))
	}
	if rule.Postpaid == "" && (rule.Prepaid != "" || rule.Legacy != "") {
		l.Fault(n, "a prepaid tag without a postpaid one", "say what is billed without a package")
	}
	cohorts := f.Need("cohorts")
	if cohorts != nil && cohorts.Kind == yaml.ScalarNode && cohorts.Value == "all" {
		rule.Cohorts = l.cohorts
		return rule
	}
	for _, item := range l.Items(cohorts, "cohorts") {
		rule.Cohorts = append(rule.Cohorts, l.cohort(item.At, item.Key))
	}
	return rule
}

func (l *loader) ruleTag(n *yaml.Node) TagID {
	if n != nil && n.Kind == yaml.ScalarNode && n.Value == noTag {
		return ""
	}
	return l.tagID(n)
}

// cohortRules checks that one cohort always has exactly one rule, and that what the rule says can
// be priced as long as it holds.
func (l *loader) cohortRules(list *yaml.Node, what, cohort string, rules []TagRule,
	nodes []*yaml.Node,
) {
	var mine []int
	for i := range rules {
		if slices.Contains(rules[i].Cohorts, cohort) {
			mine = append(mine, i)
		}
	}
	if len(mine) == 0 {
		l.Fault(list, fmt.Sprintf("%s says nothing about cohort %s", what, cohort),
			"add a rule; `tag: none` where it has no tag")
		return
	}
	if rules[mine[0]].From != nil {
		l.Fault(nodes[mine[0]], fmt.Sprintf("cohort %s has no rule before %s", cohort,
			rules[mine[0]].From), "begin with a rule without `from`; `tag: none` if it has no tag")
	}
	for k, i := range mine {
		end := lastDay
		if k+1 < len(mine) {
			next := rules[mine[k+1]].From
			if next == nil || rules[i].From != nil && *next <= *rules[i].From {
				l.Fault(nodes[mine[k+1]], fmt.Sprintf("the dates of cohort %s do not rise", cohort),
					"give each later rule a later `from`")
				return
			}
			end = *next - 1
		}
		l.usable(nodes[i], cohort, rules[i], end)
	}
}

// usable checks that the tags of a rule may be used, and the postpaid one has a price, from the
// rule's first day to its last.
func (l *loader) usable(n *yaml.Node, cohort string, rule TagRule, last billing.Day) {
	first := max(dayOr(rule.From, firstDay), l.earliestDay())
	for _, id := range []TagID{rule.Postpaid, rule.Prepaid} {
		t := l.cat.Tags[id]
		if t != nil && (first < dayOr(t.From, firstDay) || last > dayOr(t.Until, lastDay)) {
			l.Fault(n, fmt.Sprintf("tag %s is given on days on which it is not in use", id),
				"match the rule's dates with the tag's from and until")
			return
		}
	}
	if l.cat.Tags[rule.Postpaid] == nil {
		return
	}
	if day, ok := l.priced(cohort, rule.Postpaid, first, last); !ok {
		l.Fault(n, fmt.Sprintf("%s has no price for cohort %s on %s", rule.Postpaid, cohort, day),
			"add a price list, also of a fallback cohort, for that day")
	}
}

func (l *loader) earliestDay() billing.Day {
	if l.cat.Settings.Zone == nil {
		return firstDay
	}
	return billing.DayOf(l.cat.Settings.Earliest, l.cat.Settings.Zone)
}

// priced tells whether every day has a price list, and the first that has none.
func (l *loader) priced(cohort string, tag TagID, first, last billing.Day) (billing.Day, bool) {
	cohorts := append([]string{cohort}, l.cat.Settings.PriceFallback...)
	day := first
	for {
		end, found := day, false
		for _, p := range l.cat.Prices {
			if p.Tag == tag && slices.Contains(cohorts, p.Cohort) &&
				dayOr(p.From, firstDay) <= day && day <= dayOr(p.Until, lastDay) {
				end, found = max(end, dayOr(p.Until, lastDay)), true
			}
		}
		if !found {
			return day, false
		}
		if end >= last {
			return day, true
		}
		day = end + 1
	}
}

func (l *loader) replacements(n *yaml.Node, ch *Channel) []*yaml.Node {
	var targets []*yaml.Node
	for _, item := range l.List(n, "replaced") {
		f := l.Fields(item, "a replacement", "when", "by", "note")
		conditions := l.when(f.Need("when"))
		if len(conditions) > 1 {
			l.Fault(f.Get("when"), "several conditions of a replacement", "keep one")
		}
		for _, c := range conditions {
			ch.Replaced = append(ch.Replaced, Replacement{
				Dimension: c.dimension, Value: c.value, Channel: l.Text(f.Need("by")),
				at: l.dimensionAt(c.dimension),
			})
			targets = append(targets, f.Get("by"))
		}
	}
	return targets
}

type whenPair struct{ dimension, value string }

// when reads conditions such as {edition: plus} or {intention: true}.
func (l *loader) when(n *yaml.Node) []whenPair {
	var pairs []whenPair
	for _, e := range l.Entries(n, "when") {
		if l.dimensionAt(e.Key) < 0 {
			l.Fault(e.At, fmt.Sprintf("undefined dimension %q", e.Key),
				"add it under `dimensions:`")
		}
		if value := l.Word(e.Value); value != "" {
			l.dimensionValue(e.Value, e.Key, value)
			pairs = append(pairs, whenPair{e.Key, value})
		}
	}
	if n != nil && n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		l.Fault(n, "an empty condition", "write {dimension: value}")
	}
	return pairs
}

func (l *loader) codeChoices(n *yaml.Node, ch *Channel) {
	if n != nil && n.Kind == yaml.ScalarNode {
		ch.Codes = []CodeChoice{{Table: l.codeTableName(n)}}
		return
	}
	items := l.List(n, "codes")
	for i, item := range items {
		f := l.Fields(item, "a code choice", "when", "table", "note")
		c := CodeChoice{Table: l.codeTableName(f.Need("table"))}
		last := i == len(items)-1
		if f.Has("when") {
			c.When = map[string]string{}
			for _, pair := range l.when(f.Get("when")) {
				c.When[pair.dimension] = pair.value
			}
		}
		if last == f.Has("when") {
			l.Fault(item, "the last choice, and only that, has no condition",
				"end the list with the table for all other calls")
		}
		ch.Codes = append(ch.Codes, c)
	}
	if n != nil && n.Kind == yaml.SequenceNode && len(items) == 0 {
		l.Fault(n, "no code table", "name one of "+strings.Join(sortedKeys(l.cat.Codes), ", "))
	}
}

func (l *loader) codeTableName(n *yaml.Node) string {
	s := l.Text(n)
	if l.cat.Codes[s] == nil && s != "" {
		l.Fault(n, fmt.Sprintf("undefined code table %q", s), "add it under `code_tables:`")
	}
	return s
}

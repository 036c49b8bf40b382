package props

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// Shrink removes records and simplifies those that are left, as long as the world still fails.
func Shrink(w World, fails func(World) bool) World {
	for changed := true; changed; {
		changed = false
		for size := max(1, len(w.entries)/2); size > 0; size /= 2 {
			for at := 0; at+size <= len(w.entries); {
				less := w
				less.entries = slices.Delete(slices.Clone(w.entries), at, at+size)
				if fails(less) {
					w, changed = less, true
				} else {
					at += size
				}
			}
		}
		for i := range w.entries {
			for _, simpler := range simplifications(w.entries[i]) {
				try := w.clone()
				try.entries[i] = simpler
				if fails(try) {
					w, changed = try, true
					break
				}
			}
		}
	}
	return w
}

// simplifications are entries that say less: each one removes something and adds nothing, so that
// shrinking ends.
func simplifications(e entry) []entry {
	var list []entry
	own := cmp.Or(e.text("occurred_at"), e.text("effective_at"))
	if at, err := billing.ParseInstant(own); err == nil && at != e.arrives {
		simpler := e
		simpler.arrives = at
		list = append(list, simpler)
	}
	for _, name := range []string{"edition", "intention", "to"} {
		if _, there := e.fields[name]; there {
			simpler := entry{e.call, maps.Clone(e.fields), e.arrives}
			delete(simpler.fields, name)
			list = append(list, simpler)
		}
	}
	if tiers, _ := e.fields["tiers"].([]any); len(tiers) > 1 {
		simpler := entry{e.call, maps.Clone(e.fields), e.arrives}
		simpler.fields["tiers"] = tiers[:len(tiers)-1]
		list = append(list, simpler)
	}
	return list
}

// Story tells a world in the words of pipeline/stories.
func Story(cat *catalog.Catalog, w World) string {
	teller := teller{cat: cat}
	list := slices.Clone(w.entries)
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(a.arrives, b.arrives) })
	fmt.Fprintf(&teller, "# Tier bounds are 3, 10, 30 and 60 instead of 1000 to 200000.\n")
	for i := range list {
		teller.tell(&list[i])
	}
	fmt.Fprintf(&teller, "close %s\nshow bills\nshow status\nshow quarantine\n",
		teller.moment(w.Until))
	return teller.String()
}

type teller struct {
	strings.Builder
	cat *catalog.Catalog
}

func (s *teller) moment(at billing.Instant) string {
	text := strings.TrimSuffix(at.In(s.cat.Settings.Zone), "+08:00")
	return strings.TrimSuffix(text, "T00:00:00")
}

func (s *teller) time(e *entry, name string) string {
	at, err := billing.ParseInstant(e.text(name))
	if err != nil {
		return "-"
	}
	return s.moment(at)
}

// tell writes one entry as a line.
func (s *teller) tell(e *entry) {
	at, id, account := s.time(e, "effective_at"), e.text("event_id"), e.text("account_id")
	if e.call {
		s.tellCall(e)
		return
	}
	line := ""
	switch e.text("type") {
	case "account.opened":
		line = fmt.Sprintf("open %s %s at=%s", account, s.time(e, "opened_at"), at)
	case "sub_account.added":
		line = fmt.Sprintf("sub %s %s %s", account, e.text("sub_account_id"), at)
	case "balance.topped_up":
		line = fmt.Sprintf("pay %s %s %s", account, e.text("amount"), at)
	case "balance.adjusted":
		line = fmt.Sprintf("adjust %s %s %s", account, e.text("amount"), at)
	case "package.delivered":
		if e.text("delivered_at") == e.text("effective_at") {
			verb := map[string]string{"free": "gift", "paid": "buy"}[e.text("kind")]
			line = fmt.Sprintf("%s %s %s %s %v %s %s", verb, account, e.text("package_id"),
				e.text("tag"), e.fields["quota"], e.text("price"), at)
		}
	case "package.refunded":
		line = fmt.Sprintf("refund %s %s %s", account, e.text("package_id"), at)
	case "postpaid.disabled":
		line = fmt.Sprintf("postpaid %s off %s", account, at)
	case "postpaid.enabled":
		line = fmt.Sprintf("postpaid %s on %s", account, at)
	case "account.closed":
		line = fmt.Sprintf("end %s %s", account, at)
	case "price.agreed":
		line = fmt.Sprintf("agree %s %s %s %s %s %s%s", account, e.text("tag"), e.text("mode"),
			e.text("from"), cmp.Or(e.text("to"), "-"), at, tierWords(e))
	}
	if line == "" || id == "" || at == "-" {
		fmt.Fprintf(s, "raw event %s '%s'\n", s.moment(e.arrives), e.bytes())
		return
	}
	fmt.Fprintf(s, "%s event=%s", line, id)
	if arrives := s.moment(e.arrives); arrives != at {
		fmt.Fprintf(s, " arrives=%s", arrives)
	}
	fmt.Fprintln(s)
}

func (s *teller) tellCall(e *entry) {
	at := s.time(e, "occurred_at")
	if at == "-" || e.text("result_code") == "" {
		fmt.Fprintf(s, "raw call %s '%s'\n", s.moment(e.arrives), e.bytes())
		return
	}
	fmt.Fprintf(s, "call %s x1 %s same=%s", e.text("account_id"), at, e.text("call_id"))
	for _, name := range []string{"channel", "action", "compare_source", "intention", "edition"} {
		if value, there := e.fields[name]; there {
			fmt.Fprintf(s, " %s=%v", name, value)
		}
	}
	if code := e.text("result_code"); code != "0" {
		fmt.Fprintf(s, " code=%s", code)
	}
	if arrives := s.moment(e.arrives); arrives != at {
		fmt.Fprintf(s, " arrives=%s", arrives)
	}
	fmt.Fprintln(s)
}

func tierWords(e *entry) string {
	text := ""
	tiers, _ := e.fields["tiers"].([]any)
	for _, t := range tiers {
		tier := t.(map[string]any)
		text += fmt.Sprintf(" %v:%v", tier["from_quantity"], tier["unit_price"])
	}
	return text
}

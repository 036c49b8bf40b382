package simulation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tollstream/pipeline/billing"
)

// checkTopics wants the output topics to say what is stored and nothing else, once or several times
// in the same words, and in the order of effects that settle promises.
func (d *deployment) checkTopics() string {
	bills, text := d.said(billsTopic, "bill_id")
	if text != "" {
		return text
	}
	want := map[string]string{}
	for id, row := range d.store.bills { // a copy
		want[id] = row.json
	}
	if text := sameTexts("bills on the topic", bills, want); text != "" {
		return text
	}
	statuses, text := d.said(statusTopic, "event_id")
	if text != "" {
		return text
	}
	return cmp.Or(d.checkFinals(statuses), d.checkProvisional(statuses),
		d.checkOrder(bills, statuses), d.checkQuarantineTopic())
}

// says is what a topic says under an id, and the turn in which it said so first.
type says struct {
	text   string
	fields map[string]any
	turn   int
}

// said gives what a topic says by a key of its records. Repeats must be equal.
func (d *deployment) said(topic, key string) (map[string]says, string) {
	said := map[string]says{}
	for _, r := range d.log.Published(topic) {
		var fields map[string]any
		if err := json.Unmarshal(r.Value, &fields); err != nil {
			return nil, err.Error()
		}
		id := fmt.Sprint(fields[key])
		first, there := said[id]
		if !there {
			said[id] = says{string(r.Value), fields, r.Turn}
		} else if first.text != string(r.Value) {
			return nil, fmt.Sprintf("%s contradicts itself\nfirst: %s\nthen: %s", topic, first.text,
				r.Value)
		}
	}
	return said, ""
}

func sameTexts(what string, have map[string]says, want map[string]string) string {
	var h, w []string
	for _, id := range slices.Sorted(maps.Keys(have)) {
		h = append(h, have[id].text)
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		w = append(w, want[id])
	}
	return differ(what, h, "stored", w)
}

// checkFinals wants the changes that closings fixed on their topic.
func (d *deployment) checkFinals(statuses map[string]says) string {
	finals, want := map[string]says{}, map[string]string{}
	for id, s := range statuses { // a copy
		if s.fields["provisional"] == nil {
			finals[id] = s
		}
	}
	for id, row := range d.store.status { // a copy
		want[id] = statusText(&row.StatusChange)
	}
	return sameTexts("final changes on the topic", finals, want)
}

// checkProvisional wants every change that was said between closings, for an instant that closings
// have fixed since, to be either what they fixed or corrected.
func (d *deployment) checkProvisional(statuses map[string]says) string {
	key := func(s says) string {
		return fmt.Sprint(s.fields["account_id"], s.fields["status"], s.fields["effective_at"])
	}
	right, corrected := map[string]bool{}, map[any]bool{}
	for _, s := range statuses { // two sets
		corrected[s.fields["corrects"]] = true
		if s.fields["provisional"] == nil {
			right[key(s)] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(statuses)) {
		s := statuses[id]
		at, err := billing.ParseInstant(fmt.Sprint(s.fields["effective_at"]))
		if err != nil {
			return err.Error()
		}
		withdrawal := strings.HasPrefix(fmt.Sprint(s.fields["cause"]), "withdrawn: ")
		if at < d.until && !right[key(s)] && !corrected[id] && !withdrawal {
			return "said, not so, and not corrected: " + s.text
		}
	}
	return ""
}

// checkOrder wants the bills and changes of a closing to be published after its books were counted,
// and all of them before it is marked as done.
func (d *deployment) checkOrder(bills, statuses map[string]says) string {
	check := func(what string, at billing.Instant, said says) string {
		counted, done := d.store.counted[at], d.store.settlements[at]
		switch {
		case counted == 0 || said.turn < counted:
			return what + " was published before the books of its closing were counted"
		case done != nil && done.books != nil && done.turn < said.turn:
			return what + " was published after its closing was marked as done"
		}
		return ""
	}
	for _, id := range slices.Sorted(maps.Keys(d.store.bills)) {
		if text := check("bill "+id, d.store.bills[id].closedAt, bills[id]); text != "" {
			return text
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.store.status)) {
		if text := check("change "+id, d.store.status[id].closedAt, statuses[id]); text != "" {
			return text
		}
	}
	return ""
}

// checkQuarantineTopic wants every record of the quarantine topic to be the one that stands at the
// place that its headers name.
func (d *deployment) checkQuarantineTopic() string {
	byPlace := map[string][]byte{}
	for _, r := range d.record() {
		byPlace[r.Arrival.Place()] = r.Value
	}
	for _, r := range d.log.Published(quarantineTopic) {
		at := map[string]string{}
		for _, h := range r.Headers {
			at[h.Key] = string(h.Value)
		}
		place := at["topic"] + "/" + at["partition"] + "/" + at["offset"]
		if value, there := byPlace[place]; !there || !bytes.Equal(value, r.Value) {
			return fmt.Sprintf("quarantine has %s, at %s stands %s", r.Value, place, value)
		}
	}
	return ""
}

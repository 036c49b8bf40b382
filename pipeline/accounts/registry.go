// Package accounts knows who the accounts are: which main account an id belongs to (rule B2), and
// which account events are accepted, repeated, waiting or refused (B14, B25 and the clarification
// on unknown accounts). It owns no money and no usage.
//
// A Registry is a pure fold over account events in arrival order: the same events give the same
// registry, whatever happened in between. An event of an account that is not open yet waits, and
// is decided in its own turn when the account opens.
package accounts

import (
	"fmt"
	"maps"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// Verdict says what became of an account event.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted"
	Repeated Verdict = "duplicate"       // its event_id, or what it says, is known already
	Waiting  Verdict = "unknown_account" // until the account opens
	Refused  Verdict = "refused"
)

// Decision is the verdict on one event. Released marks an event that waited until now.
type Decision struct {
	Event    billing.AccountEvent
	Verdict  Verdict
	Refusal  *billing.Refusal
	Released bool
}

// Registry is what account events have said so far about who is who.
type Registry struct {
	opened   map[string]billing.Instant // main account -> opened_at
	mains    map[string]string          // sub-account -> main account
	events   map[string]bool            // event ids that were accepted
	packages map[string]bool            // account/package ids that were delivered
	voided   map[ownCall]bool           // calls that their accounts took back
	closed   map[string]billing.Day     // main account -> first day on which it bills no calls
	waiting  map[string][]billing.AccountEvent
}

// ownCall is a call id in the mouth of an account: one account cannot speak of another's calls.
type ownCall struct{ main, callID string }

// New makes an empty registry.
func New() *Registry {
	return &Registry{
		opened: map[string]billing.Instant{}, mains: map[string]string{},
		events: map[string]bool{}, packages: map[string]bool{}, voided: map[ownCall]bool{},
		closed:  map[string]billing.Day{},
		waiting: map[string][]billing.AccountEvent{},
	}
}

// Clone copies the registry, so that events can be admitted ahead of the closings that decide.
func (r *Registry) Clone() *Registry {
	c := &Registry{
		opened: maps.Clone(r.opened), mains: maps.Clone(r.mains), events: maps.Clone(r.events),
		packages: maps.Clone(r.packages), voided: maps.Clone(r.voided),
		closed:  maps.Clone(r.closed),
		waiting: make(map[string][]billing.AccountEvent, len(r.waiting)),
	}
	for id, list := range r.waiting { // a copy has no order
		c.waiting[id] = slices.Clone(list)
	}
	return c
}

// Main resolves an id, of a main account or a sub-account, to its main account.
func (r *Registry) Main(id string) (string, bool) {
	if _, ok := r.opened[id]; ok {
		return id, true
	}
	main, ok := r.mains[id]
	return main, ok
}

// OpenedAt is when a main account opened the product; it decides the cohort (B3).
func (r *Registry) OpenedAt(main string) billing.Instant { return r.opened[main] }

// Voided tells whether a call id was taken back by its account (B27).
func (r *Registry) Voided(main, callID string) bool { return r.voided[ownCall{main, callID}] }

// BillsOn tells whether a main account bills calls of a day: account.closed ends that with the
// period in which its effective_at lies (B27). If not, the refusal says since when.
func (r *Registry) BillsOn(main string, day billing.Day) *billing.Refusal {
	from, closed := r.closed[main]
	if !closed || day < from {
		return nil
	}
	return &billing.Refusal{Reason: billing.AccountIsClosed,
		Detail: "account " + main + " bills no calls from " + from.String()}
}

// WaitingEvents lists the events of accounts that are not open, by account and arrival.
func (r *Registry) WaitingEvents() []billing.AccountEvent {
	var all []billing.AccountEvent
	for _, list := range r.waiting { // sorted below
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b billing.AccountEvent) int { return a.Arrival.Compare(b.Arrival) })
	return all
}

// Admit decides an event, and with an opening every event that waited for it. Events come in
// arrival order.
func (r *Registry) Admit(cat *catalog.Catalog, ev billing.AccountEvent) []Decision {
	first := r.decide(cat, ev)
	out := []Decision{first}
	if first.Verdict != Accepted {
		return out
	}
	switch ev.Type {
	case billing.AccountOpened:
		out = append(out, r.release(cat, ev.AccountID)...)
	case billing.SubAccountAdded:
		out = append(out, r.release(cat, ev.SubAccountID)...)
	}
	return out
}

// release decides the events that waited for an account, in their own arrival order.
func (r *Registry) release(cat *catalog.Catalog, id string) []Decision {
	list := r.waiting[id]
	delete(r.waiting, id)
	var out []Decision
	for _, ev := range list {
		for _, d := range r.Admit(cat, ev) {
			d.Released = true
			out = append(out, d)
		}
	}
	return out
}

func (r *Registry) decide(cat *catalog.Catalog, ev billing.AccountEvent) Decision {
	d := Decision{Event: ev, Verdict: Accepted}
	if r.events[ev.EventID] {
		d.Verdict = Repeated
		return d
	}
	if main, sub := r.mains[ev.AccountID]; sub {
		return d.refuse(billing.IsSubAccount, "%s is a sub-account of %s", ev.AccountID, main)
	}
	_, open := r.opened[ev.AccountID]
	if !open && ev.Type != billing.AccountOpened {
		r.waiting[ev.AccountID] = append(r.waiting[ev.AccountID], ev)
		d.Verdict = Waiting
		return d
	}
	d = r.judge(cat, d)
	if d.Verdict == Accepted {
		r.events[ev.EventID] = true
	}
	return d
}

// judge checks an event against what is known, and records what it says.
func (r *Registry) judge(cat *catalog.Catalog, d Decision) Decision {
	ev := &d.Event
	switch ev.Type {
	case billing.AccountOpened:
		return r.open(d)
	case billing.SubAccountAdded:
		return r.claim(d)
	case billing.PackageDelivered:
		if _, ok := cat.TagBySpelling(ev.TagName); !ok {
			return d.refuse(billing.UnknownTag, "tag %q", ev.TagName)
		}
		key := ev.AccountID + "/" + ev.PackageID
		if r.packages[key] {
			return d.refuse(billing.PackageIDTaken, "package %s", ev.PackageID)
		}
		r.packages[key] = true
	case billing.PriceAgreed, billing.CatalogCorrected:
		if ev.TagName == "" {
			break // every tag
		}
		if _, ok := cat.TagBySpelling(ev.TagName); !ok {
			return d.refuse(billing.UnknownTag, "tag %q", ev.TagName)
		}
	case billing.UsageVoided:
		for _, id := range ev.CallIDs {
			r.voided[ownCall{ev.AccountID, id}] = true
		}
	case billing.AccountClosed:
		r.close(cat, ev)
	}
	return d
}

func (r *Registry) open(d Decision) Decision {
	ev := &d.Event
	at, open := r.opened[ev.AccountID]
	switch {
	case open && at == ev.OpenedAt:
		d.Verdict = Repeated
	case open:
		return d.refuse(billing.OpenedTwice, "%s is open since %s", ev.AccountID, at)
	default:
		r.opened[ev.AccountID] = ev.OpenedAt
	}
	return d
}

// close notes the end of the period in which the account was closed; the earliest one counts.
func (r *Registry) close(cat *catalog.Catalog, ev *billing.AccountEvent) {
	cycle := cat.CohortOf(r.opened[ev.AccountID]).Cycle
	end := billing.PeriodOf(cycle, billing.DayOf(ev.EffectiveAt, cat.Settings.Zone)).End
	if from, closed := r.closed[ev.AccountID]; !closed || end < from {
		r.closed[ev.AccountID] = end
	}
}

// claim adds a sub-account. Whoever is accepted first keeps it; a main account is never one.
func (r *Registry) claim(d Decision) Decision {
	ev := &d.Event
	if _, isMain := r.opened[ev.SubAccountID]; isMain {
		return d.refuse(billing.SubAccountTaken, "%s is a main account", ev.SubAccountID)
	}
	main, claimed := r.mains[ev.SubAccountID]
	switch {
	case claimed && main == ev.AccountID:
		d.Verdict = Repeated
	case claimed:
		return d.refuse(billing.SubAccountTaken, "%s belongs to %s", ev.SubAccountID, main)
	default:
		r.mains[ev.SubAccountID] = ev.AccountID
	}
	return d
}

func (d Decision) refuse(why billing.Reason, format string, args ...any) Decision {
	d.Verdict = Refused
	d.Refusal = &billing.Refusal{Reason: why, Detail: fmt.Sprintf(format, args...)}
	return d
}

// Package accounts knows who the accounts are: which main account an id belongs to (rule B2), and
// which account events are accepted, repeated, waiting or refused (B14, B25 and the clarification
// on unknown accounts). It owns no money and no usage.
//
// A Registry is a pure fold over account events in arrival order: the same events give the same
// registry, whatever happened in between. An event of an account that is not open yet waits, and
// is decided in its own turn when the account opens.
package accounts

import (
	"crypto/sha256"
	"fmt"
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
	Event    *billing.AccountEvent
	Verdict  Verdict
	Refusal  *billing.Refusal
	Released bool
}

// Registry is what account events have said so far about who is who. It keeps texts of its own,
// save of events that wait: those of an event are parts of its whole record.
type Registry struct {
	before   *Registry                  // what it goes on from, or nil
	opened   map[string]billing.Instant // main account -> opened_at
	mains    map[string]string          // sub-account -> main account
	events   map[eventKey]struct{}      // events that were accepted
	packages map[string]bool            // account/package ids that were delivered
	voided   map[ownCall]bool           // calls that their accounts took back
	closed   map[string]billing.Day     // main account -> first day on which it bills no calls
	waiting  map[string][]billing.AccountEvent
	texts    billing.Keeper // of the keys and values
}

// ownCall is a call id in the mouth of an account: one account cannot speak of another's calls.
type ownCall struct{ main, callID string }

// eventKey stands for an event's id, of which there are more than of anything else here: half of
// its SHA-256.
type eventKey [16]byte

func keyOf(id string) eventKey {
	sum := sha256.Sum256([]byte(id))
	return eventKey(sum[:16])
}

// New makes an empty registry.
func New() *Registry {
	return &Registry{
		opened: map[string]billing.Instant{}, mains: map[string]string{},
		events: map[eventKey]struct{}{}, packages: map[string]bool{}, voided: map[ownCall]bool{},
		closed:  map[string]billing.Day{},
		waiting: map[string][]billing.AccountEvent{},
	}
}

// Ahead gives a registry that goes on from this one and leaves it as it is, so that events can be
// admitted ahead of the closings that decide. It takes the memory of what it learns alone.
func (r *Registry) Ahead() *Registry {
	a := New()
	a.before = r
	return a
}

// find looks for a key in one of the maps of a registry, and of those that it goes on from.
func find[K comparable, V any](r *Registry, in func(*Registry) map[K]V, key K) (v V, known bool) {
	for ; r != nil && !known; r = r.before {
		v, known = in(r)[key]
	}
	return v, known
}

func opened(r *Registry) map[string]billing.Instant         { return r.opened }
func mains(r *Registry) map[string]string                   { return r.mains }
func events(r *Registry) map[eventKey]struct{}              { return r.events }
func packages(r *Registry) map[string]bool                  { return r.packages }
func voided(r *Registry) map[ownCall]bool                   { return r.voided }
func closed(r *Registry) map[string]billing.Day             { return r.closed }
func waiting(r *Registry) map[string][]billing.AccountEvent { return r.waiting }

// Main resolves an id, of a main account or a sub-account, to its main account.
func (r *Registry) Main(id string) (string, bool) {
	if _, ok := find(r, opened, id); ok {
		return id, true
	}
	return find(r, mains, id)
}

// OpenedAt is when a main account opened the product; it decides the cohort (B3).
func (r *Registry) OpenedAt(main string) billing.Instant {
	at, _ := find(r, opened, main)
	return at
}

// Voided tells whether a call id was taken back by its account (B27).
func (r *Registry) Voided(main, callID string) bool {
	_, is := find(r, voided, ownCall{main, callID})
	return is
}

// BillsOn tells whether a main account bills calls of a day: account.closed ends that with the
// period in which its effective_at lies (B27). If not, the refusal says since when.
func (r *Registry) BillsOn(main string, day billing.Day) *billing.Refusal {
	from, is := find(r, closed, main)
	if !is || day < from {
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
// arrival order, and are not changed afterwards.
func (r *Registry) Admit(cat *catalog.Catalog, ev *billing.AccountEvent) []Decision {
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
	list, _ := find(r, waiting, id)
	if len(list) == 0 {
		return nil
	}
	if delete(r.waiting, id); r.before != nil {
		r.waiting[id] = nil // whatever the one before has
	}
	var out []Decision
	for i := range list {
		for _, d := range r.Admit(cat, &list[i]) {
			d.Released = true
			out = append(out, d)
		}
	}
	return out
}

func (r *Registry) decide(cat *catalog.Catalog, ev *billing.AccountEvent) Decision {
	d := Decision{Event: ev, Verdict: Accepted}
	key := keyOf(ev.EventID)
	if _, known := find(r, events, key); known {
		d.Verdict = Repeated
		return d
	}
	if main, sub := find(r, mains, ev.AccountID); sub {
		return d.refuse(billing.IsSubAccount, "%s is a sub-account of %s", ev.AccountID, main)
	}
	_, open := find(r, opened, ev.AccountID)
	if !open && ev.Type != billing.AccountOpened {
		r.wait(ev)
		d.Verdict = Waiting
		return d
	}
	d = r.judge(cat, d)
	if d.Verdict == Accepted {
		r.events[key] = struct{}{}
	}
	return d
}

func (r *Registry) wait(ev *billing.AccountEvent) {
	list, own := r.waiting[ev.AccountID]
	if !own {
		list, _ = find(r, waiting, ev.AccountID)
		list = slices.Clone(list)
	}
	r.waiting[ev.AccountID] = append(list, *ev)
}

// judge checks an event against what is known, and records what it says.
func (r *Registry) judge(cat *catalog.Catalog, d Decision) Decision {
	ev := d.Event
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
		if _, taken := find(r, packages, key); taken {
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
			r.voided[ownCall{r.texts.Keep(ev.AccountID), r.texts.Keep(id)}] = true
		}
	case billing.AccountClosed:
		r.close(cat, ev)
	}
	return d
}

func (r *Registry) open(d Decision) Decision {
	ev := d.Event
	at, open := find(r, opened, ev.AccountID)
	switch {
	case open && at == ev.OpenedAt:
		d.Verdict = Repeated
	case open:
		return d.refuse(billing.OpenedTwice, "%s is open since %s", ev.AccountID, at)
	default:
		r.opened[r.texts.Keep(ev.AccountID)] = ev.OpenedAt
	}
	return d
}

// close notes the end of the period in which the account was closed; the earliest one counts.
func (r *Registry) close(cat *catalog.Catalog, ev *billing.AccountEvent) {
	cycle := cat.CohortOf(r.OpenedAt(ev.AccountID)).Cycle
	end := billing.PeriodOf(cycle, billing.DayOf(ev.EffectiveAt, cat.Settings.Zone)).End
	if from, is := find(r, closed, ev.AccountID); !is || end < from {
		r.closed[r.texts.Keep(ev.AccountID)] = end
	}
}

// claim adds a sub-account. Whoever is accepted first keeps it; a main account is never one.
func (r *Registry) claim(d Decision) Decision {
	ev := d.Event
	if _, isMain := find(r, opened, ev.SubAccountID); isMain {
		return d.refuse(billing.SubAccountTaken, "%s is a main account", ev.SubAccountID)
	}
	main, claimed := find(r, mains, ev.SubAccountID)
	switch {
	case claimed && main == ev.AccountID:
		d.Verdict = Repeated
	case claimed:
		return d.refuse(billing.SubAccountTaken, "%s belongs to %s", ev.SubAccountID, main)
	default:
		r.mains[r.texts.Keep(ev.SubAccountID)] = r.texts.Keep(ev.AccountID)
	}
	return d
}

func (d Decision) refuse(why billing.Reason, format string, args ...any) Decision {
	d.Verdict = Refused
	d.Refusal = &billing.Refusal{Reason: why, Detail: fmt.Sprintf(format, args...)}
	return d
}

package naive

import (
	"cmp"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// account is what the events below a barrier say about a main account.
type account struct {
	id     string
	cohort string
	cycle  billing.Cycle
	events []billing.AccountEvent // accepted, in arrival order
}

// who is who is who, by the events below a barrier.
type who struct {
	accounts []*account        // by id
	mains    map[string]string // sub-account -> main account
	refused  map[billing.Arrival]billing.Reason
}

func (w *who) account(id string) *account {
	for _, a := range w.accounts {
		if a.id == id {
			return a
		}
	}
	return nil
}

// resolve finds the main account of an id, nil while it is unknown (B2).
func (w *who) resolve(id string) *account {
	if main, sub := w.mains[id]; sub {
		return w.account(main)
	}
	return w.account(id)
}

// whoIsWho reads all events below a barrier in arrival order. Events of accounts that are not open
// yet are put aside; whenever an id becomes known, those put aside for it have their turn first.
func (b *biller) whoIsWho(below func(billing.Instant) bool) *who {
	w := &who{mains: map[string]string{}, refused: map[billing.Arrival]billing.Reason{}}
	seen := map[string]bool{}
	var aside []billing.AccountEvent
	var read func(ev billing.AccountEvent)
	read = func(ev billing.AccountEvent) {
		delete(w.refused, ev.Arrival)
		if seen[ev.EventID] {
			return
		}
		if _, sub := w.mains[ev.AccountID]; sub {
			w.refused[ev.Arrival] = billing.IsSubAccount
			return
		}
		if w.account(ev.AccountID) == nil && ev.Type != billing.AccountOpened {
			w.refused[ev.Arrival] = billing.UnknownAccount
			aside = append(aside, ev)
			return
		}
		known, reason := b.accept(w, &ev)
		if reason != "" {
			w.refused[ev.Arrival] = reason
			return
		}
		if !known {
			return
		}
		seen[ev.EventID] = true
		became := ""
		switch ev.Type {
		case billing.AccountOpened:
			became = ev.AccountID
		case billing.SubAccountAdded:
			became = ev.SubAccountID
		default:
			return
		}
		forIt := func(old billing.AccountEvent) bool { return old.AccountID == became }
		for i := slices.IndexFunc(aside, forIt); i >= 0; i = slices.IndexFunc(aside, forIt) {
			old := aside[i]
			aside = slices.Delete(aside, i, i+1)
			read(old)
		}
	}
	for _, ev := range b.events {
		if below(ev.Arrival.Appended) {
			read(ev)
		}
	}
	return w
}

// accept decides an event of a known account or an opening. It says whether the event is new, or
// why it is refused; an event that is neither says again what is known.
func (b *biller) accept(w *who, ev *billing.AccountEvent) (bool, billing.Reason) {
	a := w.account(ev.AccountID)
	switch ev.Type {
	case billing.AccountOpened:
		if a == nil {
			b.open(w, ev)
			return true, ""
		}
		if a.events[0].OpenedAt != ev.OpenedAt {
			return false, billing.OpenedTwice
		}
		return false, ""
	case billing.SubAccountAdded:
		if w.account(ev.SubAccountID) != nil {
			return false, billing.SubAccountTaken
		}
		switch w.mains[ev.SubAccountID] {
		case "":
			w.mains[ev.SubAccountID] = ev.AccountID
		case ev.AccountID:
			return false, ""
		default:
			return false, billing.SubAccountTaken
		}
	case billing.PackageDelivered:
		if b.tagNamed(ev.TagName) == "" {
			return false, billing.UnknownTag
		}
		for _, old := range a.events {
			if old.Type == billing.PackageDelivered && old.PackageID == ev.PackageID {
				return false, billing.PackageIDTaken
			}
		}
	case billing.PriceAgreed:
		if b.tagNamed(ev.TagName) == "" {
			return false, billing.UnknownTag
		}
	}
	a.events = append(a.events, *ev)
	return true, ""
}

// open puts an account into its cohort by the moment it opened the product (B3).
func (b *biller) open(w *who, ev *billing.AccountEvent) {
	a := &account{id: ev.AccountID, events: []billing.AccountEvent{*ev}}
	for _, c := range b.cat.Cohorts {
		if a.cohort == "" || c.OpenedFrom <= ev.OpenedAt {
			a.cohort, a.cycle = c.Name, c.Cycle
		}
	}
	w.accounts = append(w.accounts, a)
	slices.SortFunc(w.accounts, func(x, y *account) int { return cmp.Compare(x.id, y.id) })
}

// closedOn tells whether a day lies after the period in which the account was closed (B27).
func (b *biller) closedOn(a *account, day billing.Day) bool {
	for _, ev := range a.events {
		if ev.Type == billing.AccountClosed &&
			day >= billing.PeriodOf(a.cycle, b.day(ev.EffectiveAt)).End {
			return true
		}
	}
	return false
}

// voided tells whether the account took a call back.
func (a *account) voided(callID string) bool {
	for _, ev := range a.events {
		if ev.Type == billing.UsageVoided && slices.Contains(ev.CallIDs, callID) {
			return true
		}
	}
	return false
}

// takeBack reverses taken calls that their accounts have voided since (B27).
func (b *biller) takeBack(w *who) {
	for _, t := range b.taken {
		if w.account(t.account).voided(t.call.CallID) {
			t.reversed = true
		}
	}
}

// tagNamed finds a tag by its id or a published spelling; full-width signs, spaces and the case of
// Latin letters do not tell spellings apart (A1).
func (b *biller) tagNamed(name string) catalog.TagID {
	if b.cat.Tags[catalog.TagID(name)] != nil {
		return catalog.TagID(name)
	}
	for id, tag := range b.cat.Tags {
		for _, published := range tag.Names {
			if plain(published) == plain(name) {
				return id
			}
		}
	}
	return ""
}

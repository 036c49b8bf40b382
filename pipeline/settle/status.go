package settle

import (
	"context"
	"maps"
	"slices"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/roster"
)

// watch says on billing.service-status, while the loop waits for the next closing, what becomes of
// the accounts' status (B24): a top-up reactivates when it arrives, and 24 hours of arrears suspend
// when they are over. All of it is provisional. It looks at the accounts as the last closing left
// them and at the events that have come since, and changes neither; the next closing decides
// without it and corrects what was said and does not come true.
//
// What is about to be published is stored first, so that it can be corrected after any crash.
// A closing moment begins the watch anew; it holds the accounts with events since then in memory.
// So does a closing under way, from whose registry it goes on.
type watch struct {
	loop     *Loop
	begun    bool
	base     billing.Instant    // the closing that it builds on; 0 before the first
	clock    billing.Instant    // newest append time seen: the time of simulated_time
	registry *accounts.Registry // goes on from the loop's
	seen     roster.Position
	events   map[string][]*accounts.Decision // accepted since the base, by main account
	touched  []string                        // accounts with events not looked at yet
	due      map[string]billing.Instant      // when time changes an account's status next
}

// closedAt is the time of the last closing that is done; 0 before the first.
func (l *Loop) closedAt() billing.Instant {
	if n := len(l.history); n > 0 {
		return l.history[n-1].ClosedAt
	}
	return 0
}

// step looks once. After an error it begins anew the next time.
func (w *watch) step(ctx context.Context) error {
	if !w.begun || w.base != w.loop.closedAt() {
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	if err := w.admit(ctx); err != nil {
		w.begun = false
		return err
	}
	now := w.now()
	touched := w.touched
	w.touched = nil
	for id, at := range w.due { // sorted below
		if at <= now {
			touched = append(touched, id)
		}
	}
	slices.Sort(touched)
	for ids := range slices.Chunk(slices.Compact(touched), chunkAccountsMax) {
		if err := w.say(ctx, ids, now); err != nil {
			w.begun = false
			return err
		}
	}
	return nil
}

// begin starts from the last closing. Records that may not have been published before a crash are
// published now.
func (w *watch) begin(ctx context.Context) error {
	l := w.loop
	*w = watch{loop: l, base: l.closedAt(), clock: l.closedAt(), seen: maps.Clone(l.folded),
		registry: l.registry.Ahead(), events: map[string][]*accounts.Decision{}}
	left, err := l.Store.Unpublished(ctx, w.base)
	if err != nil {
		return err
	}
	if err := w.publish(ctx, left); err != nil {
		return err
	}
	for i := range l.undone {
		w.take(&l.undone[i])
	}
	w.due, err = l.Store.StatusDue(ctx, w.base)
	w.begun = err == nil
	return err
}

// take keeps an event that is accepted.
func (w *watch) take(d *accounts.Decision) {
	w.clock = max(w.clock, d.Event.Arrival.Appended)
	if d.Verdict == accounts.Accepted {
		w.events[d.Event.AccountID] = append(w.events[d.Event.AccountID], d)
		w.touched = append(w.touched, d.Event.AccountID)
	}
}

// admit takes in the account events that have come.
func (w *watch) admit(ctx context.Context) error {
	l := w.loop
	events, err := l.Store.AccountEvents(ctx, w.seen, nil)
	if err != nil {
		return err
	}
	beyond := map[string]bool{}
	for _, ev := range events {
		at := ev.Arrival
		if beyond[at.Log()] = beyond[at.Log()] || at.Appended >= l.upcoming.At; beyond[at.Log()] {
			continue // the closing at hand misses it, and may change what it does
		}
		w.seen[at.Log()] = at.Offset + 1
		for _, d := range w.registry.Admit(l.Catalog, ev) {
			w.take(&d)
		}
	}
	return nil
}

// now is the time up to which things have happened: the clock's, or in simulated_time the
// newest event's. What happens from the time of the closing at hand on is not said before it is
// done: a bill and the events that it misses come first.
func (w *watch) now() billing.Instant {
	now := billing.InstantOf(w.loop.Now())
	if w.loop.Simulated {
		now = w.clock
	}
	return min(now, w.loop.upcoming.At-1)
}

// say publishes what is new about some accounts.
func (w *watch) say(ctx context.Context, ids []string, now billing.Instant) error {
	l := w.loop
	states, err := l.Store.States(ctx, ids, w.base+billing.Hour) // no closing lies in between
	if err != nil {
		return err
	}
	said, err := l.Store.Said(ctx, ids, w.base, w.base)
	if err != nil {
		return err
	}
	var news []billing.StatusChange
	for _, id := range ids {
		account, err := l.account(l.Catalog, id, states[id], w.events[id])
		if err != nil {
			return err
		}
		records, due := account.Restate(said[id], w.base, now,
			l.Catalog.Settings.SuspendAfter, w.trigger(id))
		news = append(news, records...)
		if delete(w.due, id); due != closing.NeverDue {
			w.due[id] = due
		}
	}
	if len(news) == 0 {
		return nil
	}
	news = basedOn(w.base, news)
	if err := l.leads(); err != nil {
		return err
	}
	if err := l.Store.WriteSaid(ctx, news); err != nil {
		return err
	}
	return w.publish(ctx, news)
}

// basedOn notes which closing records build on.
func basedOn(base billing.Instant, records []billing.StatusChange) []billing.StatusChange {
	for i := range records {
		records[i].BasedOn = base
	}
	return records
}

func (w *watch) publish(ctx context.Context, list []billing.StatusChange) error {
	if len(list) == 0 {
		return nil
	}
	if err := w.loop.Publisher.PublishStatus(ctx, list); err != nil {
		return err
	}
	return w.loop.Store.MarkSaid(ctx, w.base)
}

// trigger names what brought the news of an account, its last event or time alone, and the closing
// that this builds on, since the next one can make the same event mean something else.
func (w *watch) trigger(id string) string {
	since := "opening/"
	if n := len(w.loop.history); n > 0 {
		since = w.loop.history[n-1].Day.String() + "/"
	}
	if list := w.events[id]; len(list) > 0 {
		return since + list[len(list)-1].Event.EventID
	}
	return since + "time"
}

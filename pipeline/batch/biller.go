// Package batch is the whole pipeline over records in memory: decode, who is who, one call once,
// closing after closing. `tollstream bill` runs it over files, and the tests of the stream compare
// their bills with its bills. It uses the same kernel as the stream (decode, accounts, claim,
// closing); what it replaces is only where records come from and where results go. It does no I/O.
package batch

import (
	"cmp"
	"slices"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/claim"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/decode"
)

// Kind says which of the two input topics a record is of.
type Kind uint8

// The two kinds of input. Events come first among records of one instant.
const (
	EventRecord Kind = iota
	CallRecord
)

// Record is one input record with its place in the arrival order.
type Record struct {
	Kind    Kind
	Value   []byte
	Object  *decode.Object // the parsed value, nil when it was not looked at yet
	Arrival billing.Arrival
}

// Quarantined is a record that was refused or has to wait, with the reason.
type Quarantined struct {
	Arrival billing.Arrival
	Value   []byte
	Refusal billing.Refusal
}

// Output is everything that a run produced, in the order of the contract.
type Output struct {
	Bills       []*billing.Bill
	Status      []billing.StatusChange
	Ledger      []billing.LedgerEntry
	Quarantined []Quarantined
	Books       map[string]*Books // by topic/partition
	Conflicts   int64
}

// Books counts what became of a partition's records (B21); Read is counted on its own. Events are
// account events that are accepted or say again what is known.
type Books struct{ Read, Charged, Free, Duplicate, Quarantined, Waiting, Events int64 }

// pooled is a call id that no closing has taken yet, with its copies in arrival order.
type pooled struct{ copies []*billing.CallRecord }

// takenCall is a call that a closing took, and what became of it once its account was closed.
type takenCall struct {
	record *billing.CallRecord
	main   string
	closing.Reversed
	done, reversed bool
}

// Biller runs closings over records. Records are given in arrival order.
type Biller struct {
	cat      *catalog.Catalog
	calls    *decode.Calls
	events   *decode.Events
	registry *accounts.Registry
	accounts map[string]*closing.Account
	ids      []string // of accounts, sorted
	pool     map[string]*pooled
	taken    map[string]*takenCall
	voids    []billing.AccountEvent     // usage.voided since the last closing
	stale    []*billing.CallRecord      // copies of taken calls whose account was unknown then
	values   map[billing.Arrival][]byte // of records that are in quarantine or may come to be
	refused  map[billing.Arrival]billing.Refusal
	out      Output
}

// New makes a biller for a catalogue.
func New(cat *catalog.Catalog) *Biller {
	return &Biller{
		cat: cat, calls: decode.NewCalls(cat), events: decode.NewEvents(cat),
		registry: accounts.New(), accounts: map[string]*closing.Account{},
		pool: map[string]*pooled{}, taken: map[string]*takenCall{},
		values: map[billing.Arrival][]byte{}, refused: map[billing.Arrival]billing.Refusal{},
		out: Output{Books: map[string]*Books{}},
	}
}

// Add takes in one record. Its effect on bills waits for the next closing.
func (b *Biller) Add(r *Record) {
	books := b.books(r.Arrival)
	books.Read++
	o := decode.Object{}
	var refusal *billing.Refusal
	if r.Object != nil {
		o = *r.Object
	} else if o, refusal = decode.ParseObject(r.Value); refusal != nil {
		b.quarantine(r.Arrival, r.Value, refusal)
		return
	}
	if r.Kind == EventRecord {
		b.addEvent(r, o)
		return
	}
	rec, refusal := b.calls.FromObject(o, r.Arrival)
	if refusal != nil {
		b.quarantine(r.Arrival, r.Value, refusal)
		return
	}
	b.values[r.Arrival] = r.Value
	b.addCopy(&rec)
}

func (b *Biller) addCopy(rec *billing.CallRecord) {
	p := b.pool[rec.CallID]
	if p == nil {
		p = &pooled{}
		b.pool[rec.CallID] = p
	}
	p.copies = append(p.copies, rec)
}

// nominal is the closing that a record missed where nothing but its append time is known.
func (b *Biller) nominal(at billing.Arrival) closing.Moment {
	return closing.LastMomentBy(b.cat, at.Appended)
}

func (b *Biller) addEvent(r *Record, o decode.Object) {
	ev, refusal := b.events.FromObject(o, r.Arrival)
	if refusal != nil {
		b.quarantine(r.Arrival, r.Value, refusal)
		return
	}
	b.values[r.Arrival] = r.Value
	b.admit(ev, b.nominal)
}

// admit decides an event, and those that waited for it. MissedBy says which closing it missed.
func (b *Biller) admit(
	ev billing.AccountEvent, missedBy func(billing.Arrival) closing.Moment,
) {
	for _, d := range b.registry.Admit(b.cat, &ev) {
		b.decided(d, missedBy)
	}
}

// decided lets an event's verdict take effect.
func (b *Biller) decided(
	d accounts.Decision, missedBy func(billing.Arrival) closing.Moment,
) {
	at := d.Event.Arrival
	switch d.Verdict {
	case accounts.Accepted:
		delete(b.refused, at)
		b.books(at).Events++
		if d.Event.Type == billing.AccountOpened {
			b.open(*d.Event)
			return
		}
		if d.Event.Type == billing.UsageVoided {
			b.voids = append(b.voids, *d.Event)
		}
		b.accounts[d.Event.AccountID].Apply(b.cat, *d.Event, missedBy(at))
	case accounts.Waiting:
		b.refused[at] = *billing.NotOpen(d.Event.AccountID)
	case accounts.Refused:
		b.refused[at] = *d.Refusal
	case accounts.Repeated:
		delete(b.refused, at)
		b.books(at).Events++
	}
}

func (b *Biller) open(ev billing.AccountEvent) {
	b.accounts[ev.AccountID] = closing.Open(b.cat, ev)
	i, _ := slices.BinarySearch(b.ids, ev.AccountID)
	b.ids = slices.Insert(b.ids, i, ev.AccountID)
}

func (b *Biller) quarantine(at billing.Arrival, value []byte, r *billing.Refusal) {
	b.values[at] = value
	b.refused[at] = *r
}

func (b *Biller) books(at billing.Arrival) *Books {
	key := at.Log()
	if b.out.Books[key] == nil {
		b.out.Books[key] = &Books{}
	}
	return b.out.Books[key]
}

// Close runs one closing for every account.
func (b *Biller) Close(m closing.Moment) error {
	reversed := b.reversals()
	byAccount := b.claims(m)
	for _, id := range b.ids {
		a := b.accounts[id]
		calls := byAccount[id]
		if len(calls) == 0 && len(reversed[id]) == 0 && a.Idle(b.cat, m) {
			continue
		}
		slices.SortFunc(calls, func(x, y closing.Call) int {
			return billing.CompareCalls(&x.CallRecord, &y.CallRecord)
		})
		r, err := closing.Close(b.cat, a, m, calls, reversed[id])
		if err != nil {
			return err
		}
		b.keep(&r)
	}
	return nil
}

// reversals finds, among the call ids that accounts voided since the last closing, those that were
// taken and not reversed before (B27).
func (b *Biller) reversals() map[string][]closing.Reversed {
	out := map[string][]closing.Reversed{}
	for i := range b.voids {
		ev := &b.voids[i]
		for _, id := range ev.CallIDs {
			if t := b.taken[id]; t != nil && t.done && !t.reversed && t.main == ev.AccountID {
				t.reversed = true
				out[t.main] = append(out[t.main], t.TakenBackBy(ev))
			}
		}
	}
	b.voids = nil
	return out
}

// claims finds the calls of closed days that no closing has taken, by main account (B4, B10).
func (b *Biller) claims(m closing.Moment) map[string][]closing.Call {
	byAccount := map[string][]closing.Call{}
	for id, p := range b.pool { // sorted by account and call below and in Close
		copies := b.judge(p.copies)
		win := claim.Winner(copies)
		if win < 0 || billing.DayOf(copies[win].Record.OccurredAt, b.cat.Settings.Zone) > m.Day {
			continue
		}
		w := &copies[win]
		if taken, done := b.taken[id]; done {
			b.duplicates(p, taken.record)
			delete(b.pool, id)
			continue
		}
		if b.registry.Voided(w.Main, id) {
			continue
		}
		b.taken[id] = &takenCall{record: w.Record, main: w.Main}
		byAccount[w.Main] = append(byAccount[w.Main], w.Call())
		b.duplicates(p, w.Record)
		delete(b.pool, id)
	}
	return byAccount
}

// duplicates counts the copies of a taken call that did not count, and how many of them differ.
func (b *Biller) duplicates(p *pooled, winner *billing.CallRecord) {
	for _, c := range p.copies {
		if c == winner {
			delete(b.values, c.Arrival)
			continue
		}
		b.copies(c, winner)
	}
}

func (b *Biller) copies(c, winner *billing.CallRecord) {
	if r := claim.Judge(b.cat, b.registry, c).Refusal; r != nil {
		b.refused[c.Arrival] = *r
		if r.Reason == billing.UnknownAccount {
			b.stale = append(b.stale, c)
		}
		return
	}
	delete(b.values, c.Arrival)
	b.books(c.Arrival).Duplicate++
	if !c.SameBilling(winner) {
		b.out.Conflicts++
	}
}

// judge judges copies by this closing's catalogue.
func (b *Biller) judge(records []*billing.CallRecord) []claim.Copy {
	copies := make([]claim.Copy, len(records))
	for i, rec := range records {
		copies[i] = claim.Judge(b.cat, b.registry, rec)
	}
	return copies
}

func (b *Biller) keep(r *closing.Result) {
	if r.Bill != nil {
		b.out.Bills = append(b.out.Bills, r.Bill)
	}
	b.out.Status = append(b.out.Status, r.Status...)
	b.out.Ledger = append(b.out.Ledger, r.Ledger...)
	for i := range r.Taken {
		t := &r.Taken[i]
		day := billing.DayOf(t.Call.OccurredAt, b.cat.Settings.Zone)
		kept := b.taken[t.Call.CallID]
		kept.done, kept.Reversed = true, closing.Reversed{CallID: t.Call.CallID,
			Outcome: t.Outcome, Tag: t.Tag, Day: day, PackageID: t.PackageID}
		books := b.books(t.Call.Arrival)
		if t.Outcome == closing.Free {
			books.Free++
		} else {
			books.Charged++
		}
	}
	for _, e := range r.Refused {
		b.books(e.Event.Arrival).Events-- // it was accepted, and is refused now
		b.refused[e.Event.Arrival] = e.Refusal
	}
}

// finish gives what came out, with the outlook of the statuses up to an instant and with what is in
// quarantine. The biller is not used afterwards.
func (b *Biller) finish(until billing.Instant) *Output {
	for _, id := range b.ids {
		known, _ := b.accounts[id].Outlook(until, b.cat.Settings.SuspendAfter)
		b.out.Status = append(b.out.Status, known...)
	}
	slices.SortStableFunc(b.out.Status, func(x, y billing.StatusChange) int {
		return cmp.Or(cmp.Compare(x.EffectiveAt, y.EffectiveAt),
			cmp.Compare(x.AccountID, y.AccountID))
	})
	for _, p := range b.pool { // sorted below
		for _, c := range p.copies {
			b.leave(c)
		}
	}
	for _, c := range b.stale {
		delete(b.refused, c.Arrival)
		b.copies(c, b.taken[c.CallID].record)
	}
	for at, r := range b.refused { // sorted below
		b.out.Quarantined = append(b.out.Quarantined,
			Quarantined{Arrival: at, Value: b.values[at], Refusal: r})
		if r.Reason == billing.UnknownAccount {
			b.books(at).Waiting++
		} else {
			b.books(at).Quarantined++
		}
	}
	slices.SortFunc(b.out.Quarantined, func(x, y Quarantined) int {
		return x.Arrival.Compare(y.Arrival)
	})
	return &b.out
}

// leave sorts a copy of a call that no closing took into quarantine or waiting.
func (b *Biller) leave(c *billing.CallRecord) {
	if refusal := claim.Judge(b.cat, b.registry, c).Refusal; refusal != nil {
		b.refused[c.Arrival] = *refusal
	} else {
		b.books(c.Arrival).Waiting++
	}
}

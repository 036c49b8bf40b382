// Package verify makes bills again from the records that are stored and compares them with the
// bills that are stored. It runs the kernel over account events and calls as the closings saw them,
// told by the barriers that each closing recorded, and trusts nothing that a closing computed: no
// account state, no taken call, no bill. It reads only, and owns no rule of billing.
package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/decode"
	"tollstream/pipeline/stored"
)

// Source is what verifying asks of a store.
type Source interface {
	// ClosedSettlements gives the closings that are done, in order.
	ClosedSettlements(ctx context.Context) ([]stored.Settlement, error)
	// CatalogFile gives the file of a catalogue by its digest.
	CatalogFile(ctx context.Context, digest string) ([]byte, error)
	// EventsAbout gives the account events that address one of the ids or name it as their
	// sub-account, and those that share an event id with one that does.
	EventsAbout(ctx context.Context, ids []string) ([]Event, error)
	// CopiesOf gives every copy, of whatever account, of each call that has a copy of one of the ids.
	CopiesOf(ctx context.Context, ids []string, each func(*Call)) error
	// StoredBills gives the bills of closings that are done, of main accounts.
	StoredBills(ctx context.Context, accounts []string) ([]*Stored, error)
}

// Event is a stored account event: its bytes, and the ids that it is about.
type Event struct {
	Arrival                 billing.Arrival
	AccountID, SubAccountID string
	Value                   []byte
}

// Call is a stored copy of a call. Dimensions are by name, because which list of names orders the
// record's Dims depends on the closing's catalogue.
type Call struct {
	billing.CallRecord
	Dimensions map[string]string
}

// Verifier verifies bills of one store. It is not safe for concurrent use.
type Verifier struct {
	source   Source
	window   time.Duration
	closings []stored.Settlement
	catalogs map[string]*catalog.Catalog
}

// New reads which closings are done. The loaded catalogue serves the closings that it made. Window
// is how long before its own time a closing still looks at copies of known accounts, the store's
// business; it matters only where the catalogue has changed.
func New(
	ctx context.Context, source Source, loaded *catalog.Catalog, window time.Duration,
) (*Verifier, error) {
	closings, err := source.ClosedSettlements(ctx)
	if err != nil {
		return nil, err
	}
	return &Verifier{source: source, window: window, closings: closings,
		catalogs: map[string]*catalog.Catalog{loaded.Digest: loaded}}, nil
}

// Selection chooses among the bills of the accounts that are verified; zero fields choose all.
type Selection struct {
	ID       string
	From, To billing.Day     // periods that lie in [From, To); 0 is open
	Until    billing.Instant // closings after it are not made again
}

// holds compares days, as the list of bills does, so that both choose the same bills.
func (s *Selection) holds(b *billing.Bill) bool {
	return (s.ID == "" || s.ID == b.BillID) &&
		(s.From == 0 || b.Period.First >= s.From) && (s.To == 0 || b.Period.End <= s.To) &&
		(s.Until == 0 || b.ClosedAt <= s.Until)
}

// Accounts verifies the bills of some main accounts, in the order (account, closing, bill). All
// records of these accounts are in memory meanwhile.
func (v *Verifier) Accounts(
	ctx context.Context, accounts []string, selection Selection,
) ([]Result, error) {
	kept, err := v.source.StoredBills(ctx, accounts)
	if err != nil {
		return nil, err
	}
	made, err := v.remake(ctx, accounts, selection.Until)
	if err != nil {
		return nil, err
	}
	return compareAll(made, kept, &selection), nil
}

// madeBill is a bill made again, with the catalogue that it was made by.
type madeBill struct {
	*billing.Bill
	zone *time.Location
}

// remake makes all bills of some accounts again.
func (v *Verifier) remake(
	ctx context.Context, accounts []string, until billing.Instant,
) (map[string]madeBill, error) {
	records, err := v.read(ctx, accounts)
	if err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	for _, id := range accounts {
		mine[id] = true
	}
	r := replay{verifier: v, made: map[string]madeBill{}, mine: mine}
	for k := range v.closings {
		if until != 0 && v.closings[k].ClosedAt > until {
			break
		}
		if err := r.close(ctx, k, records[k]); err != nil {
			return nil, fmt.Errorf("closing of %s: %w", v.closings[k].Day, err)
		}
		records[k] = seen{} // the biller keeps what it still needs
	}
	return r.made, nil
}

// replay runs the closings one after the other over some accounts.
type replay struct {
	verifier *Verifier
	biller   *batch.Biller
	cat      *catalog.Catalog
	events   []billing.AccountEvent
	mine     map[string]bool
	made     map[string]madeBill
}

// close makes a closing again: the records between its barriers and those of the closing before,
// with its own catalogue.
func (r *replay) close(ctx context.Context, k int, records seen) error {
	s := &r.verifier.closings[k]
	cat, err := r.verifier.catalog(ctx, s.CatalogDigest)
	if err != nil {
		return err
	}
	m := closing.MomentOf(cat, s.Day)
	if m.At != s.ClosedAt {
		return fmt.Errorf("it is recorded at %s, and its catalogue closes that day at %s; the "+
			"settlement record or the catalogue was changed", s.ClosedAt, m.At)
	}
	switch {
	case r.biller == nil:
		r.biller = batch.New(cat)
	case r.cat != cat:
		oldest := billing.InstantOf(m.At.Time().Add(-r.verifier.window))
		r.biller.UseCatalog(cat, r.events, oldest)
	}
	r.cat = cat
	decoder := decode.NewEvents(cat)
	for i := range records.events {
		e := &records.events[i]
		ev, refusal := decoder.Decode(e.Value, e.Arrival)
		if refusal != nil {
			return fmt.Errorf("the stored event at %s no longer decodes: %w", e.Arrival.Place(), refusal)
		}
		r.events = append(r.events, ev)
		r.biller.AddEvent(ev, func(at billing.Arrival) closing.Moment {
			return r.verifier.missedBy(cat, k, at)
		})
	}
	for _, c := range records.calls {
		r.biller.AddCall(c.record(cat))
	}
	if err := r.biller.Close(m); err != nil {
		return err
	}
	for _, b := range r.biller.TakeBills() {
		if r.mine[b.AccountID] {
			r.made[b.BillID] = madeBill{b, cat.Settings.Zone}
		}
	}
	return nil
}

// record is the call with its dimensions in the order of a catalogue's list.
func (c *Call) record(cat *catalog.Catalog) *billing.CallRecord {
	c.Dims = make([]string, len(cat.Dimensions))
	for i := range cat.Dimensions {
		c.Dims[i] = c.Dimensions[cat.Dimensions[i].Name]
	}
	c.Dimensions = nil
	return &c.CallRecord
}

// catalog gives a catalogue by its digest, as it was kept when it was first used (B26).
func (v *Verifier) catalog(ctx context.Context, digest string) (*catalog.Catalog, error) {
	if cat := v.catalogs[digest]; cat != nil {
		return cat, nil
	}
	file, err := v.source.CatalogFile(ctx, digest)
	if err != nil {
		return nil, err
	}
	cat, err := catalog.Parse("stored catalogue "+digest[:min(len(digest), 12)], file)
	if err != nil {
		return nil, err
	}
	if cat.Digest != digest {
		return nil, fmt.Errorf("the stored catalogue %.12s has the digest %.12s: it was changed; "+
			"put the file back from which it was loaded", digest, cat.Digest)
	}
	v.catalogs[digest] = cat
	return cat, nil
}

// missedBy is the last closing before closing k whose barrier a record lies beyond (B25), as the
// settle loop finds it.
func (v *Verifier) missedBy(cat *catalog.Catalog, k int, at billing.Arrival) closing.Moment {
	for i := k - 1; i >= 0; i-- {
		if high, ok := barrier(&v.closings[i], at); ok && high <= at.Offset {
			return closing.MomentOf(cat, v.closings[i].Day)
		}
	}
	last := closing.LastMomentBy(cat, at.Appended)
	if k > 0 && last.Day >= v.closings[0].Day {
		return closing.MomentOf(cat, v.closings[0].Day-1)
	}
	return last
}

func barrier(s *stored.Settlement, at billing.Arrival) (int64, bool) {
	for i := range s.Barriers {
		if b := &s.Barriers[i]; b.Topic == at.Topic && b.Partition == at.Partition {
			return b.High, true
		}
	}
	return 0, false
}

// sortedIDs gives a set in order, so that queries and errors repeat.
func sortedIDs(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

func byArrival(a, b Event) int {
	return cmp.Or(a.Arrival.Compare(b.Arrival), cmp.Compare(a.AccountID, b.AccountID))
}

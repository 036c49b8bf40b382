// Package remake makes closings again from the records that are stored. It runs the kernel over
// account events and calls as the closings saw them, told by the barriers that each closing
// recorded, and trusts nothing that a closing computed: no account state, no taken call, no bill.
// It reads only, and owns no rule of billing. What the bills are compared with is the business of
// verify and simulate.
package remake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/stored"
)

// Source is what making closings again asks of a store.
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

// Closings are the closings of one store that are done. They are not safe for concurrent use.
type Closings struct {
	source   Source
	done     []stored.Settlement
	catalogs map[string]*catalog.Catalog
}

// Open reads which closings are done. The loaded catalogue serves the closings that it made.
func Open(ctx context.Context, source Source, loaded *catalog.Catalog) (*Closings, error) {
	done, err := source.ClosedSettlements(ctx)
	if err != nil {
		return nil, err
	}
	return &Closings{source: source, done: done,
		catalogs: map[string]*catalog.Catalog{loaded.Digest: loaded}}, nil
}

// Bill is a bill made again, with the zone of its catalogue.
type Bill struct {
	*billing.Bill
	Zone *time.Location
}

// Done gives the settlements of the closings that are done, in order.
func (c *Closings) Done() []stored.Settlement { return c.done }

// Plan says which closings are made again, and by which catalogues.
type Plan struct {
	Until billing.Instant // closings after it are not made; 0 means all are
	// Other, unless it is nil, judges and prices in place of the recorded catalogues from the closing
	// of day From on. Calls of days before From that had no tag then do not get one.
	Other *catalog.Catalog
	From  billing.Day
}

// Made is what became of some main accounts.
type Made struct {
	Bills    map[string]Bill             // by their ids
	Accounts map[string]*closing.Account // as the last closing of the plan left those that are open
}

// Make makes closings again for some main accounts. All records of these accounts are in memory
// meanwhile.
func (c *Closings) Make(ctx context.Context, accounts []string, plan Plan) (*Made, error) {
	done := c.done
	if plan.Until != 0 {
		n := sort.Search(len(done), func(k int) bool { return done[k].ClosedAt > plan.Until })
		done = done[:n]
	}
	records, err := c.read(ctx, accounts, len(done))
	if err != nil {
		return nil, err
	}
	r := run{closings: c, plan: plan, mine: map[string]bool{}, bills: map[string]Bill{}}
	for _, id := range accounts {
		r.mine[id] = true
	}
	for k := range done {
		if err := r.close(ctx, k, records[k]); err != nil {
			return nil, fmt.Errorf("closing of %s: %w", done[k].Day, err)
		}
		records[k] = seen{} // the biller keeps what it still needs
	}
	return &Made{Bills: r.bills, Accounts: r.accounts(accounts)}, nil
}

// Catalog gives a catalogue by its digest, as it was kept when it was first used (B26).
func (c *Closings) Catalog(ctx context.Context, digest string) (*catalog.Catalog, error) {
	if cat := c.catalogs[digest]; cat != nil {
		return cat, nil
	}
	file, err := c.source.CatalogFile(ctx, digest)
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
	c.catalogs[digest] = cat
	return cat, nil
}

// missedBy is the last closing before closing k whose barrier a record lies beyond (B25), as the
// settle loop finds it.
func (c *Closings) missedBy(cat *catalog.Catalog, k int, at billing.Arrival) closing.Moment {
	for i := k - 1; i >= 0; i-- {
		if high, ok := barrier(&c.done[i], at); ok && high <= at.Offset {
			return closing.MomentOf(cat, c.done[i].Day)
		}
	}
	last := closing.LastMomentBy(cat, at.Appended)
	if k > 0 && last.Day >= c.done[0].Day {
		return closing.MomentOf(cat, c.done[0].Day-1)
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

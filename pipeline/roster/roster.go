// Package roster keeps the accounts that the stream knows: a registry folded over the stored
// account events, and the accounts' cohorts. Ingest uses it to enrich calls on arrival, which is
// provisional; the settle loop folds its own, exactly up to each closing's barriers.
package roster

import (
	"context"
	"maps"
	"sync"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/stored"
	"tollstream/pipeline/tagging"
)

// Position is the next offset to read, by topic/partition.
type Position map[string]int64

// Source gives what is stored.
type Source interface {
	// Openings gives the account events at or after a position that say who is who (TellsWho), in
	// arrival order, some at a time.
	Openings(ctx context.Context, from Position, each func([]stored.Event) error) error
}

// TellsWho tells whether events of a type say who an account is. All others are nothing to a
// roster, which so takes the memory of ids alone, however much has happened to the accounts.
func TellsWho(t billing.EventType) bool {
	return t == billing.AccountOpened || t == billing.SubAccountAdded
}

// Roster is safe for concurrent use.
type Roster struct {
	cat    *catalog.Catalog
	source Source

	mu       sync.RWMutex
	registry *accounts.Registry
	next     Position
	learned  uint64
}

// New makes an empty roster; Refresh fills it.
func New(cat *catalog.Catalog, source Source) *Roster {
	return &Roster{cat: cat, source: source, registry: accounts.New(), next: Position{}}
}

// Refresh takes in the events stored since the last call, and tells whether ids became known by
// them.
func (r *Roster) Refresh(ctx context.Context) (more bool, err error) {
	r.mu.RLock()
	from := r.next
	r.mu.RUnlock()
	next := maps.Clone(from)
	err = r.source.Openings(ctx, from, func(events []stored.Event) error {
		for i := range events {
			at := events[i].Arrival
			next[at.Log()] = max(next[at.Log()], at.Offset+1)
		}
		more = r.Admit(events) || more
		return nil
	})
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	r.next = next
	r.mu.Unlock()
	return more, nil
}

// Admit takes in events that may not be stored yet, and tells whether ids became known by them.
// Refresh reads them again, which changes nothing; it alone moves the position, since other members
// may have stored earlier ones.
func (r *Roster) Admit(events []stored.Event) (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range events {
		ev := &events[i].AccountEvent
		if !TellsWho(ev.Type) {
			continue
		}
		r.learned++
		for _, d := range r.registry.Admit(r.cat, ev) {
			more = more || d.Verdict == accounts.Accepted
		}
	}
	return more
}

// Learned is another number whenever Who may answer otherwise than before.
func (r *Roster) Learned() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.learned
}

// Who gives the main account that an id belongs to, and its cohort; nil where it is unknown.
func (r *Roster) Who(id string) (main string, cohort *catalog.Cohort) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	main, known := r.registry.Main(id)
	if !known {
		return "", nil
	}
	return main, r.cat.CohortOf(r.registry.OpenedAt(main))
}

// Enrich adds what is known of a call now: its main account and cohort, and its judgement by the
// catalogue. Of an unknown account only the record itself is known.
func (r *Roster) Enrich(c *stored.Call) {
	c.CatalogDigest = r.cat.Digest
	main, cohort := r.Who(c.AccountID)
	if cohort == nil {
		return
	}
	c.Main, c.Cohort = main, cohort.Name
	c.Judgement = tagging.Judge(r.cat, cohort, &c.CallRecord)
}

// Shapes makes shapes of calls as the catalogue's dimensions have them.
func (r *Roster) Shapes() *stored.Shapes {
	return stored.NewShapes(r.cat.DimensionNames())
}

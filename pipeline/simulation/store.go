package simulation

import (
	"cmp"
	"context"
	"slices"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// Store is ClickHouse in the hand of one loop: the sets of schemas/clickhouse, and what the Store
// interfaces of ingest, usage, settle and roster read from them. Each call is one turn. What no
// loop reads back is left out: the lines of bills and the usage of closed days.
type Store struct {
	*tables
	hand *Hand
}

// NewStore makes an empty store for a catalogue's dimensions. Without a schedule its writes happen
// as a whole.
func NewStore(s *Schedule, cat *catalog.Catalog) *Store {
	dims := make([]string, len(cat.Dimensions))
	for i := range dims {
		dims[i] = cat.Dimensions[i].Name
	}
	t := &tables{
		copies: map[copyKey]*copyGroup{}, delivered: map[deliveredKey]*copyGroup{},
		events: map[place]*stored.Event{}, quarantine: map[place]*stored.Quarantined{},
		deliveries: map[logKey]map[int64]stored.Delivery{}, routes: map[string]routeRow{},
		taken: map[string]*takenRow{}, takenAt: map[place]*takenRow{},
		duplicates: map[place]settle.Duplicate{}, reversed: map[reversedKey]billing.Instant{},
		voided: map[voidedKey]billing.Instant{}, bills: map[string]*billRow{},
		ledger: map[string]billing.LedgerEntry{}, status: map[string]finalRow{},
		said: map[string]saidRow{}, states: map[string][]stateRow{},
		settlements: map[billing.Instant]*settlementRow{}, counted: map[billing.Instant]int{},
		hasher: stored.NewBillingHasher(dims), tear: &tear{}, trace: &Trace{},
	}
	if s != nil {
		t.tear, t.trace = &s.tear, &s.Trace
	}
	return &Store{tables: t}
}

// In gives the store to a loop.
func (s *Store) In(h *Hand) *Store { return &Store{s.tables, h} }

// tables are the sets, by their keys.
type tables struct {
	copies      map[copyKey]*copyGroup
	groups      []*copyGroup // the values of copies
	delivered   map[deliveredKey]*copyGroup
	events      map[place]*stored.Event
	quarantine  map[place]*stored.Quarantined
	deliveries  map[logKey]map[int64]stored.Delivery
	routes      map[string]routeRow  // by id as received
	taken       map[string]*takenRow // by call id
	takenAt     map[place]*takenRow
	duplicates  map[place]settle.Duplicate
	reversed    map[reversedKey]billing.Instant
	voided      map[voidedKey]billing.Instant // the last closing that did not take it
	bills       map[string]*billRow
	ledger      map[string]billing.LedgerEntry // by entry id
	status      map[string]finalRow            // by event id
	said        map[string]saidRow             // by event id
	states      map[string][]stateRow          // of an account, by closing
	settlements map[billing.Instant]*settlementRow
	sweep       sweep
	counted     map[billing.Instant]int // the turn in which a closing's books were first counted
	hasher      *stored.BillingHasher
	tear        *tear
	trace       *Trace
	// broken lists rows of closings that were written again with other words. Closings write the
	// same, however often they are done.
	broken []string
}

type logKey struct {
	topic     string
	partition int32
}

type place struct {
	logKey
	offset int64
}

func logOf(a billing.Arrival) logKey { return logKey{a.Topic, a.Partition} }
func placeOf(a billing.Arrival) place {
	return place{logOf(a), a.Offset}
}

// copyKey is the sorting key of call_copies: what can move a bill, and the topic.
type copyKey struct {
	account, callID string
	occurred        billing.Instant
	billing         uint64 // hash of what can move a bill
	topic           string
}

// deliveredKey is how a delivery names the copy of a call.
type deliveredKey struct {
	topic               string
	idHash, billingHash uint64
}

// copyGroup are the rows of one key, by arrival. Merging keeps the first; reads see the first of
// the partitions that they look at.
type copyGroup struct {
	key  copyKey
	rows []stored.Call
}

// WriteBatch implements ingest.Store and usage.Store. Batches that are written at once are told
// apart by where they begin.
func (s *Store) WriteBatch(ctx context.Context, b *stored.Batch) error {
	what := "write batch"
	if b.Deliveries.Len() > 0 { // else it is usage, which writes one at a time
		first := b.Deliveries.At(0)
		what += " from " + first.Arrival.Place()
	}
	return s.hand.write(ctx, what, func() error {
		s.tear.each(b.Calls.Len(), func(i int) { s.putCopy(b.Calls.At(i)) })
		s.tear.each(len(b.Events), func(i int) {
			ev := b.Events[i]
			s.events[placeOf(ev.Arrival)] = &ev
		})
		s.tear.each(len(b.Quarantined), func(i int) { s.putQuarantined(b.Quarantined[i]) })
		s.tear.each(b.Deliveries.Len(), func(i int) { s.putDelivery(b.Deliveries.At(i)) })
		return nil
	})
}

func (t *tables) putCopy(c stored.Call) {
	key := copyKey{c.AccountID, c.CallID, c.OccurredAt, t.hasher.Sum(&c.CallRecord),
		c.Arrival.Topic}
	g := t.copies[key]
	if g == nil {
		g = &copyGroup{key: key}
		t.copies[key] = g
		t.groups = append(t.groups, g)
		t.delivered[deliveredKey{key.topic, stored.IDHash(key.callID), key.billing}] = g
	}
	i, found := slices.BinarySearchFunc(g.rows, c, func(a, b stored.Call) int {
		return a.Arrival.Compare(b.Arrival)
	})
	if found {
		g.rows[i] = c // of equal versions the last counts
		return
	}
	g.rows = slices.Insert(g.rows, i, c)
}

func (t *tables) putQuarantined(q stored.Quarantined) {
	at := placeOf(q.Arrival)
	if old := t.quarantine[at]; old == nil || q.Version >= old.Version {
		t.quarantine[at] = &q
	}
}

func (t *tables) putDelivery(d stored.Delivery) {
	log := logOf(d.Arrival)
	if t.deliveries[log] == nil {
		t.deliveries[log] = map[int64]stored.Delivery{}
	}
	t.deliveries[log][d.Arrival.Offset] = d
}

// AccountEvents implements roster.Source and settle.Store.
func (s *Store) AccountEvents(
	ctx context.Context, from, below roster.Position,
) (out []*billing.AccountEvent, err error) {
	err = s.hand.read(ctx, "account events", func() {
		for _, ev := range s.eventsFrom(from) {
			if below == nil || ev.Arrival.Offset < below[ev.Arrival.Log()] {
				out = append(out, &ev.AccountEvent)
			}
		}
	})
	return out, err
}

// eventsFrom gives copies of the events from a position on, in the order of their arrival.
func (t *tables) eventsFrom(from roster.Position) (out []*stored.Event) {
	for _, ev := range t.events { // sorted below
		if ev.Arrival.Offset >= from[ev.Arrival.Log()] {
			copied := *ev
			out = append(out, &copied)
		}
	}
	slices.SortFunc(out, func(a, b *stored.Event) int { return a.Arrival.Compare(b.Arrival) })
	return out
}

// Openings implements roster.Source.
func (s *Store) Openings(
	ctx context.Context, from roster.Position, each func([]stored.Event) error,
) error {
	var some []stored.Event
	err := s.hand.read(ctx, "account events", func() {
		for _, ev := range s.eventsFrom(from) {
			if roster.TellsWho(ev.Type) {
				some = append(some, *ev)
			}
		}
	})
	if err != nil {
		return err
	}
	return each(some)
}

// FirstStored implements settle.Store.
func (s *Store) FirstStored(ctx context.Context) (out []billing.Arrival, err error) {
	err = s.hand.read(ctx, "first stored", func() {
		for _, rows := range s.deliveries { // sorted below
			var first *stored.Delivery
			for _, d := range rows { // the least of all
				data := d.Outcome == stored.DeliveredData || d.Outcome == stored.DeliveredQuarantined
				if data && (first == nil || d.Arrival.Offset < first.Arrival.Offset) {
					first = &d
				}
			}
			if first != nil {
				out = append(out, first.Arrival)
			}
		}
		slices.SortFunc(out, func(a, b billing.Arrival) int {
			return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
	})
	return out, err
}

// settlementRow is a closing as settlement_records has it. Books are nil while it is not closed.
type settlementRow struct {
	stored.Settlement
	books *settle.Books
	turn  int // in which it was first closed
}

// WriteSettlement implements settle.Store.
func (s *Store) WriteSettlement(
	ctx context.Context, st *stored.Settlement, books *settle.Books,
) error {
	what := "write settlement, decided"
	if books != nil {
		what = "write settlement, closed"
	}
	return s.hand.write(ctx, what, func() error {
		s.tear.each(1, func(int) {
			old := s.settlements[st.ClosedAt]
			row := &settlementRow{*st, books, s.trace.Turns}
			if old != nil && !slices.Equal(old.Barriers, st.Barriers) {
				s.changed("settlement_records", st.Day.String(), old.Barriers, st.Barriers)
			}
			if old != nil && old.books != nil {
				if books == nil {
					return // closed is newer than decided
				}
				row.turn = old.turn
			}
			s.settlements[st.ClosedAt] = row
		})
		return nil
	})
}

func (t *tables) closed() []stored.Settlement {
	var out []stored.Settlement
	for _, st := range t.settlements { // sorted below
		if st.books != nil {
			out = append(out, st.Settlement)
		}
	}
	slices.SortFunc(out, func(a, b stored.Settlement) int {
		return cmp.Compare(a.ClosedAt, b.ClosedAt)
	})
	return out
}

// ClosedSettlements implements settle.Store.
func (s *Store) ClosedSettlements(ctx context.Context) (out []stored.Settlement, err error) {
	err = s.hand.read(ctx, "closed settlements", func() { out = s.closed() })
	return out, err
}

// LastClosedDay implements usage.Store.
func (s *Store) LastClosedDay(ctx context.Context) (day billing.Day, found bool, err error) {
	err = s.hand.read(ctx, "last closed day", func() {
		if done := s.closed(); len(done) > 0 {
			day, found = done[len(done)-1].Day, true
		}
	})
	return day, found, err
}

// For implements settle.Store. All catalogues of a simulation have the same dimensions.
func (s *Store) For(*catalog.Catalog) settle.Store { return s }

// KeepCatalog implements settle.Store. No loop reads it back.
func (s *Store) KeepCatalog(ctx context.Context, _ *catalog.Catalog) error {
	return s.hand.write(ctx, "keep catalog", func() error { return nil })
}

// routeRow is the main account of an id, and the closing that learnt of it.
type routeRow struct {
	main     string
	closedAt billing.Instant
}

// mainAt gives the main account of an id as a closing knows it.
func (t *tables) mainAt(id string, at billing.Instant) (string, bool) {
	row, known := t.routes[id]
	return row.main, known && row.closedAt <= at
}

// takenRow is a call as a closing took it.
type takenRow struct {
	callID, account, caller string
	occurred                billing.Instant
	day                     billing.Day
	closedAt                billing.Instant
	outcome                 closing.Outcome
	tag                     catalog.TagID
	packageID               string
	at                      billing.Arrival
}

type reversedKey struct{ account, callID string }

type voidedKey struct {
	account, callID string
	occurred        billing.Instant
}

type billRow struct {
	bill     *billing.Bill
	json     string
	closedAt billing.Instant
}

type stateRow struct {
	settle.State
	closedAt billing.Instant
}

// zone is that of the tables' days.
var zone = time.FixedZone("Asia/Shanghai", 8*60*60)

// dueMax stands for "never" in account_states.
var dueMax = billing.InstantOf(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))

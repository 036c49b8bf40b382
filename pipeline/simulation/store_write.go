package simulation

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// changed notes a row of a closing that was written before with other words.
func (t *tables) changed(table, key string, old, now any) {
	t.broken = append(t.broken, fmt.Sprintf("%s, row %s, was %v and is written as %v", table, key,
		old, now))
}

// SaveRoutes implements settle.Store.
func (s *Store) SaveRoutes(
	ctx context.Context, at billing.Instant, routes []settle.Route,
) error {
	return s.hand.write(ctx, "save routes", func() error {
		s.tear.each(len(routes), func(i int) {
			row := routeRow{routes[i].Main, at}
			if old, known := s.routes[routes[i].AccountID]; known && old != row {
				s.changed("account_routes", routes[i].AccountID, old, row)
			}
			s.routes[routes[i].AccountID] = row
		})
		return nil
	})
}

// WriteDuplicates implements settle.Store.
func (s *Store) WriteDuplicates(
	ctx context.Context, _ billing.Instant, list []settle.Duplicate,
) error {
	return s.hand.write(ctx, "write duplicates", func() error {
		s.putDuplicates(list)
		return nil
	})
}

func (t *tables) putDuplicates(list []settle.Duplicate) {
	t.tear.each(len(list), func(i int) { t.duplicates[placeOf(list[i].Copy)] = list[i] })
}

// WriteReversed implements settle.Store.
func (s *Store) WriteReversed(
	ctx context.Context, at billing.Instant, byAccount map[string][]closing.Reversed,
) error {
	return s.hand.write(ctx, "write reversed", func() error {
		var keys []reversedKey
		for _, main := range slices.Sorted(maps.Keys(byAccount)) {
			for _, r := range byAccount[main] {
				keys = append(keys, reversedKey{main, r.CallID})
			}
		}
		s.tear.each(len(keys), func(i int) { s.reversed[keys[i]] = at })
		return nil
	})
}

// ChunkRows implements settle.Store.
func (s *Store) ChunkRows() settle.ChunkRows { return &chunkRows{store: s} }

// chunkRows implements settle.ChunkRows. Two chunks are stored together.
type chunkRows struct {
	store  *Store
	chunks []*settle.Chunk
}

// Add implements settle.ChunkRows.
func (r *chunkRows) Add(_ context.Context, c *settle.Chunk) error {
	r.chunks = append(r.chunks, c)
	return nil
}

// Full implements settle.ChunkRows.
func (r *chunkRows) Full() bool { return len(r.chunks) > 1 }

// Store implements settle.ChunkRows.
func (r *chunkRows) Store(ctx context.Context) error {
	for _, c := range r.chunks {
		if err := r.store.writeChunk(ctx, c); err != nil {
			return err
		}
	}
	r.chunks = nil
	return nil
}

func (s *Store) writeChunk(ctx context.Context, c *settle.Chunk) error {
	what := fmt.Sprintf("write chunk of %s", c.Moment.Day)
	return s.hand.write(ctx, what, func() error {
		at := c.Moment.At
		s.tear.each(len(c.Taken), func(i int) { s.putTaken(at, &c.Taken[i]) })
		s.tear.each(len(c.Voided), func(i int) {
			v := c.Voided[i]
			s.voided[voidedKey{v.AccountID, v.CallID, v.OccurredAt}] = at
		})
		s.tear.each(len(c.Bills), func(i int) { s.putBill(at, c.Bills[i]) })
		s.tear.each(len(c.Ledger), func(i int) { s.putEntry(c.Ledger[i]) })
		s.tear.each(len(c.Status), func(i int) { s.putFinal(at, c.Status[i]) })
		s.tear.each(len(c.Said), func(i int) { s.putSaid(c.Said[i], false) })
		for i := range c.Requalified {
			s.requalify(uint64(at), &c.Requalified[i])
		}
		s.tear.each(len(c.States), func(i int) { s.putState(at, c.States[i]) })
		return nil
	})
}

func (t *tables) putTaken(at billing.Instant, c *settle.TakenCall) {
	row := &takenRow{callID: c.Call.CallID, account: c.Main, caller: c.Call.AccountID,
		occurred: c.Call.OccurredAt, day: c.Day, closedAt: at, outcome: c.Outcome, tag: c.Tag,
		packageID: c.PackageID, at: c.Call.Arrival}
	if old := t.taken[row.callID]; old != nil && *old != *row {
		t.changed("taken_calls", row.callID, *old, *row)
	}
	t.taken[row.callID], t.takenAt[placeOf(row.at)] = row, row
}

func (t *tables) putBill(at billing.Instant, b *billing.Bill) {
	row := &billRow{b, string(canonical.Bill(b, zone)), at}
	if old := t.bills[b.BillID]; old != nil && old.json != row.json {
		t.changed("closed_bills", b.BillID, old.json, row.json)
	}
	t.bills[b.BillID] = row
}

func (t *tables) putEntry(e billing.LedgerEntry) {
	old, there := t.ledger[e.EntryID]
	if there && fmt.Sprint(old) != fmt.Sprint(e) {
		t.changed("booked_entries", e.EntryID, old, e)
	}
	t.ledger[e.EntryID] = e
}

func (t *tables) putState(at billing.Instant, st settle.State) {
	rows := t.states[st.AccountID]
	i, found := slices.BinarySearchFunc(rows, at, func(r stateRow, at billing.Instant) int {
		return cmp.Compare(r.closedAt, at)
	})
	if !found {
		t.states[st.AccountID] = slices.Insert(rows, i, stateRow{st, at})
		return
	}
	if !bytes.Equal(rows[i].JSON, st.JSON) {
		t.changed("account_states", st.AccountID, string(rows[i].JSON), string(st.JSON))
	}
	rows[i].State = st
}

// Requalify implements settle.Store.
func (s *Store) Requalify(
	ctx context.Context, at billing.Instant, list []settle.Requalified,
) error {
	return s.hand.write(ctx, "requalify", func() error {
		for i := range list {
			s.requalify(uint64(at), &list[i])
		}
		return nil
	})
}

// InQuarantine gives the records that are in quarantine now, by arrival, without a turn.
func (s *Store) InQuarantine() []stored.Quarantined {
	var out []stored.Quarantined
	for _, q := range s.quarantine { // sorted below
		if q.Resolved == "" {
			out = append(out, *q)
		}
	}
	slices.SortFunc(out, func(a, b stored.Quarantined) int { return a.Arrival.Compare(b.Arrival) })
	return out
}

// requalify is one statement: a row that repeats what is known of the record, with another reason.
func (t *tables) requalify(version uint64, r *settle.Requalified) {
	var row stored.Quarantined
	if r.Event != nil {
		ev := t.events[placeOf(r.Arrival)]
		if ev == nil {
			return
		}
		row = stored.Quarantined{Arrival: ev.Arrival, Key: []byte(ev.AccountID), Value: ev.Value,
			AccountID: ev.AccountID, ID: ev.EventID}
	} else {
		old := t.quarantine[placeOf(r.Arrival)]
		if old == nil {
			return
		}
		row = *old
	}
	if r.Refusal != nil {
		row.Refusal = *r.Refusal
	}
	row.Resolved, row.Version = r.Resolved, version
	t.tear.each(1, func(int) { t.putQuarantined(row) })
}

// BillsOf implements settle.Store.
func (s *Store) BillsOf(
	ctx context.Context, at billing.Instant, together int, each func([]stored.BillText) error,
) error {
	var bills []stored.BillText
	err := s.hand.read(ctx, "bills of a closing", func() {
		for _, row := range s.bills { // sorted below
			if row.closedAt == at {
				b := row.bill
				bills = append(bills, stored.BillText{BillID: b.BillID, AccountID: b.AccountID,
					Period: b.Period.String(), Currency: b.Currency, Total: b.Total,
					JSON: canonical.Bill(b, zone)})
			}
		}
		slices.SortFunc(bills, func(a, b stored.BillText) int {
			return cmp.Compare(a.AccountID, b.AccountID)
		})
	})
	return inChunks(err, bills, together, each)
}

// inChunks hands out what was read, some together, and what is left at the end, be it nothing.
func inChunks[T any](err error, list []T, together int, each func([]T) error) error {
	for err == nil && len(list) >= together {
		err = each(list[:together])
		list = list[together:]
	}
	if err != nil {
		return err
	}
	return each(list)
}

package simulation

import (
	"cmp"
	"context"
	"io"
	"math"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// takeAfter is how long after its own time a closing looks at copies below its barriers.
const takeAfter = 24 * billing.Hour

// firstIn gives the row of a key that a read with FINAL sees which looks at the rows appended in
// [from, to) only, nil where there is none.
func (g *copyGroup) firstIn(from, to billing.Instant) *stored.Call {
	for i := range g.rows {
		if at := g.rows[i].Arrival.Appended; at >= from && at < to {
			return &g.rows[i]
		}
	}
	return nil
}

// endOfTime is later than everything.
const endOfTime = billing.Instant(math.MaxInt64)

// copiesIn visits the copies that a closing may look at: below the barriers, and not so old that an
// earlier closing must have decided them, save for accounts that it has just learnt of.
func (t *tables) copiesIn(w *settle.Window, visit func(*stored.Call)) {
	high := map[logKey]int64{}
	for _, b := range w.Settlement.Barriers {
		high[logKey{b.Topic, b.Partition}] = b.High
	}
	below := func(c *stored.Call) bool {
		return c != nil && c.Arrival.Offset < high[logOf(c.Arrival)] &&
			c.Arrival.Appended < w.Moment.At+takeAfter
	}
	for _, g := range t.groups {
		if w.First {
			if c := g.firstIn(0, endOfTime); below(c) {
				visit(c)
			}
			continue
		}
		if c := g.firstIn(w.Since, endOfTime); below(c) {
			visit(c)
		}
		if !slices.Contains(w.NewAccounts, g.key.account) {
			continue
		}
		if c := g.firstIn(0, w.Since); below(c) {
			visit(c)
		}
	}
}

// openCopies gives the copies of known accounts whose calls no closing before took.
func (t *tables) openCopies(w *settle.Window) []stored.Call {
	var out []stored.Call
	t.copiesIn(w, func(c *stored.Call) { out = t.appendOpen(out, w, c) })
	return out
}

func (t *tables) appendOpen(
	list []stored.Call, w *settle.Window, c *stored.Call,
) []stored.Call {
	main, known := t.mainAt(c.AccountID, w.Moment.At)
	if taken := t.taken[c.CallID]; !known || taken != nil && taken.closedAt < w.Moment.At {
		return list
	}
	return append(list, stored.Call{CallRecord: c.CallRecord, Main: main, Cohort: c.Cohort})
}

// competingCopies gives the open copies and, of their calls, the older ones that were taken back
// before a closing took them.
func (t *tables) competingCopies(w *settle.Window) []stored.Call {
	out := t.openCopies(w)
	if w.First {
		return out
	}
	ids := map[string]bool{}
	for i := range out {
		ids[out[i].CallID] = true
	}
	for _, g := range t.groups {
		at, voided := t.voided[voidedKey{g.key.account, g.key.callID, g.key.occurred}]
		c := g.firstIn(0, w.Since)
		if ids[g.key.callID] && voided && at < w.Moment.At && c != nil {
			out = t.appendOpen(out, w, c)
		}
	}
	return out
}

// candidates are those of closed days.
func (t *tables) candidates(w *settle.Window) []stored.Call {
	return slices.DeleteFunc(t.openCopies(w), func(c stored.Call) bool {
		return c.OccurredAt >= w.DayEnd
	})
}

// Candidates implements settle.Store.
func (s *Store) Candidates(ctx context.Context, w settle.Window) (settle.Calls, error) {
	var list []stored.Call
	err := s.hand.read(ctx, "candidates", func() {
		list = s.candidates(&w)
		slices.SortFunc(list, func(a, b stored.Call) int {
			return cmp.Or(cmp.Compare(a.Main, b.Main),
				billing.CompareCalls(&a.CallRecord, &b.CallRecord), a.Arrival.Compare(b.Arrival))
		})
	})
	return &callList{list}, err
}

// callList is a stream of calls that are read already.
type callList struct{ rest []stored.Call }

// Next implements settle.Calls.
func (l *callList) Next() (stored.Call, error) {
	if len(l.rest) == 0 {
		return stored.Call{}, io.EOF
	}
	next := l.rest[0]
	l.rest = l.rest[1:]
	return next, nil
}

// Close implements settle.Calls.
func (l *callList) Close() error { return nil }

// DifferingCopies implements settle.Store.
func (s *Store) DifferingCopies(
	ctx context.Context, w settle.Window,
) (groups [][]stored.Call, err error) {
	err = s.hand.read(ctx, "differing copies", func() {
		byID := map[string][]stored.Call{}
		for _, c := range s.competingCopies(&w) {
			byID[c.CallID] = append(byID[c.CallID], c)
		}
		for _, group := range byID { // sorted below
			if len(group) < 2 {
				continue
			}
			slices.SortFunc(group, func(a, b stored.Call) int { return a.Arrival.Compare(b.Arrival) })
			groups = append(groups, group)
		}
		slices.SortFunc(groups, func(a, b []stored.Call) int {
			return cmp.Compare(a[0].CallID, b[0].CallID)
		})
	})
	return groups, err
}

// TakenBefore implements settle.Store.
func (s *Store) TakenBefore(
	ctx context.Context, main string, callIDs []string, before billing.Instant,
) (out []closing.Reversed, err error) {
	err = s.hand.read(ctx, "taken before", func() {
		ids := slices.Compact(slices.Sorted(slices.Values(callIDs)))
		for _, id := range ids {
			row := s.taken[id]
			if row == nil || row.account != main || row.closedAt >= before {
				continue
			}
			if at, reversed := s.reversed[reversedKey{main, id}]; reversed && at < before {
				continue
			}
			out = append(out, closing.Reversed{CallID: id, Outcome: row.outcome, Tag: row.tag,
				Day: row.day, PackageID: row.packageID})
		}
	})
	return out, err
}

// AccountsDue implements settle.Store.
func (s *Store) AccountsDue(ctx context.Context, at billing.Instant) (ids []string, err error) {
	err = s.hand.read(ctx, "accounts due", func() {
		for id, rows := range s.states { // sorted below
			if row := lastBefore(rows, at); row != nil && row.DueAt <= at {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
	})
	return ids, err
}

// States implements settle.Store.
func (s *Store) States(
	ctx context.Context, ids []string, before billing.Instant,
) (map[string][]byte, error) {
	states := map[string][]byte{}
	err := s.hand.read(ctx, "states", func() {
		for _, id := range ids {
			if row := lastBefore(s.states[id], before); row != nil {
				states[id] = row.JSON
			}
		}
	})
	return states, err
}

func lastBefore(rows []stateRow, before billing.Instant) *stateRow {
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].closedAt < before {
			return &rows[i]
		}
	}
	return nil
}

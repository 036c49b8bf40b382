package simulation

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// FinishClosing implements settle.Store.
func (s *Store) FinishClosing(
	ctx context.Context, w settle.Window,
) (books *settle.Books, err error) {
	err = s.hand.write(ctx, fmt.Sprintf("finish closing of %s", w.Moment.Day), func() error {
		s.putDuplicates(s.losers(&w))
		s.resolve(w.Moment.At, stored.ResolvedTaken, func(q *stored.Quarantined) bool {
			taken := s.takenAt[placeOf(q.Arrival)]
			return taken != nil && taken.closedAt == w.Moment.At
		})
		s.resolve(w.Moment.At, stored.ResolvedDuplicate, func(q *stored.Quarantined) bool {
			taken := s.taken[q.ID]
			return q.Refusal.Reason == billing.UnknownAccount && taken != nil &&
				taken.closedAt <= w.Moment.At
		})
		counted := &settle.Books{}
		for _, b := range w.Settlement.Barriers {
			counted.Partitions = append(counted.Partitions, s.booksOf(b, w.Gaps, w.Moment.At))
		}
		books = counted
		if _, before := s.counted[w.Moment.At]; !before && !s.tear.on {
			s.counted[w.Moment.At] = s.trace.Turns
		}
		return nil
	})
	return books, err
}

// losers are the copies below the barriers whose call was taken as another copy with another key.
func (t *tables) losers(w *settle.Window) []settle.Duplicate {
	var out []settle.Duplicate
	t.copiesIn(w, func(c *stored.Call) {
		taken := t.taken[c.CallID]
		_, known := t.mainAt(c.AccountID, w.Moment.At)
		if !known || c.NoTag != "" || taken == nil || taken.closedAt > w.Moment.At ||
			placeOf(c.Arrival) == placeOf(taken.at) {
			return
		}
		d := settle.Duplicate{Copy: c.Arrival, Winner: taken.at, CallID: c.CallID}
		winner := t.copyAt(c.CallID, taken.at)
		d.Conflict = winner == nil || !c.SameBilling(&winner.CallRecord)
		if d.Conflict || c.Arrival.Topic != taken.at.Topic {
			out = append(out, d)
		}
	})
	slices.SortFunc(out, func(a, b settle.Duplicate) int { return a.Copy.Compare(b.Copy) })
	return out
}

func (t *tables) copyAt(callID string, at billing.Arrival) *stored.Call {
	for _, g := range t.groups {
		if g.key.callID != callID {
			continue
		}
		for i := range g.rows {
			if placeOf(g.rows[i].Arrival) == placeOf(at) {
				return &g.rows[i]
			}
		}
	}
	return nil
}

// resolve takes records of known accounts out of quarantine, in one statement.
func (t *tables) resolve(
	at billing.Instant, how string, resolves func(*stored.Quarantined) bool,
) {
	var rows []stored.Quarantined
	for _, q := range t.quarantine { // sorted below
		if _, known := t.mainAt(q.AccountID, at); known && q.Resolved == "" && resolves(q) {
			row := *q
			row.Resolved, row.Version = how, uint64(at)
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b stored.Quarantined) int { return a.Arrival.Compare(b.Arrival) })
	t.tear.each(len(rows), func(i int) { t.putQuarantined(rows[i]) })
}

// sweep is the last complete recount of the open usage.
type sweep struct {
	asOf billing.Instant
	rows map[usageKey]usageCount
}

type usageKey struct {
	account, tag, channel string
	day                   billing.Day
}

type usageCount struct{ charged, free, unknown, waiting int64 }

// Unenriched implements usage.Store.
func (s *Store) Unenriched(
	ctx context.Context, openFrom billing.Day, limit int,
) (out []stored.Call, err error) {
	err = s.hand.read(ctx, "unenriched", func() {
		for _, g := range s.groups {
			c := g.firstIn(0, endOfTime)
			if c.Main == "" && billing.DayOf(c.OccurredAt, zone) >= openFrom {
				out = append(out, stored.Call{CallRecord: c.CallRecord, Cohort: c.Cohort})
			}
		}
		slices.SortFunc(out, func(a, b stored.Call) int { return a.Arrival.Compare(b.Arrival) })
		out = out[:min(limit, len(out))]
	})
	return out, err
}

// SweepOpenUsage implements usage.Store.
func (s *Store) SweepOpenUsage(
	ctx context.Context, asOf billing.Instant, openFrom billing.Day,
) (*stored.Sweep, error) {
	out := &stored.Sweep{AsOf: asOf}
	err := s.hand.write(ctx, "sweep", func() error {
		rows := s.openUsage(openFrom)
		s.tear.each(1, func(int) {
			if asOf > s.sweep.asOf {
				s.sweep = sweep{asOf, rows}
			}
		})
		out.Rows = uint64(len(rows))
		return nil
	})
	return out, err
}

// openUsage counts each call once that no complete closing took, by the copy that arrived first
// among those that have an account and a tag.
func (t *tables) openUsage(openFrom billing.Day) map[usageKey]usageCount {
	var copies []*stored.Call
	for _, g := range t.groups {
		last := billing.Day(-1)
		for i := range g.rows { // the first of each append day
			if day := billing.DayOf(g.rows[i].Arrival.Appended, zone); day != last {
				last = day
				if day >= openFrom-1 {
					copies = append(copies, &g.rows[i])
				}
			}
		}
	}
	claims := func(c *stored.Call) bool { return c.Main != "" && c.NoTag == "" }
	slices.SortFunc(copies, func(a, b *stored.Call) int {
		if claims(a) != claims(b) {
			if claims(a) {
				return -1
			}
			return 1
		}
		return a.Arrival.Compare(b.Arrival)
	})
	rows, seen := map[usageKey]usageCount{}, map[string]bool{}
	for _, c := range copies {
		taken := t.taken[c.CallID]
		if seen[c.CallID] || taken != nil && t.isClosed(taken.closedAt) {
			continue
		}
		seen[c.CallID] = true
		key := usageKey{cmp.Or(c.Main, c.AccountID), string(c.Postpaid), c.Channel,
			billing.DayOf(c.OccurredAt, zone)}
		n := rows[key]
		switch {
		case !claims(c):
			n.waiting++
		case c.Charged:
			n.charged++
		default:
			n.free++
		}
		if claims(c) && !c.CodeKnown {
			n.unknown++
		}
		rows[key] = n
	}
	return rows
}

func (t *tables) isClosed(at billing.Instant) bool {
	row := t.settlements[at]
	return row != nil && row.books != nil
}

package simulation

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"tollstream/pipeline/billing"
)

// finalRow is a change of status that a closing fixed.
type finalRow struct {
	billing.StatusChange
	closedAt billing.Instant
}

// saidRow is a record that was said between closings.
type saidRow struct {
	billing.StatusChange
	published bool
}

// rounded is a change as the tables keep it.
func rounded(c billing.StatusChange) billing.StatusChange {
	c.Balance = c.Balance.Round(2)
	return c
}

func (t *tables) putFinal(at billing.Instant, c billing.StatusChange) {
	row := finalRow{rounded(c), at}
	row.BasedOn = at
	if old, there := t.status[c.EventID]; there && !sameStatus(&old.StatusChange, &row.StatusChange) {
		t.changed("status_changes", c.EventID, old, row)
	}
	t.status[c.EventID] = row
}

func sameStatus(a, b *billing.StatusChange) bool {
	return a.Status == b.Status && a.EffectiveAt == b.EffectiveAt && a.Balance.Equal(b.Balance) &&
		a.Cause == b.Cause
}

func (t *tables) putSaid(c billing.StatusChange, published bool) {
	if old, there := t.said[c.EventID]; !there || published || !old.published {
		t.said[c.EventID] = saidRow{rounded(c), published}
	}
}

// WriteSaid implements settle.Store.
func (s *Store) WriteSaid(ctx context.Context, list []billing.StatusChange) error {
	return s.hand.write(ctx, "write said", func() error {
		s.tear.each(len(list), func(i int) { s.putSaid(list[i], false) })
		return nil
	})
}

// MarkSaid implements settle.Store.
func (s *Store) MarkSaid(ctx context.Context, base billing.Instant) error {
	return s.hand.write(ctx, "mark said", func() error {
		rows := s.unpublished(base)
		s.tear.each(len(rows), func(i int) { s.putSaid(rows[i], true) })
		return nil
	})
}

// Unpublished implements settle.Store.
func (s *Store) Unpublished(
	ctx context.Context, base billing.Instant,
) (list []billing.StatusChange, err error) {
	err = s.hand.read(ctx, "unpublished", func() { list = s.unpublished(base) })
	return list, err
}

func (t *tables) unpublished(base billing.Instant) []billing.StatusChange {
	var list []billing.StatusChange
	for _, row := range t.said { // sorted below
		if row.BasedOn == base && !row.published {
			list = append(list, row.StatusChange)
		}
	}
	slices.SortFunc(list, func(a, b billing.StatusChange) int {
		return cmp.Or(cmp.Compare(a.AccountID, b.AccountID), compareSaid(&a, &b))
	})
	return list
}

// compareSaid orders records of an account: at one instant what is withdrawn goes first.
func compareSaid(a, b *billing.StatusChange) int {
	withdraws := func(c *billing.StatusChange) int {
		if c.Withdraws {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.EffectiveAt, b.EffectiveAt),
		cmp.Compare(withdraws(a), withdraws(b)), cmp.Compare(a.EventID, b.EventID))
}

// StatusOf implements settle.Store.
func (s *Store) StatusOf(
	ctx context.Context, at billing.Instant, together int,
	each func([]billing.StatusChange) error,
) error {
	var list []billing.StatusChange
	err := s.hand.read(ctx, "status of a closing", func() {
		for _, row := range s.said { // sorted below
			if row.BasedOn == at {
				list = append(list, row.StatusChange)
			}
		}
		for _, row := range s.status { // sorted below
			if row.closedAt == at {
				list = append(list, row.StatusChange)
			}
		}
		rank := func(c *billing.StatusChange) int {
			switch {
			case !c.Provisional:
				return 1
			case c.EffectiveAt < at:
				return 0
			}
			return 2
		}
		slices.SortFunc(list, func(a, b billing.StatusChange) int {
			return cmp.Or(cmp.Compare(a.AccountID, b.AccountID), cmp.Compare(rank(&a), rank(&b)),
				compareSaid(&a, &b))
		})
	})
	return inChunks(err, list, together, each)
}

// Said implements settle.Store.
func (s *Store) Said(
	ctx context.Context, ids []string, since, base billing.Instant,
) (map[string][]billing.StatusChange, error) {
	said := map[string][]billing.StatusChange{}
	err := s.hand.read(ctx, "said", func() {
		corrected := map[string]bool{}
		for _, row := range s.said { // a set
			if row.BasedOn <= base {
				corrected[row.Corrects] = true
			}
		}
		for _, id := range slices.Sorted(maps.Keys(s.said)) {
			row := s.said[id]
			if row.EffectiveAt >= since && row.BasedOn <= base && !row.Withdraws &&
				!corrected[row.EventID] && slices.Contains(ids, row.AccountID) {
				said[row.AccountID] = append(said[row.AccountID], row.StatusChange)
			}
		}
		for _, list := range said { // each on its own
			slices.SortStableFunc(list, func(a, b billing.StatusChange) int {
				return cmp.Compare(a.EffectiveAt, b.EffectiveAt)
			})
		}
	})
	return said, err
}

// SaidOf implements settle.Store.
func (s *Store) SaidOf(
	ctx context.Context, since, base billing.Instant,
) (ids []string, err error) {
	err = s.hand.read(ctx, "said of", func() {
		for _, row := range s.said { // sorted below
			if row.EffectiveAt >= since && row.BasedOn <= base {
				ids = append(ids, row.AccountID)
			}
		}
		slices.Sort(ids)
		ids = slices.Compact(ids)
	})
	return ids, err
}

// StatusDue implements settle.Store.
func (s *Store) StatusDue(
	ctx context.Context, base billing.Instant,
) (map[string]billing.Instant, error) {
	due := map[string]billing.Instant{}
	err := s.hand.read(ctx, "status due", func() {
		for id, rows := range s.states { // a map again
			if row := lastBefore(rows, base+1); row != nil && row.StatusDue < dueMax {
				due[id] = row.StatusDue
			}
		}
	})
	return due, err
}

package clickhouse

import (
	"context"
	"maps"
	"slices"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// TakenBefore implements settle.Store.
func (s *Store) TakenBefore(
	ctx context.Context, main string, callIDs []string, before billing.Instant,
) ([]closing.Reversed, error) {
	const doing = "read calls that are taken back"
	hashes := list(len(callIDs), func(i int) uint64 { return stored.IDHash(callIDs[i]) })
	rows, err := s.conn.Query(ctx, `SELECT call_id, toString(outcome), toString(tag), day, package_id
		FROM taken_calls FINAL PREWHERE id_hash IN (?)
		WHERE call_id IN (?) AND account_id = ? AND closed_at < ?
			AND call_id NOT IN (
				SELECT call_id FROM reversed_calls WHERE account_id = ? AND closed_at < ?)
		ORDER BY call_id`, hashes, callIDs, main, before.Time(), main, before.Time())
	if err != nil {
		return nil, s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var out []closing.Reversed
	for rows.Next() {
		var r closing.Reversed
		var outcome, tag string
		var day time.Time
		if err := rows.Scan(&r.CallID, &outcome, &tag, &day, &r.PackageID); err != nil {
			return nil, s.options.explain(doing, err)
		}
		r.Outcome, r.Tag = closing.Outcome(outcome), catalog.TagID(tag)
		r.Day = billing.DateOf(day.Date())
		out = append(out, r)
	}
	return out, s.options.explain(doing, rows.Err())
}

// WriteReversed implements settle.Store.
func (s *Store) WriteReversed(
	ctx context.Context, at billing.Instant, byAccount map[string][]closing.Reversed,
) error {
	var mains, calls []string
	for _, main := range slices.Sorted(maps.Keys(byAccount)) {
		for _, r := range byAccount[main] {
			mains, calls = append(mains, main), append(calls, r.CallID)
		}
	}
	return s.insert(ctx, "reversed_calls", []column{
		{"account_id", mains},
		{"call_id", calls},
		{"closed_at", instants(len(calls), func(int) billing.Instant { return at })},
	})
}

// writeVoided keeps the copies that later ones have to compete with (see competingCopies).
func writeVoided(ctx context.Context, to inserter, c *settle.Chunk) error {
	v := c.Voided
	n := len(v)
	return to.insert(ctx, "voided_copies", []column{
		{"account_id", values(n, func(i int) string { return v[i].AccountID })},
		{"occurred_at", instants(n, func(i int) billing.Instant { return v[i].OccurredAt })},
		{"call_id", values(n, func(i int) string { return v[i].CallID })},
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
	})
}

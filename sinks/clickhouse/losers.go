package clickhouse

import (
	"context"
	"slices"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
)

// loser is a copy whose call was taken as another copy.
type loser struct {
	settle.Duplicate
	account, winnerAccount       string
	occurred, winnerOccurred     time.Time
	billingHash, winnerBillingOf uint64
}

// otherKeys gives the losers that have another key than their winner. Those that have the same
// collapse by themselves.
func otherKeys(losers []*loser) []settle.Duplicate {
	var list []settle.Duplicate
	for _, l := range losers {
		l.Conflict = l.account != l.winnerAccount || !l.occurred.Equal(l.winnerOccurred) ||
			l.billingHash != l.winnerBillingOf
		if l.Conflict || l.Copy.Topic != l.Winner.Topic {
			list = append(list, l.Duplicate)
		}
	}
	return list
}

// readLosers asks for losers, each with the place, account and time of its winner, and looks up the
// rest of what the winners say.
func (s *Store) readLosers(ctx context.Context, sql string, args ...any) ([]*loser, error) {
	const doing = "look for copies that do not count"
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var out []*loser
	for rows.Next() {
		l := &loser{}
		var appended time.Time
		err := rows.Scan(&l.Copy.Topic, &l.Copy.Partition, &l.Copy.Offset, &appended, &l.CallID,
			&l.account, &l.occurred, &l.billingHash, &l.Winner.Topic, &l.Winner.Partition,
			&l.Winner.Offset, &l.winnerAccount, &l.winnerOccurred)
		if err != nil {
			return nil, s.options.explain(doing, err)
		}
		l.Copy.Appended = billing.InstantOf(appended)
		out = append(out, l)
	}
	if err := rows.Err(); err != nil {
		return nil, s.options.explain(doing, err)
	}
	return out, s.winnersOf(ctx, out)
}

// winnersTogether bounds the values of one IN list.
const winnersTogether = 5_000

// winnersOf looks up what the winners of losers say, where account and time do not tell already
// that the two differ.
func (s *Store) winnersOf(ctx context.Context, losers []*loser) error {
	var alike []*loser
	for _, l := range losers {
		if l.account == l.winnerAccount && l.occurred.Equal(l.winnerOccurred) {
			alike = append(alike, l)
		}
	}
	for chunk := range slices.Chunk(alike, winnersTogether) {
		if err := s.readWinners(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// readWinners compares times as numbers, since the driver writes the seconds of a time only.
func (s *Store) readWinners(ctx context.Context, losers []*loser) error {
	const doing = "read the copies that count"
	byPlace := map[string][]*loser{}
	var keys []driver.GroupSet
	for _, l := range losers {
		byPlace[l.Winner.Place()] = append(byPlace[l.Winner.Place()], l)
		keys = append(keys, driver.GroupSet{Value: []any{l.account, l.occurred.UnixMicro(), l.CallID}})
	}
	callers := list(len(losers), func(i int) string { return losers[i].account })
	slices.Sort(callers)
	byTime := func(a, b *loser) int { return a.occurred.Compare(b.occurred) }
	first, last := slices.MinFunc(losers, byTime), slices.MaxFunc(losers, byTime)
	rows, err := s.conn.Query(longLists(ctx), `SELECT topic, partition, offset, billing_hash
		FROM call_copies WHERE account_id IN (?)
			AND occurred_at >= `+micros(billing.InstantOf(first.occurred))+`
			AND occurred_at <= `+micros(billing.InstantOf(last.occurred))+`
			AND (account_id, toUnixTimestamp64Micro(occurred_at), call_id) IN (?)`,
		slices.Compact(callers), keys)
	if err != nil {
		return s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	for rows.Next() {
		var at billing.Arrival
		var hash uint64
		if err := rows.Scan(&at.Topic, &at.Partition, &at.Offset, &hash); err != nil {
			return s.options.explain(doing, err)
		}
		for _, l := range byPlace[at.Place()] {
			l.winnerBillingOf = hash
		}
	}
	return s.options.explain(doing, rows.Err())
}

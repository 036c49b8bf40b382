package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// FirstMissing implements ingest.Store.
func (s *Store) FirstMissing(
	ctx context.Context, topic string, partition int32, from, below int64,
) (int64, error) {
	done, err := s.ClosedSettlements(ctx)
	if err != nil {
		return 0, err
	}
	if n := len(done); n > 0 {
		for _, b := range done[n-1].Barriers {
			if b.Topic == topic && b.Partition == partition {
				from = max(from, b.High)
			}
		}
	}
	if from >= below {
		return below, nil
	}
	missing, err := s.Missing(ctx, []stored.Barrier{
		{Topic: topic, Partition: partition, Low: from, High: below}})
	for i := range missing {
		below = min(below, missing[i].From)
	}
	return below, err
}

// Run implements settle.Store.
func (s *Store) Run(
	ctx context.Context, topic string, partition int32, from int64, before billing.Instant,
) (stored.Barrier, error) {
	r := stored.Barrier{Topic: topic, Partition: partition, Low: from, High: from}
	var n uint64
	var first, last int64
	err := s.conn.QueryRow(ctx, `SELECT count(), min(offset), max(offset) FROM deliveries
		WHERE topic = ? AND partition = ? AND offset >= ? AND appended_at < `+
		micros(min(before, dueMax)), topic, partition, from).Scan(&n, &first, &last)
	if n > 0 {
		r.Low, r.High = first, last+1
	}
	return r, s.options.explain("look for what is stored of a partition", err)
}

// StoredIn gives the first offset of a range of which a row stands, and in which table; the table
// is "" where there is none.
func (s *Store) StoredIn(
	ctx context.Context, r stored.Barrier,
) (offset int64, table string, err error) {
	where, args := inRanges([]stored.Barrier{r})
	var parts []string
	var all []any
	for _, t := range []string{"deliveries", "call_copies", "account_events", "quarantined_records"} {
		parts = append(parts, "SELECT offset, '"+t+"' AS name FROM "+t+" WHERE "+where)
		all = append(all, args...)
	}
	err = s.conn.QueryRow(ctx, "SELECT offset, name FROM ("+strings.Join(parts, " UNION ALL ")+
		") ORDER BY offset LIMIT 1", all...).Scan(&offset, &table)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return offset, table, s.options.explain("look for what is stored of a range", err)
}

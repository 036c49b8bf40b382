package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tollstream/pipeline/audit"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

var _ audit.Store = (*Store)(nil)

// TakenOff implements audit.Store.
func (s *Store) TakenOff(ctx context.Context, from, to billing.Instant) ([]settle.Taken, error) {
	return s.takenWhere(ctx, from, to, "FINAL", "took != there")
}

// TakenShort implements settle.Store. A row that was written twice and is not merged yet counts
// twice, so that only little is read; the audit looks closer.
func (s *Store) TakenShort(ctx context.Context, from, to billing.Instant) ([]settle.Taken, error) {
	return s.takenWhere(ctx, from, to, "", "took > there")
}

func (s *Store) takenWhere(
	ctx context.Context, from, to billing.Instant, final, where string,
) ([]settle.Taken, error) {
	const closings = " WHERE closed_at >= ? AND closed_at <= ?"
	var out []settle.Taken
	between := []any{from.Time(), to.Time()}
	err := s.each(ctx, "count the calls that closings took", `SELECT s.day, toInt64(s.calls) AS took,
			toInt64(t.n) AS there
		FROM (SELECT closed_at, day, calls FROM settlement_records FINAL`+closings+`
			AND state = 'closed') AS s
		LEFT ANY JOIN (SELECT closed_at, count() AS n FROM taken_calls `+final+closings+`
			GROUP BY closed_at) AS t ON t.closed_at = s.closed_at
		WHERE `+where+` ORDER BY s.day SETTINGS join_use_nulls = 0`,
		slices.Concat(between, between), func(rows driverRows) error {
			var x settle.Taken
			var day time.Time
			err := rows.Scan(&day, &x.Took, &x.Stored)
			x.Day = billing.DateOf(day.Date())
			out = append(out, x)
			return err
		})
	return out, err
}

// Untaken implements audit.Store. A copy waits by right while its account or its tag is not known
// and while the day of its call is open, and for ever where the account took the call back.
func (s *Store) Untaken(
	ctx context.Context, ranges []stored.Barrier, before, dayEnd billing.Instant,
) ([]settle.Missing, error) {
	spans, err := s.spans(ctx, ranges)
	if err != nil {
		return nil, err
	}
	in, places := inRanges(ranges)
	all := whole(spans)
	from := " FROM call_copies "
	where := " WHERE " + in + " AND appended_at >= " + micros(all.since) + " AND appended_at <= " +
		micros(all.till)
	hashes := "SELECT id_hash" + from + where
	sql := untakenOf("SELECT * EXCEPT (main_account), id_hash"+from+"FINAL"+where, hashes,
		"c.topic, c.partition, c.offset") + fmt.Sprintf(` AND c.occurred_at < %s
			AND (c.topic, c.partition, c.offset) NOT IN (
				SELECT topic, partition, offset FROM quarantined_records FINAL
				WHERE resolved IN ('', 'requeued') AND %s)
			AND c.call_id NOT IN (
				SELECT arrayJoin(JSONExtract(value, 'call_ids', 'Array(String)')) FROM account_events
				WHERE type = 'usage.voided')
			AND c.call_id NOT IN (
				SELECT call_id FROM call_copies WHERE occurred_at >= %s AND id_hash IN (%s))
		ORDER BY c.appended_at, c.topic, c.partition, c.offset
		LIMIT 1 BY c.call_id LIMIT %d`, micros(dayEnd), in, micros(dayEnd), hashes,
		settle.MissingMax)
	at := before.Time()
	args := slices.Concat(places, []any{at, at}, places, places, places)
	var out []settle.Missing
	err = s.each(ctx, "look for calls that no closing took", sql+prunePartitions, args,
		func(rows driverRows) error {
			m := settle.Missing{Kind: settle.KindCall, Table: "taken_calls"}
			err := rows.Scan(&m.Topic, &m.Partition, &m.From)
			m.To = m.From + 1
			out = append(out, m)
			return err
		})
	return out, err
}

package clickhouse

import (
	"context"
	"time"

	"tollstream/pipeline/billing"
)

// saidColumns are the columns of said_status that make a change of status.
const saidColumns = `event_id, account_id, status, effective_at, balance, cause, based_on, corrects,
	withdraws`

// StatusOf implements settle.Store.
func (s *Store) StatusOf(
	ctx context.Context, at billing.Instant, together int,
	each func([]billing.StatusChange) error,
) error {
	var list []billing.StatusChange
	err := s.eachStatus(ctx, func(c billing.StatusChange) error {
		if list = append(list, c); len(list) < together {
			return nil
		}
		full := list
		list = nil
		return each(full)
	}, `SELECT provisional, `+saidColumns+` FROM (
			SELECT true AS provisional, `+saidColumns+` FROM said_status FINAL WHERE based_on = ?
			UNION ALL
			SELECT false AS provisional, event_id, account_id, status, effective_at, balance, cause,
				closed_at AS based_on, '' AS corrects, false AS withdraws
			FROM status_changes FINAL WHERE closed_at = ? AND NOT status_changes.provisional)
		ORDER BY account_id, multiIf(NOT provisional, 1, effective_at < ?, 0, 2), effective_at,
			withdraws DESC, event_id`,
		at.Time(), at.Time(), at.Time())
	if err != nil {
		return err
	}
	return each(list)
}

// Said implements settle.Store.
func (s *Store) Said(
	ctx context.Context, ids []string, since, base billing.Instant,
) (map[string][]billing.StatusChange, error) {
	said := map[string][]billing.StatusChange{}
	err := s.eachStatus(ctx, func(c billing.StatusChange) error {
		said[c.AccountID] = append(said[c.AccountID], c)
		return nil
	}, `SELECT true AS provisional, `+saidColumns+` FROM said_status FINAL
		WHERE account_id IN (?) AND effective_at >= ? AND based_on <= ? AND NOT withdraws
			AND event_id NOT IN (SELECT corrects FROM said_status
				WHERE account_id IN (?) AND based_on <= ?)
		ORDER BY account_id, effective_at, event_id`,
		ids, exactly(since), base.Time(), ids, base.Time())
	return said, err
}

// SaidOf implements settle.Store.
func (s *Store) SaidOf(ctx context.Context, since, base billing.Instant) ([]string, error) {
	return s.strings(ctx, "look what was said of statuses", `SELECT DISTINCT account_id
		FROM said_status WHERE effective_at >= ? AND based_on <= ?`, exactly(since), base.Time())
}

// Unpublished implements settle.Store.
func (s *Store) Unpublished(
	ctx context.Context, base billing.Instant,
) ([]billing.StatusChange, error) {
	var list []billing.StatusChange
	err := s.eachStatus(ctx, func(c billing.StatusChange) error {
		list = append(list, c)
		return nil
	}, `SELECT true AS provisional, `+saidColumns+` FROM said_status FINAL
		WHERE based_on = ? AND NOT published
		ORDER BY account_id, effective_at, withdraws DESC, event_id`, base.Time())
	return list, err
}

// WriteSaid implements settle.Store.
func (s *Store) WriteSaid(ctx context.Context, list []billing.StatusChange) error {
	return s.insert(ctx, "said_status", saidRows(list))
}

func saidRows(list []billing.StatusChange) []column {
	n := len(list)
	return append(statusColumns(list),
		column{"corrects", values(n, func(i int) string { return list[i].Corrects })},
		column{"withdraws", values(n, func(i int) bool { return list[i].Withdraws })},
		column{"based_on", instants(n, func(i int) billing.Instant { return list[i].BasedOn })},
		column{"published", values(n, func(int) bool { return false })})
}

// MarkSaid implements settle.Store.
func (s *Store) MarkSaid(ctx context.Context, base billing.Instant) error {
	err := s.conn.Exec(ctx, `INSERT INTO said_status
		SELECT * REPLACE (true AS published) FROM said_status FINAL
		WHERE based_on = ? AND NOT said_status.published`, base.Time())
	return s.options.explain("note which statuses were published", err)
}

// StatusDue implements settle.Store.
func (s *Store) StatusDue(
	ctx context.Context, base billing.Instant,
) (map[string]billing.Instant, error) {
	const doing = "look when statuses change next"
	rows, err := s.conn.Query(ctx, `SELECT account_id, argMax(status_due, closed_at) AS due
		FROM account_states WHERE closed_at <= ? GROUP BY account_id HAVING due < ?`,
		base.Time(), dueMax.Time())
	if err != nil {
		return nil, s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	list := map[string]billing.Instant{}
	for rows.Next() {
		var id string
		var at time.Time
		if err := rows.Scan(&id, &at); err != nil {
			return nil, s.options.explain(doing, err)
		}
		list[id] = billing.InstantOf(at)
	}
	return list, s.options.explain(doing, rows.Err())
}

// eachStatus reads changes of status: provisional, then saidColumns.
func (s *Store) eachStatus(
	ctx context.Context, each func(billing.StatusChange) error, query string, args ...any,
) error {
	const doing = "read changes of status"
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	for rows.Next() {
		var c billing.StatusChange
		var status string
		var effective, base time.Time
		err := rows.Scan(&c.Provisional, &c.EventID, &c.AccountID, &status, &effective, &c.Balance,
			&c.Cause, &base, &c.Corrects, &c.Withdraws)
		if err != nil {
			return s.options.explain(doing, err)
		}
		c.Status, c.EffectiveAt = billing.Status(status), billing.InstantOf(effective)
		c.BasedOn = billing.InstantOf(base)
		if err := each(c); err != nil {
			return err
		}
	}
	return s.options.explain(doing, rows.Err())
}

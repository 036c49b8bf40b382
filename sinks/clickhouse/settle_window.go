package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// prunePartitions lets a condition on the append day choose partitions before FINAL merges.
const prunePartitions = " SETTINGS defer_partition_pruning_after_final = 0"

// takeAfter is how long after a closing's time a copy below its barriers can have been appended.
// None should have been, since a barrier stands before the first record of that time; a day heals a
// clock that stepped back. It keeps a closing that is done late from reading all that came since.
const takeAfter = 24 * billing.Hour

// copiesIn selects from the copies that a closing may look at: below the barriers, and not so old
// that an earlier closing must have decided them, save for accounts that it has just learnt of. The
// age is asked before FINAL merges (PREWHERE), whatever ClickHouse has merged by itself: a copy is
// seen whose first one is older. Where the call was taken it is left out by taken_calls; where
// the first one was refused this one is judged anew.
func copiesIn(w settle.Window, columns, final string) (string, []any) {
	var logs []string
	var highs []int64
	for _, b := range w.Settlement.Barriers {
		logs = append(logs, billing.Arrival{Topic: b.Topic, Partition: b.Partition}.Log())
		highs = append(highs, b.High)
	}
	from := "SELECT " + columns + " FROM call_copies " + final
	const below = ` WHERE offset < transform(
		concat(toString(topic), '/', toString(partition)), ?, ?, toInt64(0)) AND appended_at < ?`
	until := exactly(w.Moment.At + takeAfter)
	if w.First {
		return from + below, []any{logs, highs, until}
	}
	since := windowStart(w)
	sql, args := from+" PREWHERE appended_at >= ?"+below, []any{since, logs, highs, until}
	if len(w.NewAccounts) > 0 {
		sql += " UNION ALL " + from + below + " AND appended_at < ? AND account_id IN (?)"
		args = append(args, logs, highs, until, since, w.NewAccounts)
	}
	return sql, args
}

// windowStart is the append time from which on a closing looks at copies of accounts that it knew.
func windowStart(w settle.Window) string {
	return exactly(w.Moment.At - billing.Instant(settle.TakeWindow.Microseconds()))
}

// routesAt are the ids that a closing knows: those that it learnt of and those of closings before.
// A process that slept through a closing must not see what that one learnt.
const routesAt = "SELECT account_id, main_account FROM account_routes FINAL WHERE closed_at <= ?"

// copyFields are those of call_copies that the queries over open copies use.
const copyFields = "* EXCEPT (main_account), id_hash, ver"

// openCopies selects the copies below the barriers that are of known accounts and whose calls no
// closing before took: what a closing has to decide, days that are still open included.
func openCopies(w settle.Window, columns string) (string, []any) {
	copies, args := copiesIn(w, copyFields, "FINAL")
	return openAmong(w, columns, copies, args)
}

// competingCopies selects the open copies and, of their calls, the older copies that were taken
// back before a closing took them. Those go on counting against copies that arrived later: the call
// of another account under the same call_id is not taken in their place (B4, B27).
func competingCopies(w settle.Window, columns string) (string, []any) {
	copies, args := copiesIn(w, copyFields, "FINAL")
	if !w.First {
		hashes, more := copiesIn(w, "id_hash", "")
		copies += " UNION ALL SELECT " + copyFields + ` FROM call_copies FINAL
			WHERE appended_at < ? AND (account_id, occurred_at, call_id) IN (
				SELECT account_id, occurred_at, call_id FROM voided_copies
				WHERE closed_at < ? AND xxHash64(call_id) IN (` + hashes + `))`
		args = append(append(args, windowStart(w), w.Moment.At.Time()), more...)
	}
	return openAmong(w, columns, copies, args)
}

func openAmong(w settle.Window, columns, copies string, args []any) (string, []any) {
	hashes, more := copiesIn(w, "id_hash", "")
	at := w.Moment.At.Time()
	return untakenOf(copies, hashes, columns), append(append(args, at, at), more...)
}

// untakenOf selects, of some copies (c), those of known accounts (r) and of calls that no closing
// took before a time; the arguments are those of the copies, the time for each of the two, and
// those of the hashes.
func untakenOf(copies, hashes, columns string) string {
	return `SELECT ` + columns + ` FROM (` + copies + `) AS c
		INNER JOIN (` + routesAt + `) AS r ON r.account_id = c.account_id
		WHERE c.call_id NOT IN (
			SELECT call_id FROM taken_calls WHERE closed_at < ? AND id_hash IN (` + hashes + `))`
}

// candidates selects the copies of closed days among the open ones.
func candidates(w settle.Window, columns string) (string, []any) {
	sql, args := openCopies(w, columns)
	return sql + " AND c.occurred_at < ?", append(args, exactly(w.DayEnd))
}

// strings runs a query that gives one column of strings.
func (s *Store) strings(
	ctx context.Context, doing, sql string, args ...any,
) ([]string, error) {
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var out []string
	for rows.Next() {
		var x string
		if err := rows.Scan(&x); err != nil {
			return nil, s.options.explain(doing, err)
		}
		out = append(out, x)
	}
	return out, s.options.explain(doing, rows.Err())
}

// readColumns are what a call is read back with; scanCall knows their order.
const readColumns = `r.main_account, c.call_id, c.account_id, c.occurred_at, c.dims, c.result_code,
	c.need_charge, c.sdk_platform, c.sdk_name, c.sdk_version, c.topic, c.partition, c.offset,
	c.appended_at, c.cohort`

func (s *Store) scanCall(rows driver.Rows) (stored.Call, error) {
	var c stored.Call
	var occurred, appended time.Time
	var dims map[string]string
	err := rows.Scan(&c.Main, &c.CallID, &c.AccountID, &occurred, &dims, &c.ResultCode,
		&c.NeedCharge, &c.SDK.Platform, &c.SDK.Name, &c.SDK.Version, &c.Arrival.Topic,
		&c.Arrival.Partition, &c.Arrival.Offset, &appended, &c.Cohort)
	if err != nil {
		return c, fmt.Errorf("read a call: %w", err)
	}
	c.OccurredAt, c.Arrival.Appended = billing.InstantOf(occurred), billing.InstantOf(appended)
	c.Dims = make([]string, len(s.options.Dims))
	for i, name := range s.options.Dims {
		c.Dims[i] = dims[name]
	}
	return c, nil
}

// callRows is a stream of calls over one query.
type callRows struct {
	store *Store
	rows  driver.Rows
}

// Next implements settle.Calls.
func (c *callRows) Next() (stored.Call, error) {
	if c.rows.Next() {
		return c.store.scanCall(c.rows)
	}
	if err := c.rows.Err(); err != nil && !errors.Is(err, io.EOF) {
		return stored.Call{}, c.store.options.explain("read calls to take", err)
	}
	return stored.Call{}, io.EOF
}

// Close implements settle.Calls.
func (c *callRows) Close() error { return c.rows.Close() }

// Candidates implements settle.Store.
func (s *Store) Candidates(ctx context.Context, w settle.Window) (settle.Calls, error) {
	sql, args := candidates(w, readColumns)
	rows, err := s.conn.Query(ctx, sql+
		" ORDER BY r.main_account, c.occurred_at, c.call_id, c.ver DESC"+prunePartitions, args...)
	if err != nil {
		return nil, s.options.explain("read calls to take", err)
	}
	return &callRows{store: s, rows: rows}, nil
}

// DifferingCopies implements settle.Store. Identical copies have collapsed already; what is left
// with a common call_id differs in a field that can move a bill, or in its day.
func (s *Store) DifferingCopies(ctx context.Context, w settle.Window) ([][]stored.Call, error) {
	ids, args := competingCopies(w, "c.call_id")
	sql, more := competingCopies(w, readColumns)
	sql += " AND c.call_id IN (SELECT call_id FROM (" + ids + ") GROUP BY call_id " +
		"HAVING count() > 1) ORDER BY c.call_id, c.ver DESC" + prunePartitions
	rows, err := s.conn.Query(ctx, sql, append(more, args...)...)
	if err != nil {
		return nil, s.options.explain("look for copies that differ", err)
	}
	stream := &callRows{store: s, rows: rows}
	defer stream.Close() //nolint:errcheck // only read
	var groups [][]stored.Call
	for {
		c, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return groups, nil
		}
		if err != nil {
			return nil, err
		}
		if n := len(groups); n > 0 && groups[n-1][0].CallID == c.CallID {
			groups[n-1] = append(groups[n-1], c)
			continue
		}
		groups = append(groups, []stored.Call{c})
	}
}

// States implements settle.Store.
func (s *Store) States(
	ctx context.Context, ids []string, before billing.Instant,
) (map[string][]byte, error) {
	rows, err := s.conn.Query(ctx, `SELECT account_id, argMax(state, closed_at)
		FROM account_states WHERE account_id IN (?) AND closed_at < ? GROUP BY account_id`,
		ids, before.Time())
	if err != nil {
		return nil, s.options.explain("read accounts", err)
	}
	defer rows.Close() //nolint:errcheck // only read
	states := make(map[string][]byte, len(ids))
	for rows.Next() {
		var id, state string
		if err := rows.Scan(&id, &state); err != nil {
			return nil, s.options.explain("read accounts", err)
		}
		states[id] = []byte(state)
	}
	return states, s.options.explain("read accounts", rows.Err())
}

// AccountsDue implements settle.Store.
func (s *Store) AccountsDue(ctx context.Context, at billing.Instant) ([]string, error) {
	return s.strings(ctx, "look for accounts that are due", `SELECT account_id FROM account_states
		WHERE closed_at < ? GROUP BY account_id HAVING argMax(next_due, closed_at) <= ?`,
		at.Time(), at.Time())
}

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

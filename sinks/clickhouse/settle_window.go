package clickhouse

import (
	"context"
	"slices"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
)

// prunePartitions lets a condition on the append day choose partitions before FINAL merges.
const prunePartitions = " SETTINGS defer_partition_pruning_after_final = 0"

// takeAfter is how long after a closing's time a copy below its barriers can have been appended.
// None should have been, since a barrier stands before the first record of that time; a day heals a
// clock that stepped back. It keeps a closing that is done late from reading all that came since.
const takeAfter = 24 * billing.Hour

// copiesIn selects from the copies that a closing may look at: below the barriers, and not so old
// that an earlier closing must have decided them, save for accounts that it has just learnt of. The
// age is asked before FINAL merges (PREWHERE), so that a copy is seen whose first one is older, and
// the window begins with an append day, so that ClickHouse has not merged the two by itself. Where
// the call was taken it is left out by taken_calls; where the first one was refused this one is
// judged anew. With hashes, only copies of ids with these.
func copiesIn(w settle.Window, columns, final string, hashes ...uint64) (string, []any) {
	var logs []string
	var highs []int64
	for _, b := range w.Settlement.Barriers {
		logs = append(logs, billing.Arrival{Topic: b.Topic, Partition: b.Partition}.Log())
		highs = append(highs, b.High)
	}
	from := "SELECT " + columns + " FROM call_copies " + final
	var early []string // what is asked before FINAL merges
	var of []any
	if len(hashes) > 0 { // copies that FINAL merges have one call_id, and so one hash
		early, of = append(early, "id_hash IN (?)"), []any{hashes}
	}
	const below = ` WHERE offset < transform(
		concat(toString(topic), '/', toString(partition)), ?, ?, toInt64(0)) AND appended_at < ?`
	until := exactly(w.Moment.At + takeAfter)
	if w.First {
		return from + prewhere(early) + below, append(of, logs, highs, until)
	}
	since := exactly(w.Since)
	sql := from + prewhere(append(slices.Clone(early), "appended_at >= ?")) + below
	args := slices.Concat(of, []any{since, logs, highs, until})
	if len(w.NewAccounts) > 0 {
		sql += " UNION ALL " + from + prewhere(early) + below + " AND appended_at < ? " +
			"AND account_id IN (?)"
		args = slices.Concat(args, of, []any{logs, highs, until, since, w.NewAccounts})
	}
	return sql, args
}

func prewhere(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " PREWHERE " + strings.Join(conditions, " AND ")
}

// routesAt are the ids that a closing knows: those that it learnt of and those of closings before.
// A process that slept through a closing must not see what that one learnt.
const routesAt = "SELECT account_id, main_account FROM account_routes FINAL WHERE closed_at <= ?"

// copyFields are those of call_copies that the queries over open copies use.
const copyFields = "* EXCEPT (main_account), id_hash, ver"

// competingCopies selects the open copies of calls with some hashes of ids and, of these calls, the
// older copies that were taken back before a closing took them. Those go on counting against copies
// that arrived later: the call of another account under the same call_id is not taken in their
// place (B4, B27). Open are those below the barriers that are of known accounts and whose calls no
// closing before took, days that are still open included.
func competingCopies(w settle.Window, columns string, ids []uint64) (string, []any) {
	copies, args := copiesIn(w, copyFields, "FINAL", ids...)
	if !w.First {
		copies += " UNION ALL SELECT " + copyFields + ` FROM call_copies FINAL
			WHERE appended_at < ? AND (account_id, occurred_at, call_id) IN (
				SELECT account_id, occurred_at, call_id FROM voided_copies
				WHERE closed_at < ? AND xxHash64(call_id) IN (?))`
		args = append(args, exactly(w.Since), w.Moment.At.Time(), ids)
	}
	at := w.Moment.At.Time()
	return untakenOf(copies, "?", columns), append(args, at, at, ids)
}

// competingIDs selects the hashes of ids of which there are several rows among the copies that a
// closing looks at and those that it compares them with.
func competingIDs(w settle.Window) (string, []any) {
	copies, args := copiesIn(w, "id_hash", "")
	return "SELECT id_hash FROM (" + copies + ` UNION ALL
			SELECT xxHash64(call_id) FROM voided_copies WHERE closed_at < ?)
		GROUP BY id_hash HAVING count() > 1`, append(args, w.Moment.At.Time())
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

// candidates selects the open copies of closed days.
func candidates(w settle.Window, columns string) (string, []any) {
	copies, args := copiesIn(w, copyFields, "FINAL")
	hashes, more := copiesIn(w, "id_hash", "")
	at := w.Moment.At.Time()
	return untakenOf(copies, hashes, columns) + " AND c.occurred_at < ?",
		slices.Concat(args, []any{at, at}, more, []any{exactly(w.DayEnd)})
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
	var texts billing.Keeper
	for rows.Next() {
		var x string
		if err := rows.Scan(&x); err != nil {
			return nil, s.options.explain(doing, err)
		}
		out = append(out, texts.Keep(x))
	}
	return out, s.options.explain(doing, rows.Err())
}

// States implements settle.Store. Which state is the last is looked for in the keys of all states;
// its text mostly is among the newest ones, and is read from all only where it is not.
func (s *Store) States(
	ctx context.Context, ids []string, before billing.Instant,
) (map[string][]byte, error) {
	states := make(map[string][]byte, len(ids))
	err := s.addStates(ctx, states, `SELECT account_id, state FROM account_latest
		WHERE account_id IN (?) AND (account_id, closed_at) IN (
			SELECT account_id, max(closed_at) FROM account_states
			WHERE account_id IN (?) AND closed_at < ? GROUP BY account_id)
		LIMIT 1 BY account_id`, ids, ids, before.Time())
	if err != nil {
		return nil, err
	}
	var rest []string
	for _, id := range ids {
		if states[id] == nil {
			rest = append(rest, id)
		}
	}
	if len(rest) == 0 {
		return states, nil
	}
	return states, s.addStates(ctx, states, `SELECT account_id, argMax(state, closed_at)
		FROM account_states WHERE account_id IN (?) AND closed_at < ? GROUP BY account_id`,
		rest, before.Time())
}

func (s *Store) addStates(
	ctx context.Context, states map[string][]byte, query string, args ...any,
) error {
	return s.each(ctx, "read accounts", query, args, func(rows driverRows) error {
		var id string
		var state []byte
		err := rows.Scan(&id, &state)
		states[id] = state
		return err
	})
}

// AccountsDue implements settle.Store.
func (s *Store) AccountsDue(ctx context.Context, at billing.Instant) ([]string, error) {
	return s.strings(ctx, "look for accounts that are due", `SELECT account_id FROM account_states
		WHERE closed_at < ? GROUP BY account_id HAVING argMax(next_due, closed_at) <= ?`,
		at.Time(), at.Time())
}

package clickhouse

import (
	"context"
	"slices"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// FinishClosing implements settle.Store.
func (s *Store) FinishClosing(ctx context.Context, w settle.Window) (*settle.Books, error) {
	if err := s.recordLosers(ctx, w); err != nil {
		return nil, err
	}
	if err := s.resolveWaiting(ctx, w.Moment.At); err != nil {
		return nil, err
	}
	// No closing before can have taken a record between these barriers.
	parts, err := s.countBooks(ctx, w.Settlement.Barriers, w.Gaps, w.Moment.At, w.Moment.At)
	return &settle.Books{Partitions: parts}, err
}

// resolveWaiting takes out of quarantine the copies that waited, for their account or for a tag,
// and that this closing took, and those that waited for their account and whose call was taken as
// another copy.
func (s *Store) resolveWaiting(ctx context.Context, at billing.Instant) error {
	const rows = `INSERT INTO quarantined_records (topic, partition, offset, appended_at, key, value,
			headers, reason, detail, account_id, call_or_event_id, resolved, version)
		SELECT topic, partition, offset, appended_at, key, value, headers, reason, detail,
			account_id, call_or_event_id, ?, ?
		FROM quarantined_records FINAL
		WHERE resolved = '' AND account_id IN (SELECT account_id FROM (` + routesAt + `)) AND `
	const waited = `id_hash IN (SELECT xxHash64(call_or_event_id) FROM quarantined_records
		WHERE reason IN ('unknown_account', 'no_billing_tag'))`
	err := s.exec(ctx, "resolve calls that waited", rows+`(topic, partition, offset) IN (
			SELECT topic, partition, offset FROM taken_calls WHERE closed_at = ? AND `+waited+`)`,
		stored.ResolvedTaken, uint64(at), at.Time(), at.Time())
	if err != nil {
		return err
	}
	return s.exec(ctx, "resolve copies that waited", rows+`reason = 'unknown_account'
			AND call_or_event_id IN (SELECT call_id FROM taken_calls
				WHERE closed_at <= ? AND `+waited+`)`,
		stored.ResolvedDuplicate, uint64(at), at.Time(), at.Time())
}

// recordLosers lists the copies below the barriers whose call was taken, by this closing or one
// before, as another copy with another key. Copies with the winner's key collapse by themselves.
func (s *Store) recordLosers(ctx context.Context, w settle.Window) error {
	sql, args := movedIDs(w)
	ids, err := s.hashesOf(ctx, sql, args...)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, idsTogether) {
		losers, err := s.losers(ctx, w, some)
		if err != nil {
			return err
		}
		if err := s.WriteDuplicates(ctx, w.Moment.At, otherKeys(losers)); err != nil {
			return err
		}
	}
	return nil
}

// movedIDs selects the hashes of ids that stand at several places among the copies that a closing
// looks at and the calls that closings before took: only these can have losers. What this closing
// took stands among the copies.
func movedIDs(w settle.Window) (string, []any) {
	const place = "id_hash, topic, partition, offset"
	number, topics := topicNumber(w.Settlement.Barriers)
	copies, args := copiesIn(w, place, "")
	hashes, more := copiesIn(w, "id_hash", "")
	return "SELECT id_hash FROM (SELECT id_hash, partition, offset, " + number + " FROM (" + copies +
			" UNION ALL SELECT " + place + ` FROM taken_calls
				WHERE closed_at < ? AND id_hash IN (` + hashes + `)))
		GROUP BY id_hash HAVING min(offset) != max(offset) OR min(partition) != max(partition)
			OR min(topic_number) != max(topic_number)`,
		slices.Concat(topics, args, []any{w.Moment.At.Time()}, more)
}

// losers lists them for some ids. FINAL alone would read all that was ever taken, whole.
func (s *Store) losers(ctx context.Context, w settle.Window, ids []uint64) ([]*loser, error) {
	copies, args := copiesIn(w, "* EXCEPT (main_account), id_hash", "FINAL", ids...)
	sql := `SELECT c.topic, c.partition, c.offset, c.appended_at, c.call_id, c.account_id,
			c.occurred_at, c.billing_hash, t.topic, t.partition, t.offset, t.caller, t.occurred_at
		FROM (` + copies + `) AS c
		INNER JOIN (
			SELECT call_id, caller, occurred_at, topic, partition, offset
			FROM taken_calls FINAL PREWHERE id_hash IN (?) WHERE closed_at <= ?) AS t
			ON t.call_id = c.call_id
		INNER JOIN (` + routesAt + `) AS r ON r.account_id = c.account_id
		WHERE c.no_tag = '' AND (c.topic, c.partition, c.offset) != (t.topic, t.partition, t.offset)`
	return s.readLosers(longLists(ctx), sql+prunePartitions,
		append(args, ids, w.Moment.At.Time(), w.Moment.At.Time())...)
}

// The terms of the books, each by a condition of its own, for a delivery as in proof.from that is
// joined with the call taken at its place (w); taken tells, where there is none, whether its call
// was taken somewhere else. Outcomes are the numbers of taken_calls: 0 is none, 1 is free, all
// others are charged.
const (
	refused = `(q.reason NOT IN ('', 'unknown_account') AND q.resolved IN ('', 'requeued'))`
	held    = `(q.reason = 'unknown_account' AND q.resolved = '')`
	copied  = `(` + isCall + ` AND ` + copyStands + `)`
	event   = `(` + isEvent + ` AND d.event)`

	charged     = copied + ` AND w.outcome > 1`
	free        = copied + ` AND w.outcome = 1`
	duplicate   = copied + ` AND w.outcome = 0 AND taken AND NOT ` + refused + ` AND NOT ` + held
	quarantined = `q.there = 1 AND (d.outcome = 'quarantined' OR (` + copied + ` OR ` + event +
		`) AND w.outcome = 0 AND ` + refused + `)`
	waiting = copied + ` AND w.outcome = 0 AND NOT ` + refused + ` AND (` + held +
		` OR NOT taken) OR ` + event + ` AND ` + held
	events = event + ` AND NOT ` + refused + ` AND NOT ` + held
)

// CountBooks implements audit.Store: what became of the offsets of each range, one of a partition,
// as of a closing (B21).
func (s *Store) CountBooks(
	ctx context.Context, ranges []stored.Barrier, gaps []stored.Gap, at billing.Instant,
) ([]settle.PartitionBooks, error) {
	return s.countBooks(ctx, ranges, gaps, 0, at)
}

// countBooks is CountBooks where no closing before since took a record of the ranges.
func (s *Store) countBooks(
	ctx context.Context, ranges []stored.Barrier, gaps []stored.Gap, since, at billing.Instant,
) ([]settle.PartitionBooks, error) {
	read := stored.Without(ranges, gaps)
	spans, err := s.spans(ctx, read)
	if err != nil {
		return nil, err
	}
	byLog := map[string]*settle.PartitionBooks{}
	out := make([]settle.PartitionBooks, len(ranges))
	for i, r := range ranges {
		out[i] = settle.PartitionBooks{Barrier: r, Lost: stored.LostIn(r, gaps)}
		byLog[logOf(r)] = &out[i]
	}
	for _, p := range proofs(read, whole(spans)) {
		if err := s.countSlice(ctx, &p, since, at, byLog); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// countSlice adds a slice's deliveries to the books of their partitions.
func (s *Store) countSlice(
	ctx context.Context, p *proof, since, at billing.Instant,
	byLog map[string]*settle.PartitionBooks,
) error {
	from, args := p.from()
	number, topics := topicNumber(p.ranges)
	where, places := inRanges(p.ranges)
	took := "SELECT " + number + ", partition, offset, toInt8(outcome) AS outcome " +
		"FROM taken_calls WHERE closed_at >= ? AND closed_at <= ? AND " + where + " AND " + p.slice()
	tookArgs := slices.Concat(topics, []any{since.Time(), at.Time()}, places)
	ids, idsArgs := p.deliveries("id_hash FROM deliveries")
	if since == 0 { // of all calls that were ever taken
		took, tookArgs = took+" AND id_hash IN ("+ids+")", append(tookArgs, idsArgs...)
	} else { // nearly all were taken at their places, and few ids are quickly looked for
		ids, idsArgs = p.deliveries("id_hash, " + number + ", partition, offset FROM deliveries")
		ids = "SELECT id_hash FROM (" + ids + ") WHERE (topic_number, partition, offset) NOT IN " +
			"(SELECT topic_number, partition, offset FROM (" + took + "))"
		idsArgs = slices.Concat(topics, idsArgs, tookArgs)
	}
	var terms []string
	for _, t := range []string{charged, free, duplicate, quarantined, waiting, events} {
		terms = append(terms, "("+t+")")
	}
	sql := `WITH d.id_hash IN (SELECT id_hash FROM taken_calls
				PREWHERE id_hash IN (` + ids + `) WHERE closed_at <= ?) AS taken,
			[` + strings.Join(terms, ", ") + `] AS terms,
			d.outcome IN ('data', 'quarantined') AS is_data
		SELECT d.topic, d.partition, toInt64(countIf(is_data)), toInt64(countIf(d.outcome = 'aborted')),
			toInt64(countIf(d.outcome = 'control')), toInt64(countIf(d.outcome = 'compacted')),
			toInt64(countIf(terms[1])), toInt64(countIf(terms[2])), toInt64(countIf(terms[3])),
			toInt64(countIf(terms[4])), toInt64(countIf(terms[5])), toInt64(countIf(terms[6])),
			arraySort(groupArrayIf(10)(d.offset, is_data != arrayCount(terms)))
		FROM ` + from + `
		LEFT ANY JOIN (` + took + `) AS w ON w.topic_number = d.topic_number
			AND w.partition = d.partition AND w.offset = d.offset
		GROUP BY d.topic, d.partition SETTINGS join_use_nulls = 0`
	args = slices.Concat(idsArgs, []any{at.Time()}, args, tookArgs)
	return s.each(ctx, "count the books", sql, args, func(rows driverRows) error {
		var b settle.PartitionBooks
		err := rows.Scan(&b.Topic, &b.Partition, &b.Data, &b.Aborted, &b.Control, &b.Compacted,
			&b.Charged, &b.Free, &b.Duplicate, &b.Quarantined, &b.Waiting, &b.Events, &b.Odd)
		if err == nil {
			byLog[logOf(b.Barrier)].Add(&b)
		}
		return err
	})
}

// CallCounts compares the rows of the view calls with the calls in it.
type CallCounts struct{ Rows, Distinct int64 }

// CountCalls counts the view calls.
func (s *Store) CountCalls(ctx context.Context) (CallCounts, error) {
	var c CallCounts
	err := s.conn.QueryRow(ctx, `SELECT toInt64(count()), toInt64(uniqExact(call_id)) FROM calls
		WHERE no_tag = '' AND main_account != ''`).Scan(&c.Rows, &c.Distinct)
	return c, s.options.explain("count calls", err)
}

var _ settle.Store = (*Store)(nil)

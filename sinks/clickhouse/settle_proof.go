package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// A delivered record is proven when the rows stand that its delivery speaks of:
//
//	a call        its copy in call_copies, or one with the same key that arrived no later: merges
//	              keep the first of those, so a duplicate need not have a row of its own
//	an event      its row in account_events
//	quarantined   its row in quarantined_records; a call or an event may be there as well
//
// Nothing is ever taken to be stored because something else is not missing.

// proofSliceRecords is about how many deliveries are proven at once; it bounds the server's memory.
const proofSliceRecords = 8_000_000

// span is what deliveries say of ranges of offsets.
type span struct {
	records, calls int64
	since, till    billing.Instant // append times of calls, since from the start of its day
	oldRows        bool            // there are rows of calls of before deliveries had billing_hash
}

// inRanges is the condition on the place of a row, in a form that prunes by the key.
func inRanges(ranges []stored.Barrier) (string, []any) {
	if len(ranges) == 0 {
		return "0", nil
	}
	parts, args := make([]string, len(ranges)), make([]any, 0, 4*len(ranges))
	for i, r := range ranges {
		parts[i] = "topic = ? AND partition = ? AND offset >= ? AND offset < ?"
		args = append(args, r.Topic, r.Partition, r.Low, r.High)
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// proof is a query over deliveries, each with what proves it.
type proof struct {
	ranges []stored.Barrier
	span   span
	number int // of the slice
	slices int
}

// proofs cuts the deliveries of ranges into slices of ids.
func proofs(ranges []stored.Barrier, s span) []proof {
	list := make([]proof, s.records/proofSliceRecords+1)
	for i := range list {
		list[i] = proof{ranges: ranges, span: s, number: i, slices: len(list)}
	}
	return list
}

// deliveries selects the slice's deliveries.
func (p *proof) deliveries(columns string) (string, []any) {
	where, args := inRanges(p.ranges)
	return "SELECT " + columns + " WHERE " + where + " AND " + p.slice(), args
}

// slice is the condition on an id.
func (p *proof) slice() string { return fmt.Sprintf("id_hash %% %d = %d", p.slices, p.number) }

// topicNumber numbers the topics of ranges from 1 on, others are 0: rows are put together and
// compared by numbers, since texts cost ClickHouse several times as much.
func topicNumber(ranges []stored.Barrier) (string, []any) {
	topics := list(len(ranges), func(i int) string { return ranges[i].Topic })
	slices.Sort(topics)
	topics = slices.Compact(topics)
	return "toUInt16(transform(toString(topic), ?, ?, 0)) AS topic_number",
		[]any{topics, list(len(topics), func(i int) int { return i + 1 })}
}

// arrival is where a row stands in the order of arrival, as one number: the inverse of ver.
const arrival = `bitShiftLeft(toUInt128(toUnixTimestamp64Milli(appended_at)), 84)
	+ bitShiftLeft(toUInt128(partition), 53) + toUInt128(offset)`

// from is the FROM part of a query: deliveries d, and for each the arrival of the first copy with
// its key (copy.at), its row of quarantine (q.reason, q.resolved), and whether it has one of events
// (d.event); to join these as well took ClickHouse as long as all else.
func (p *proof) from() (string, []any) {
	ranges, at := inRanges(p.ranges)
	number, topics := topicNumber(p.ranges)
	rows, args := p.deliveries("*, " + number + ", " + arrival + ` AS arrival,
			(topic_number, partition, offset) IN (SELECT ` + number + `, partition, offset
				FROM account_events WHERE ` + ranges + `) AS event
		FROM deliveries FINAL`)
	ids, more := p.deliveries("id_hash FROM deliveries")
	hash := "billing_hash"
	if p.span.oldRows {
		hash = "arrayJoin([billing_hash, 0])" // old rows name their copy by its id alone
	}
	sql := "(" + rows + `) AS d
		LEFT ANY JOIN (SELECT ` + number + `, id_hash, ` + hash + ` AS billing_hash,
				min(bitNot(ver)) AS at, 1 AS there
			FROM call_copies WHERE appended_at >= ` + micros(p.span.since) +
		` AND appended_at <= ` + micros(p.span.till) + ` AND id_hash IN (` + ids + `)
			GROUP BY topic_number, id_hash, billing_hash) AS copy
			ON copy.topic_number = d.topic_number AND copy.id_hash = d.id_hash
				AND copy.billing_hash = d.billing_hash
		LEFT ANY JOIN (SELECT ` + number + `, partition, offset, toString(reason) AS reason,
				toString(resolved) AS resolved, 1 AS there
			FROM quarantined_records FINAL WHERE ` + ranges + `) AS q
			ON q.topic_number = d.topic_number AND q.partition = d.partition AND q.offset = d.offset`
	return sql, slices.Concat(topics, topics, at, args, topics, more, topics, at)
}

// The facts of a delivery, in the terms of proof.from. An id of 0 is that of an account event.
const (
	copyStands = `(copy.there = 1 AND copy.at <= d.arrival)`
	isCall     = `(d.outcome = 'data' AND d.id_hash != 0)`
	isEvent    = `(d.outcome = 'data' AND d.id_hash = 0)`
	noCopy     = `(` + isCall + ` AND NOT ` + copyStands + `)`
	noEvent    = `(` + isEvent + ` AND NOT d.event)`
	noRefusal  = `((d.outcome = 'quarantined' OR d.reason != '') AND q.there = 0)`
)

// Missing implements settle.Store. While offsets themselves are missing it says only which.
func (s *Store) Missing(
	ctx context.Context, ranges []stored.Barrier,
) ([]settle.Missing, error) {
	spans, missing, err := s.undelivered(ctx, ranges)
	if err != nil || len(missing) > 0 {
		return missing, err
	}
	return s.unproven(ctx, ranges, spans)
}

// Gone implements audit.Store.
func (s *Store) Gone(ctx context.Context, ranges []stored.Barrier) ([]settle.Missing, error) {
	spans, missing, err := s.undelivered(ctx, ranges)
	if err != nil {
		return nil, err
	}
	unproven, err := s.unproven(ctx, ranges, spans)
	return append(missing, unproven...), err
}

// undelivered gives the first offsets of ranges that have no delivery, and what deliveries there
// are.
func (s *Store) undelivered(
	ctx context.Context, ranges []stored.Barrier,
) (map[string]span, []settle.Missing, error) {
	spans, err := s.spans(ctx, ranges)
	if err != nil {
		return nil, nil, err
	}
	wanted := map[string]int64{}
	for _, r := range ranges {
		wanted[logOf(r)] += r.High - r.Low
	}
	var missing []settle.Missing
	for _, r := range ranges {
		left := settle.MissingMax - len(missing)
		if spans[logOf(r)].records == wanted[logOf(r)] || left <= 0 {
			continue
		}
		holes, err := s.holes(ctx, r, left)
		if err != nil {
			return nil, nil, err
		}
		missing = append(missing, holes...)
	}
	return spans, missing, nil
}

// unproven gives the first delivered records of ranges of which a row has gone.
func (s *Store) unproven(
	ctx context.Context, ranges []stored.Barrier, spans map[string]span,
) ([]settle.Missing, error) {
	var missing []settle.Missing
	for _, p := range proofs(ranges, whole(spans)) {
		unproven, err := s.unprovenSlice(ctx, &p)
		if err != nil {
			return nil, err
		}
		missing = append(missing, unproven...)
	}
	return missing[:min(len(missing), settle.MissingMax)], nil
}

func logOf(r stored.Barrier) string {
	return billing.Arrival{Topic: r.Topic, Partition: r.Partition}.Log()
}

// spans asks what deliveries say of the ranges of each partition.
func (s *Store) spans(ctx context.Context, ranges []stored.Barrier) (map[string]span, error) {
	out := map[string]span{}
	where, args := inRanges(ranges)
	return out, s.each(ctx, "look for records that are not stored", `SELECT topic, partition,
			toInt64(uniqExact(offset)), toInt64(countIf(id_hash != 0)),
			toStartOfDay(minIf(appended_at, id_hash != 0)), maxIf(appended_at, id_hash != 0),
			countIf(id_hash != 0 AND billing_hash = 0) > 0
		FROM deliveries WHERE `+where+` GROUP BY topic, partition`, args, func(rows driverRows) error {
		var at billing.Arrival
		var found span
		var since, till time.Time
		err := rows.Scan(&at.Topic, &at.Partition, &found.records, &found.calls, &since, &till,
			&found.oldRows)
		found.since, found.till = billing.InstantOf(since), billing.InstantOf(till)
		out[at.Log()] = found
		return err
	})
}

// whole puts the spans of all partitions together.
func whole(spans map[string]span) span {
	var all span
	for _, s := range spans { // a fold that does not mind the order
		all.records += s.records
		all.oldRows = all.oldRows || s.oldRows
		if s.calls == 0 {
			continue
		}
		if all.calls == 0 {
			all.since, all.till = s.since, s.till
		}
		all.since, all.till = min(all.since, s.since), max(all.till, s.till)
		all.calls += s.calls
	}
	return all
}

// holes gives the first offsets of a range that have no delivery.
func (s *Store) holes(
	ctx context.Context, r stored.Barrier, limit int,
) ([]settle.Missing, error) {
	var out []settle.Missing
	err := s.each(ctx, "look for records that are not stored", `SELECT before + 1, offset FROM (
			SELECT offset, lagInFrame(offset, 1, ?) OVER (ORDER BY offset) AS before FROM (
				SELECT DISTINCT offset FROM deliveries
					WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ?
				UNION ALL SELECT toInt64(?)))
		WHERE offset > before + 1 ORDER BY offset LIMIT ?`,
		[]any{r.Low - 1, r.Topic, r.Partition, r.Low, r.High, r.High, limit},
		func(rows driverRows) error {
			m := settle.Missing{Topic: r.Topic, Partition: r.Partition, Kind: settle.KindUnknown,
				Table: "deliveries"}
			err := rows.Scan(&m.From, &m.To)
			out = append(out, m)
			return err
		})
	return out, err
}

// unprovenSlice gives the first delivered records of a slice of which a row has gone.
func (s *Store) unprovenSlice(ctx context.Context, p *proof) ([]settle.Missing, error) {
	from, args := p.from()
	var out []settle.Missing
	var calls []stored.Delivery
	var at []int // index in out of each call
	err := s.each(ctx, "prove that records are stored", fmt.Sprintf(`SELECT d.topic, d.partition,
			d.offset, d.appended_at, d.id_hash, %s AS no_copy, %s AS no_event
		FROM %s WHERE no_copy OR no_event OR %s
		ORDER BY d.topic, d.partition, d.offset LIMIT %d SETTINGS join_use_nulls = 0`,
		noCopy, noEvent, from, noRefusal, settle.MissingMax), args, func(rows driverRows) error {
		var d stored.Delivery
		var appended time.Time
		var lostCopy, lostEvent bool
		err := rows.Scan(&d.Arrival.Topic, &d.Arrival.Partition, &d.Arrival.Offset, &appended,
			&d.IDHash, &lostCopy, &lostEvent)
		d.Arrival.Appended, d.Outcome = billing.InstantOf(appended), stored.DeliveredData
		m := settle.Missing{Topic: d.Arrival.Topic, Partition: d.Arrival.Partition,
			From: d.Arrival.Offset, To: d.Arrival.Offset + 1,
			Kind: settle.KindQuarantined, Table: "quarantined_records"}
		switch {
		case lostCopy:
			m.Table = "call_copies"
			calls, at = append(calls, d), append(at, len(out))
		case lostEvent:
			m.Kind, m.Table = settle.KindEvent, "account_events"
		}
		out = append(out, m)
		return err
	})
	if err != nil || len(calls) == 0 {
		return out, err
	}
	kinds, err := s.Kinds(ctx, calls)
	for i := range kinds {
		out[at[i]].Kind = kinds[i]
	}
	return out, err
}

// windowMost is how much older than a copy another one can be that the same closing looks at: the
// first closing after an arrival looks back two whole days and a part of one (closing.WindowStart).
const windowMost = 3 * 24 * billing.Hour

// Kinds implements settle.Store.
func (s *Store) Kinds(ctx context.Context, list []stored.Delivery) ([]settle.Kind, error) {
	kinds := make([]settle.Kind, len(list))
	calls := map[uint64][]int{} // by the hash of their id
	oldest := billing.Instant(math.MaxInt64)
	for i := range list {
		switch d := &list[i]; {
		case d.Outcome == stored.DeliveredQuarantined:
			kinds[i] = settle.KindQuarantined
		case d.Outcome != stored.DeliveredData:
			kinds[i] = settle.KindMarker
		case d.IDHash == 0:
			kinds[i] = settle.KindEvent
		default:
			kinds[i] = settle.KindCall
			calls[d.IDHash] = append(calls[d.IDHash], i)
			oldest = min(oldest, d.Arrival.Appended-windowMost)
		}
	}
	if len(calls) == 0 {
		return kinds, nil
	}
	hashes := slices.Collect(maps.Keys(calls))
	// Deliveries tell of copies that were merged away; older ones are taken, if they count.
	return kinds, s.each(ctx, "look for other copies of calls", `SELECT id_hash, at, topic, partition,
			offset
		FROM (SELECT id_hash, appended_at AS at, topic, partition, offset FROM deliveries
				WHERE id_hash IN (?) AND appended_at >= `+micros(oldest)+`
			UNION ALL SELECT id_hash, fromUnixTimestamp64Milli(0), topic, partition, offset
				FROM taken_calls WHERE id_hash IN (?))
		ORDER BY id_hash, at, topic, partition, offset`,
		[]any{hashes, hashes}, func(rows driverRows) error {
			var hash uint64
			var appended time.Time
			var at billing.Arrival
			err := rows.Scan(&hash, &appended, &at.Topic, &at.Partition, &at.Offset)
			at.Appended = billing.InstantOf(appended)
			for _, i := range calls[hash] {
				if at.Place() != list[i].Arrival.Place() && at.Compare(list[i].Arrival) < 0 {
					kinds[i] = settle.KindDuplicate
				}
			}
			return err
		})
}

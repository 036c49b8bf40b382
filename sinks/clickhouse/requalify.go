package clickhouse

import (
	"context"
	"slices"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
)

// Requalify implements settle.Store. A record that is in quarantine already keeps its bytes: the
// new row repeats them. An account event that was well-formed on arrival gets its bytes from where
// events are stored.
func (s *Store) Requalify(
	ctx context.Context, at billing.Instant, list []settle.Requalified,
) error {
	for some := range slices.Chunk(list, placesTogether) {
		held, err := s.heldFor(ctx, some)
		if err != nil {
			return err
		}
		for i := range some {
			r := &some[i]
			why, there := held[r.Arrival.Place()]
			if there && why == reasonOf(r) || !there && r.Event == nil {
				continue // it says so already, or has no bytes to say it of
			}
			if err := s.requalify(ctx, uint64(at), r); err != nil {
				return err
			}
		}
	}
	return nil
}

// placesTogether bounds the values of one IN list.
const placesTogether = 5_000

// heldReason is why a record is in quarantine, or how it left.
type heldReason struct{ reason, detail, resolved string }

func reasonOf(r *settle.Requalified) heldReason {
	if r.Refusal == nil {
		return heldReason{resolved: r.Resolved}
	}
	return heldReason{string(r.Refusal.Reason), r.Refusal.Detail, r.Resolved}
}

// heldFor gives what the quarantine says of records, by place.
func (s *Store) heldFor(
	ctx context.Context, list []settle.Requalified,
) (map[string]heldReason, error) {
	held := map[string]heldReason{}
	if len(list) == 0 {
		return held, nil
	}
	places := make([]driver.GroupSet, len(list))
	for i := range list {
		at := list[i].Arrival
		places[i] = driver.GroupSet{Value: []any{at.Topic, at.Partition, at.Offset}}
	}
	return held, s.each(longLists(ctx), "look into the quarantine", `SELECT topic, partition, offset,
			reason, detail, resolved
		FROM quarantined_records FINAL WHERE (topic, partition, offset) IN (?)`, []any{places},
		func(rows driverRows) error {
			var at billing.Arrival
			var why heldReason
			err := rows.Scan(&at.Topic, &at.Partition, &at.Offset, &why.reason, &why.detail,
				&why.resolved)
			held[at.Place()] = why
			return err
		})
}

func (s *Store) requalify(ctx context.Context, version uint64, r *settle.Requalified) error {
	reason, detail := "", ""
	if r.Refusal != nil {
		reason, detail = string(r.Refusal.Reason), r.Refusal.Detail
	}
	where := "topic = ? AND partition = ? AND offset = ?"
	place := []any{r.Arrival.Topic, r.Arrival.Partition, r.Arrival.Offset}
	if r.Event != nil {
		return s.exec(ctx, "record an account event in quarantine", `INSERT INTO quarantined_records
			(topic, partition, offset, appended_at, key, value, headers, reason, detail,
				account_id, call_or_event_id, resolved, version)
			SELECT topic, partition, offset, appended_at, account_id, value, map(), ?, ?,
				account_id, event_id, ?, ?
			FROM account_events FINAL WHERE `+where,
			append([]any{reason, detail, r.Resolved, version}, place...)...)
	}
	return s.exec(ctx, "change a record's place in quarantine", `INSERT INTO quarantined_records
		(topic, partition, offset, appended_at, key, value, headers, reason, detail,
			account_id, call_or_event_id, resolved, version)
		SELECT topic, partition, offset, appended_at, key, value, headers,
			if(? = '', reason, ?), if(? = '', detail, ?), account_id, call_or_event_id, ?, ?
		FROM quarantined_records FINAL WHERE `+where,
		append([]any{reason, reason, reason, detail, r.Resolved, version}, place...)...)
}

package clickhouse

import (
	"context"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// RedactFilter chooses quarantined records that still have their bytes; zero fields choose all.
type RedactFilter struct {
	QuarantineFilter
	Until    billing.Instant // by append time, exclusive
	Resolved bool            // only those that have left the quarantine
	Place    billing.Arrival // only this one, if it has a topic; its append time does not matter
}

// Redactable lists the places of quarantined records whose bytes can be taken away, resolved ones
// included, oldest first.
func (s *Store) Redactable(ctx context.Context, f RedactFilter) ([]billing.Arrival, error) {
	var c conditions
	c.add("(value != '' OR key != '' OR notEmpty(headers))")
	if f.Reason != "" {
		c.add("reason = ?", string(f.Reason))
	}
	if f.Account != "" {
		c.add("account_id = ?", f.Account)
	}
	if f.Since != 0 {
		c.add("appended_at >= " + micros(f.Since))
	}
	if f.Until != 0 {
		c.add("appended_at < " + micros(f.Until))
	}
	if f.Resolved {
		c.add("resolved != ''")
	}
	if at := f.Place; at.Topic != "" {
		c.add("topic = ? AND partition = ? AND offset = ?", at.Topic, at.Partition, at.Offset)
	}
	var out []billing.Arrival
	err := s.each(ctx, "choose what to redact", `SELECT topic, partition, offset
		FROM quarantined_records FINAL`+c.where()+`
		ORDER BY appended_at, topic, partition, offset LIMIT ?`, append(c.args, limitOf(f.Limit)),
		func(rows driverRows) error {
			var at billing.Arrival
			err := rows.Scan(&at.Topic, &at.Partition, &at.Offset)
			out = append(out, at)
			return err
		})
	return out, err
}

// Redact takes key, value, headers and detail of quarantined records away, in the parts on disk
// too, and keeps place, reason, and the value's size and SHA-256. Records that were redacted before
// and got their bytes back lose them again, and keep what is known of them.
//
//	1 note it in redacted_records   2 rewrite the rows
//
// A crash between the two leaves the bytes of records that ingest and requeue take for redacted;
// doing it again finishes it.
func (s *Store) Redact(
	ctx context.Context, list []billing.Arrival, by, why string,
) error {
	places := placesOf(list)
	err := s.exec(longLists(ctx), "note what is redacted", `INSERT INTO redacted_records (topic,
			partition, offset, value_bytes, value_sha256, redacted_by, why, redacted_at)
		SELECT topic, partition, offset, length(value), lower(hex(SHA256(value))), ?, ?, now64(3)
		FROM quarantined_records FINAL
		WHERE (topic, partition, offset) IN (?) AND (topic, partition, offset) NOT IN (
			SELECT topic, partition, offset FROM redacted_records)`, by, why, places)
	if err != nil {
		return err
	}
	return s.exec(longLists(ctx), "redact", "ALTER TABLE "+s.options.parts("quarantined_records")+`
		UPDATE key = '', value = '', headers = map(), detail = ?
		WHERE (topic, partition, offset) IN (?) SETTINGS mutations_sync = 2`,
		redactedDetail(why), places)
}

// RedactOlder redacts at most so many records that were appended before a time, oldest first, and
// tells how many they were.
func (s *Store) RedactOlder(
	ctx context.Context, before billing.Instant, most int, by, why string,
) (int, error) {
	places, err := s.Redactable(ctx, RedactFilter{
		QuarantineFilter: QuarantineFilter{Limit: most}, Until: before})
	if err != nil || len(places) == 0 {
		return 0, err
	}
	return len(places), s.Redact(ctx, places, by, why)
}

func redactedDetail(why string) string { return "redacted: " + why }

func placesOf(list []billing.Arrival) []driver.GroupSet {
	places := make([]driver.GroupSet, len(list))
	for i, at := range list {
		places[i] = driver.GroupSet{Value: []any{at.Topic, at.Partition, at.Offset}}
	}
	return places
}

// RedactedOf gives, of some places, those whose records were redacted, each with why.
func (s *Store) RedactedOf(
	ctx context.Context, list []billing.Arrival,
) (map[string]string, error) {
	out := map[string]string{}
	if len(list) == 0 {
		return out, nil
	}
	err := s.each(longLists(ctx), "look for redacted records", `SELECT topic, partition, offset, why
		FROM redacted_records FINAL WHERE (topic, partition, offset) IN (?)`,
		[]any{placesOf(list)}, func(rows driverRows) error {
			var at billing.Arrival
			var why string
			err := rows.Scan(&at.Topic, &at.Partition, &at.Offset, &why)
			out[at.Place()] = why
			return err
		})
	return out, err
}

// withoutRedacted gives quarantined records as they may be stored: one that is read again after it
// was redacted does not bring its bytes back.
func (s *Store) withoutRedacted(
	ctx context.Context, rows []stored.Quarantined,
) ([]stored.Quarantined, error) {
	places := list(len(rows), func(i int) billing.Arrival { return rows[i].Arrival })
	redacted, err := s.RedactedOf(ctx, places)
	if err != nil || len(redacted) == 0 {
		return rows, err
	}
	out := list(len(rows), func(i int) stored.Quarantined {
		r := rows[i]
		if why, ok := redacted[r.Arrival.Place()]; ok {
			r.Key, r.Value, r.Headers, r.Refusal.Detail = nil, nil, nil, redactedDetail(why)
		}
		return r
	})
	return out, nil
}

package clickhouse

import (
	"context"
	"math"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/pipeline/stored"
)

// requeuedVersion is higher than every version that a closing gives. A closing that looks at the
// old copy again does not put its row back: the new record stands in quarantine for itself.
const requeuedVersion uint64 = math.MaxInt64

// ResolveRequeued takes records out of the quarantine that were sent again. A place whose bytes are
// others than the new record's is left alone: a header alone does not empty the quarantine.
func (s *Store) ResolveRequeued(ctx context.Context, list []stored.Requeued) error {
	if len(list) == 0 {
		return nil
	}
	places := make([]driver.GroupSet, len(list))
	for i, r := range list {
		places[i] = driver.GroupSet{Value: []any{r.Topic, r.Partition, r.Offset, r.ValueHash}}
	}
	return s.exec(longLists(ctx), "mark requeued records", `INSERT INTO quarantined_records (topic,
			partition, offset, appended_at, key, value, headers, reason, detail, account_id,
			call_or_event_id, resolved, version)
		SELECT topic, partition, offset, appended_at, key, value, headers, reason, detail, account_id,
			call_or_event_id, ?, ?
		FROM quarantined_records FINAL
		WHERE resolved = ''
			AND (topic, partition, offset, lower(hex(SHA256(value)))) IN (?)`,
		stored.ResolvedRequeued, requeuedVersion, places)
}

package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

const (
	// sweepSliceCopies is about how many copies a sweep counts at once. It bounds the memory of
	// the server: the ids of a slice are sorted, and looked up among those taken.
	sweepSliceCopies = 16_000_000
	// sweepSlicesMax fits the column slice.
	sweepSlicesMax = 60_000
	// sweepsKept is how many complete sweeps stay, for readers that are still at an older one.
	sweepsKept = 3
)

// SweepOpenUsage recounts every call that no complete closing has taken: one call_id once, by the
// copy that arrived first among those that have an account and a tag. openFrom is the first day
// that is not closed. Copies that do not count go to open_duplicates. The same asOf again does
// nothing once it is complete.
//
// It reads what was appended from 24 hours before openFrom on: an open day's calls cannot have
// arrived earlier (rule B7), and what arrived earlier for other days was taken or is in quarantine.
//
//	1 drop leftovers of asOf   2 slices   3 mark the sweep   4 drop older sweeps
//
// Nothing is seen before 3. A crash before 3 leaves a partition that 4 of a later sweep drops.
func (s *Store) SweepOpenUsage(
	ctx context.Context, asOf billing.Instant, openFrom billing.Day,
) (*stored.Sweep, error) {
	start := time.Now()
	var done uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM usage_sweeps WHERE as_of = "+micros(asOf)).
		Scan(&done)
	if err != nil {
		return nil, s.options.explain("look for the sweep", err)
	}
	r := &stored.Sweep{AsOf: asOf}
	if done > 0 {
		return r, nil
	}
	for _, table := range sweptTables {
		if err := s.dropSweeps(ctx, table, "as_of = "+micros(asOf)); err != nil {
			return nil, err
		}
	}
	err = s.conn.QueryRow(ctx, "SELECT count() FROM call_copies WHERE "+windowOf(openFrom)).
		Scan(&r.Copies)
	if err != nil {
		return nil, s.options.explain("count the open calls", err)
	}
	slices := min(r.Copies/sweepSliceCopies+1, sweepSlicesMax)
	for slice := range slices {
		for _, sql := range []string{sweepUsage, sweepDuplicates} {
			err := s.exec(ctx, "sweep the open usage",
				sweepStatement(sql, asOf, openFrom, slice, slices))
			if err != nil {
				return nil, err
			}
		}
		losers, err := s.readLosers(ctx, sweepStatement(sweepLosers, asOf, openFrom, slice, slices))
		if err != nil {
			return nil, err
		}
		list := otherKeys(losers)
		err = s.insert(ctx, "open_duplicates", append(duplicateColumns(list),
			column{"as_of", instants(len(list), func(int) billing.Instant { return asOf })}))
		if err != nil {
			return nil, err
		}
	}
	if err := s.markSweep(ctx, r, openFrom, start); err != nil {
		return nil, err
	}
	return r, s.dropOldSweeps(ctx)
}

var sweptTables = []string{"open_usage", "open_duplicates"}

// sweepCommon names the parts that both statements of a sweep use. FINAL within each append day
// is enough, since LIMIT 1 BY call_id settles what is left; it makes a copy that was enriched
// again count as enriched last. The condition before FINAL is on a function of the key.
const sweepCommon = `
WITH copies AS (
    SELECT call_id, id_hash, account_id, main_account, cohort, occurred_at, billing_hash,
        postpaid_tag, channel, charged, code_known, topic, partition, offset, appended_at,
        main_account != '' AND no_tag = '' AS claims
    FROM call_copies FINAL
    PREWHERE id_hash % {slices} = {slice}
    WHERE {window}
), taken AS (
    SELECT call_id, caller, occurred_at, topic, partition, offset
    FROM taken_calls
    WHERE id_hash IN (SELECT id_hash FROM copies)
        AND closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
), open AS (
    SELECT * FROM copies WHERE call_id NOT IN (SELECT call_id FROM taken)
)`

const sweepUsage = `
INSERT INTO open_usage (as_of, slice, account_id, day, tag, channel, charged, free, unknown_code,
    waiting, cohort)` + sweepCommon + `
SELECT {as_of}, {slice}, if(main_account = '', account_id, main_account) AS account,
    toDate(occurred_at) AS day, postpaid_tag AS tag, channel,
    countIf(claims AND charged), countIf(claims AND NOT charged),
    countIf(claims AND NOT code_known), countIf(NOT claims), any(cohort)
FROM (
    SELECT * FROM open
    ORDER BY NOT claims, appended_at, topic, partition, offset
    LIMIT 1 BY call_id)
GROUP BY account, day, tag, channel
SETTINGS do_not_merge_across_partitions_select_final = 1`

const sweepDuplicates = `
INSERT INTO open_duplicates (as_of, topic, partition, offset, appended_at, call_id, conflict,
    winner_topic, winner_partition, winner_offset)` + sweepCommon + `,
several AS (
    SELECT * FROM open
    WHERE claims AND id_hash IN (
        SELECT id_hash FROM copies GROUP BY id_hash HAVING count() > 1)
), winners AS (
    SELECT * FROM several
    ORDER BY appended_at, topic, partition, offset
    LIMIT 1 BY call_id
)
SELECT {as_of}, c.topic, c.partition, c.offset, c.appended_at, c.call_id,
    c.billing_hash != w.billing_hash, w.topic, w.partition, w.offset
FROM several AS c
INNER JOIN winners AS w ON w.call_id = c.call_id
WHERE (c.topic, c.partition, c.offset) != (w.topic, w.partition, w.offset)
SETTINGS do_not_merge_across_partitions_select_final = 1`

// sweepLosers are copies of calls that closings have taken, each with what was taken.
const sweepLosers = sweepCommon + `
SELECT c.topic, c.partition, c.offset, c.appended_at, c.call_id, c.account_id, c.occurred_at,
    c.billing_hash, t.topic, t.partition, t.offset, t.caller, t.occurred_at
FROM copies AS c
INNER JOIN taken AS t ON t.call_id = c.call_id
WHERE c.claims AND (c.topic, c.partition, c.offset) != (t.topic, t.partition, t.offset)
SETTINGS do_not_merge_across_partitions_select_final = 1`

func sweepStatement(
	sql string, asOf billing.Instant, openFrom billing.Day, slice, slices uint64,
) string {
	return strings.NewReplacer("{as_of}", micros(asOf), "{slice}", fmt.Sprint(slice),
		"{slices}", fmt.Sprint(slices), "{window}", windowOf(openFrom)).Replace(sql)
}

// windowOf is the condition on append time under which copies can belong to open days.
func windowOf(openFrom billing.Day) string {
	return fmt.Sprintf("appended_at >= toDateTime64('%s 00:00:00', 3, 'Asia/Shanghai')", openFrom-1)
}

// micros is an instant as an SQL literal of the tables' type.
func micros(i billing.Instant) string {
	return fmt.Sprintf("fromUnixTimestamp64Micro(toInt64(%d), 'Asia/Shanghai')", int64(i))
}

// tablesZone is that of the tables' times.
var tablesZone = time.FixedZone("Asia/Shanghai", 8*60*60)

// exactly is an instant as an argument that a column of times with fractions is compared with. The
// driver writes a time.Time in whole seconds, and ClickHouse, choosing by index, then compares
// seconds: 23:59:59.5 is not before midnight.
func exactly(i billing.Instant) string {
	return i.Time().In(tablesZone).Format("2006-01-02 15:04:05.000000")
}

func (s *Store) markSweep(
	ctx context.Context, r *stored.Sweep, openFrom billing.Day, start time.Time,
) error {
	err := s.conn.QueryRow(ctx, "SELECT count() FROM open_usage WHERE as_of = "+micros(r.AsOf)).
		Scan(&r.Rows)
	if err != nil {
		return s.options.explain("count the sweep", err)
	}
	r.Seconds = decimal.New(time.Since(start).Milliseconds(), -3)
	return s.insert(ctx, "usage_sweeps", []column{
		{"as_of", []time.Time{r.AsOf.Time()}},
		{"open_from", []time.Time{dayTime(openFrom)}},
		{"finished_at", []time.Time{time.Now()}},
		{"rows", []uint64{r.Rows}},
		{"seconds", []decimal.Decimal{r.Seconds}},
	})
}

// dropOldSweeps drops all but the last complete sweeps, and what incomplete ones before them left.
func (s *Store) dropOldSweeps(ctx context.Context) error {
	for _, table := range sweptTables {
		err := s.dropSweeps(ctx, table, fmt.Sprintf("as_of < (SELECT min(as_of) FROM "+
			"(SELECT DISTINCT as_of FROM usage_sweeps ORDER BY as_of DESC LIMIT %d))", sweepsKept))
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) dropSweeps(ctx context.Context, table, condition string) error {
	rows, err := s.conn.Query(ctx, "SELECT DISTINCT _partition_id FROM "+table+" WHERE "+condition)
	if err != nil {
		return s.options.explain("list the sweeps", err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return s.options.explain("list the sweeps", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return s.options.explain("list the sweeps", err)
	}
	for _, id := range ids {
		err := s.exec(ctx, "drop an old sweep", "ALTER TABLE "+s.options.parts(table)+
			" DROP PARTITION ID ?", id)
		if err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/cespare/xxhash/v2"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// answers are what a contender has to have stored: for each account and day how many calls, every
// call once, and the sum of their hashes. They are the same for two sets of calls only if every
// call is, in all fields that a record has.
type answers map[accountDay]sums

type accountDay struct {
	account string
	day     billing.Day
}

type sums struct{ calls, hashes uint64 }

// add counts a call that has not been counted yet.
func (a answers) add(c *billing.CallRecord, cat *catalog.Catalog) {
	key := accountDay{c.AccountID, billing.DayOf(c.OccurredAt, cat.Settings.Zone)}
	s, known := a[key]
	if !known {
		key.account = strings.Clone(key.account) // else the whole record stays in memory
	}
	a[key] = sums{s.calls + 1, s.hashes + hashOf(c, cat)}
}

// hashOf is what hashSQL computes in ClickHouse.
func hashOf(c *billing.CallRecord, cat *catalog.Catalog) uint64 {
	var dims []string
	for i := range cat.Dimensions {
		if c.Dims[i] != "" {
			dims = append(dims, cat.Dimensions[i].Name+"="+c.Dims[i])
		}
	}
	slices.Sort(dims)
	return xxhash.Sum64String(strings.Join([]string{c.CallID, c.AccountID,
		strconv.FormatInt(c.OccurredAt.Time().UnixMicro(), 10), c.ResultCode, c.NeedCharge,
		c.SDK.Platform, c.SDK.Name, c.SDK.Version, strings.Join(dims, ",")}, "|"))
}

const hashSQL = `xxHash64(concat(call_id, '|', account_id, '|',
	toString(toUnixTimestamp64Micro(occurred_at)), '|', result_code, '|', need_charge, '|',
	sdk_platform, '|', sdk_name, '|', sdk_version, '|',
	arrayStringConcat(arraySort(arrayMap((k, v) -> concat(k, '=', v), mapKeys(dims),
		mapValues(dims))), ',')))`

// stored reads the answers of a contender. Copies that do not differ count once, merged or not.
func stored(ctx context.Context, conn driver.Conn) (answers, error) {
	rows, err := conn.Query(ctx, `SELECT account_id, toDate(occurred_at), count(), sum(hash)
		FROM (SELECT DISTINCT account_id, occurred_at, call_id, `+hashSQL+` AS hash FROM call_copies)
		GROUP BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("read the answers: %w", err)
	}
	defer rows.Close() //nolint:errcheck // only read
	all := answers{}
	for rows.Next() {
		var account string
		var day time.Time
		var s sums
		if err := rows.Scan(&account, &day, &s.calls, &s.hashes); err != nil {
			return nil, fmt.Errorf("read the answers: %w", err)
		}
		all[accountDay{account, billing.DateOf(day.Year(), day.Month(), day.Day())}] = s
	}
	return all, rows.Err()
}

// difference says how answers differ from the right ones; "" where they do not.
func (a answers) difference(right answers) string {
	var wrong []string
	for key, want := range right { // sorted below
		if got := a[key]; got != want {
			wrong = append(wrong, fmt.Sprintf("account %s on %s: %d calls, right are %d%s",
				key.account, key.day, got.calls, want.calls, sameCount(got, want)))
		}
	}
	for key, got := range a { // sorted below
		if _, ok := right[key]; !ok {
			wrong = append(wrong, fmt.Sprintf("account %s on %s: %d calls, right are none", key.account,
				key.day, got.calls))
		}
	}
	if len(wrong) == 0 {
		return ""
	}
	slices.Sort(wrong)
	return fmt.Sprintf("%d of %d accounts and days differ; %s", len(wrong), len(right), wrong[0])
}

func sameCount(got, want sums) string {
	if got.calls == want.calls {
		return ", but not these"
	}
	return ""
}

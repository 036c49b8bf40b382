package clickhouse

import (
	"context"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/observe"
)

// ExpiresWithin is how near its end a package with calls left is told as expiring, in days.
const ExpiresWithin = 7

// Survey counts what stands in the database, for metrics. It reads columns of all accounts and of
// what is in quarantine, and says nothing about any single one.
func (s *Store) Survey(ctx context.Context) (*observe.Survey, error) {
	out := &observe.Survey{Accounts: map[string]int64{}, Quarantine: map[string]observe.Held{}}
	for _, status := range []billing.Status{billing.Active, billing.InArrears, billing.Suspended} {
		out.Accounts[string(status)] = 0
	}
	err := s.each(ctx, "count the accounts", `
		SELECT if(c.status = '', 'active', c.status) AS now, toInt64(count())
		FROM (SELECT DISTINCT account_id FROM account_states WHERE closed_at IN `+done+`) AS a
		LEFT ANY JOIN (
			SELECT account_id, toString(argMax(status, (effective_at, provisional))) AS status
			FROM service_status GROUP BY account_id) AS c ON c.account_id = a.account_id
		GROUP BY now SETTINGS join_use_nulls = 0`, nil, func(rows driverRows) error {
		var status string
		var n int64
		err := rows.Scan(&status, &n)
		out.Accounts[status] = n
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, s.each(ctx, "count the quarantine", `
		SELECT toString(reason), toInt64(count()), min(appended_at) FROM quarantine
		GROUP BY reason`, nil, func(rows driverRows) error {
		var reason string
		var held observe.Held
		err := rows.Scan(&reason, &held.Records, &held.Oldest)
		out.Quarantine[reason] = held
		return err
	})
}

// done are the closings that are done.
const done = `(SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')`

// Packages counts the packages with calls left as of the closing of a day: live ones, those that
// are nearly used up, and those that end soon.
func (s *Store) Packages(ctx context.Context, closed billing.Day) (map[string]int64, error) {
	var live, nearlyUsed, expiring int64
	today := int64(closed) + 1
	err := s.conn.QueryRow(ctx, `
		SELECT toInt64(count()), toInt64(countIf(left * 10 <= quota)),
			toInt64(countIf(toInt64(end_day) - ? <= ?))
		FROM package_balances
		WHERE NOT refunded AND left > 0 AND toInt64(first_day) <= ? AND toInt64(end_day) > ?`,
		today, int64(ExpiresWithin), today, today).Scan(&live, &nearlyUsed, &expiring)
	if err != nil {
		return nil, s.options.explain("count the packages", err)
	}
	return map[string]int64{"live": live, "nearly_used": nearlyUsed, "expiring": expiring}, nil
}

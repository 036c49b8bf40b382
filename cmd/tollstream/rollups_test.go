package main

import "testing"

// takenCopies are the calls that closings took, each with the copy that counts.
const takenCopies = ` FROM taken_calls AS t FINAL INNER JOIN call_copies AS c FINAL
	ON c.topic = t.topic AND c.partition = t.partition AND c.offset = t.offset `

// rollups are tables and views that repeat or count what closings wrote, each with a statement that
// says the same from what they wrote first.
var rollups = map[string]string{
	"SELECT bill_id, account_id, cycle, period, period_start, period_end, closed_at, total, " +
		"balance_after, lines FROM bill_totals": "SELECT bill_id, account_id, cycle, period, " +
		"period_start, period_end, closed_at, total, balance_after, lines FROM bills",
	"SELECT bill_id, line_no, closed_at, kind, tag, tag_name, quantity, amount FROM line_totals": "" +
		"SELECT bill_id, line_no, closed_at, kind, tag, tag_name, quantity, amount FROM bill_lines",
	"SELECT account_id, tag, package_id, closed_at, occurred_at, call_id, caller, day, outcome, " +
		"topic, partition, offset FROM taken_by_line FINAL": "SELECT account_id, tag, package_id, " +
		"closed_at, occurred_at, call_id, caller, day, outcome, topic, partition, offset " +
		"FROM taken_calls FINAL",
	"SELECT call_id, toString(result_code) FROM taken_by_line FINAL": "SELECT t.call_id, " +
		"toString(c.result_code)" + takenCopies,
	`SELECT account_id, day, tag, sum(u.charged), sum(u.free), sum(u.covered), sum(u.postpaid),
		sum(u.uncovered), sum(u.waiting), state FROM usage_by_channel AS u
		GROUP BY account_id, day, tag, state`: `SELECT account_id, day, tag, charged, free, covered,
		postpaid, uncovered, waiting, state FROM usage_daily`,
	"SELECT DISTINCT account_id, cohort FROM usage_by_channel WHERE state = 'closed'": "" +
		"SELECT DISTINCT account_id, JSONExtractString(state, 'Cohort') " +
		"FROM account_states FINAL " +
		"WHERE account_id IN (SELECT account_id FROM taken_calls)",
	"SELECT account_id, package_id, closed_at, calls FROM package_use": "SELECT account_id, " +
		"package_id, closed_at, count() FROM taken_calls FINAL WHERE package_id != '' " +
		"GROUP BY account_id, package_id, closed_at",
	"SELECT account_id, package_id, tag, free, quota, used, first_day, end_day, refunded, as_of " +
		"FROM package_balances": `SELECT account_id, JSONExtractString(p, 'ID'),
			JSONExtractString(p, 'Tag'), JSONExtractBool(p, 'Free'), JSONExtractUInt(p, 'Quota'),
			JSONExtractUInt(p, 'Used'), toDate(JSONExtractUInt(p, 'First')),
			toDate(JSONExtractUInt(p, 'End')), JSONExtractBool(p, 'Refunded'), closed_at
		FROM (SELECT account_id, max(closed_at) AS closed_at,
			arrayJoin(JSONExtractArrayRaw(argMax(state, account_states.closed_at), 'Packages')) AS p
			FROM account_states GROUP BY account_id)`,
	`SELECT account_id, day, sdk_platform, sdk_name, sdk_version, sum(c.calls)
		FROM client_calls AS c WHERE state = 'closed'
		GROUP BY account_id, day, sdk_platform, sdk_name, sdk_version`: `SELECT t.account_id, t.day,
		c.sdk_platform, c.sdk_name, c.sdk_version, count()` + takenCopies + `
		WHERE c.sdk_name != '' OR c.sdk_version != '' GROUP BY 1, 2, 3, 4, 5`,
	`SELECT account_id, day, channel, result_code, need_charge, charged, code_known, sum(c.calls)
		FROM doubtful_codes AS c WHERE state = 'closed'
		GROUP BY account_id, day, channel, result_code, need_charge, charged, code_known`: `
		SELECT c.account_id, t.day, c.channel, c.result_code, c.need_charge, c.charged, c.code_known,
		count()` + takenCopies + `WHERE NOT c.code_known OR c.need_charge != ''
			AND c.need_charge != toString(c.charged) GROUP BY 1, 2, 3, 4, 5, 6, 7`,
}

// checkRollups compares what dashboards read with what it repeats, on the demo's month. EXCEPT
// counts equal rows, so that one too many is seen.
func checkRollups(t *testing.T, server string) {
	t.Helper()
	count := func(sql string) string {
		return tsv(t, server, "SELECT count() AS n FROM ("+sql+")")[1][0]
	}
	for have, want := range rollups {
		if count(have) == "0" {
			t.Errorf("no rows: %s", have)
		}
		for _, sql := range []string{have + " EXCEPT " + want, want + " EXCEPT " + have} {
			if n := count(sql); n != "0" {
				t.Errorf("%s rows are not on both sides: %s", n, sql)
			}
		}
	}
}

package clickhouse

import (
	"fmt"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// Conditions on the views reach the keys of the tables: a question about one account reads a few
// granules of many, through FINAL, the anti-join and the explicit columns of the view.
func TestConditionsReachTheKeys(t *testing.T) {
	s := newStore(t)
	start := at(t, "2026-03-01T00:00:00+08:00")
	var calls []stored.Call
	for i := range 60_000 {
		occurred := start + billing.Instant(i)*billing.Second
		calls = append(calls, call(fmt.Sprintf("call-%06d", i), fmt.Sprintf("acc-%02d", i%20),
			occurred, occurred, int64(i)))
	}
	write(t, s, batchOf(calls...))
	merge(t, s)
	for _, query := range []string{
		"SELECT * FROM calls WHERE account_id = 'acc-07'",
		"SELECT count() FROM calls WHERE account_id IN ('acc-07') AND day = '2026-03-01'",
		"SELECT * FROM calls_billed WHERE account_id = 'acc-07' AND day = '2026-03-01'",
		"SELECT count() FROM need_charge_conflicts WHERE account_id = 'acc-07'",
	} {
		plan := strings.Join(rowTexts(t, s, "explain",
			"FROM (EXPLAIN indexes = 1 "+query+")"), "\n")
		_, keys, _ := strings.Cut(plan, "call_copies")
		_, keys, found := strings.Cut(keys, "PrimaryKey")
		if !found || !strings.Contains(keys, "account_id in") ||
			strings.Contains(keys, "Condition: true\n") && !strings.Contains(keys, "account_id") {
			t.Errorf("%s does not use the key of call_copies:\n%s", query, plan)
			continue
		}
		var have, all int
		line := keys[strings.Index(keys, "Granules: "):]
		if _, err := fmt.Sscanf(line, "Granules: %d/%d", &have, &all); err != nil || have*2 > all {
			t.Errorf("%s reads %d of %d granules (%v):\n%s", query, have, all, err, plan)
		}
	}
}

package clickhouse

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/remake"
	"tollstream/pipeline/simulate"
	"tollstream/pipeline/stored"
	"tollstream/pipeline/verify"
)

// longLists lets a query carry thousands of ids, for which ClickHouse's usual 256 KiB is too short.
func longLists(ctx context.Context) context.Context {
	return driver.Context(ctx, driver.WithSettings(driver.Settings{"max_query_size": 64 << 20}))
}

// CatalogFile implements remake.Source.
func (s *Store) CatalogFile(ctx context.Context, digest string) ([]byte, error) {
	var file string
	err := s.conn.QueryRow(ctx, "SELECT yaml FROM catalogs FINAL WHERE digest = ?", digest).
		Scan(&file)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("the table catalogs has no catalogue %.12s: %w; start the command "+
			"with the catalogue that made the bill, or put its row back", digest, ErrNotFound)
	}
	return []byte(file), s.options.explain("read a catalogue", err)
}

// EventsAbout implements remake.Source.
func (s *Store) EventsAbout(ctx context.Context, ids []string) ([]remake.Event, error) {
	const sub = "if(type = 'sub_account.added', JSONExtractString(value, 'sub_account_id'), '')"
	var out []remake.Event
	err := s.each(longLists(ctx), "read account events", `SELECT topic, partition, offset,
			appended_at, account_id, `+sub+`, value
		FROM account_events FINAL WHERE account_id IN (?) OR `+sub+` IN (?)
			OR event_id IN (SELECT event_id FROM account_events WHERE account_id IN (?))
		ORDER BY appended_at, topic, partition, offset`, []any{ids, ids, ids},
		func(rows driverRows) error {
			var e remake.Event
			var appended time.Time
			var value string
			at := &e.Arrival
			err := rows.Scan(&at.Topic, &at.Partition, &at.Offset, &appended, &e.AccountID,
				&e.SubAccountID, &value)
			at.Appended, e.Value = billing.InstantOf(appended), []byte(value)
			out = append(out, e)
			return err
		})
	return out, err
}

// CopiesOf implements remake.Source. It reads without FINAL: a later copy with the key of an
// earlier one can have been what a closing saw, if the earlier one lay outside its window.
func (s *Store) CopiesOf(ctx context.Context, ids []string, each func(*remake.Call)) error {
	const mine = " FROM call_copies WHERE account_id IN (?)"
	return s.each(longLists(ctx), "read calls", `SELECT call_id, account_id, occurred_at, dims,
			result_code, need_charge, sdk_platform, sdk_name, sdk_version, topic, partition, offset,
			appended_at
		FROM call_copies WHERE id_hash IN (SELECT id_hash`+mine+`)
			AND call_id IN (SELECT call_id`+mine+`)
		LIMIT 1 BY topic, partition, offset`, []any{ids, ids},
		func(rows driverRows) error {
			c := &remake.Call{}
			var occurred, appended time.Time
			err := rows.Scan(&c.CallID, &c.AccountID, &occurred, &c.Dimensions, &c.ResultCode,
				&c.NeedCharge, &c.SDK.Platform, &c.SDK.Name, &c.SDK.Version, &c.Arrival.Topic,
				&c.Arrival.Partition, &c.Arrival.Offset, &appended)
			c.OccurredAt, c.Arrival.Appended = billing.InstantOf(occurred), billing.InstantOf(appended)
			if err == nil {
				each(c)
			}
			return err
		})
}

// StoredBills implements verify.Source and simulate.Source.
func (s *Store) StoredBills(
	ctx context.Context, accounts []string, from, to billing.Instant,
) ([]*stored.Bill, error) {
	var c conditions
	c.add("account_id IN (?)", accounts)
	if from != 0 {
		c.add("closed_at >= ?", from.Time())
	}
	if to != 0 {
		c.add("closed_at <= ?", to.Time())
	}
	byID := map[string]*stored.Bill{}
	var out []*stored.Bill
	err := s.each(longLists(ctx), "read bills", `SELECT bill_id, account_id, cycle, period, period_start,
			period_end, closed_at, currency, catalog_version, catalog_digest, rule_version, total,
			balance_before, balance_after, previous_digest, digest, lines, json
		FROM bills`+c.where()+` ORDER BY account_id, closed_at, bill_id`, c.args,
		func(rows driverRows) error {
			bill, err := scanStored(rows)
			if err != nil {
				return err
			}
			byID[bill.Row.BillID] = bill
			out = append(out, bill)
			return nil
		})
	if err != nil {
		return nil, err
	}
	err = s.each(longLists(ctx), "read bill lines", `SELECT bill_id, line_no, kind, tag, tag_name, period,
			quantity, unit_price, amount, package_id, flags, explain
		FROM bill_lines`+c.where()+` ORDER BY bill_id, line_no`, c.args,
		func(rows driverRows) error {
			var id string
			l, err := scanLine(rows, &id)
			if err != nil {
				return fmt.Errorf("bill %s: %w", id, err)
			}
			if bill := byID[id]; bill != nil {
				bill.Row.Lines = append(bill.Row.Lines, l)
			}
			return nil
		})
	return out, err
}

func scanStored(rows driverRows) (*stored.Bill, error) {
	b := &billing.Bill{}
	var cycle, period, text string
	var start, end, closed time.Time
	var rules, lines uint32
	err := rows.Scan(&b.BillID, &b.AccountID, &cycle, &period, &start, &end, &closed, &b.Currency,
		&b.CatalogVersion, &b.CatalogDigest, &rules, &b.Total, &b.BalanceBefore, &b.BalanceAfter,
		&b.PreviousDigest, &b.Digest, &lines, &text)
	if err != nil {
		return nil, err
	}
	if b.Period, err = billing.ParsePeriod(period); err != nil {
		return nil, fmt.Errorf("bill %s: %w", b.BillID, err)
	}
	b.Period.Cycle, b.RuleVersion = billing.Cycle(cycle), int(rules)
	b.PeriodStart, b.PeriodEnd = billing.InstantOf(start), billing.InstantOf(end)
	b.ClosedAt = billing.InstantOf(closed)
	return &stored.Bill{JSON: []byte(text), Row: b, Lines: int(lines)}, nil
}

func scanLine(rows driverRows, bill *string) (billing.BillLine, error) {
	var l billing.BillLine
	var no uint32
	var kind, explain string
	err := rows.Scan(bill, &no, &kind, &l.Tag, &l.TagName, &l.Period, &l.Quantity, &l.UnitPrice,
		&l.Amount, &l.PackageID, &l.Flags, &explain)
	if err != nil {
		return l, err
	}
	l.No, l.Kind = int(no), billing.LineKind(kind)
	var steps []wireStep
	if err := json.Unmarshal([]byte(explain), &steps); err != nil {
		return l, fmt.Errorf("line %d: explain: %w", no, err)
	}
	l.Explain = stepsOf(steps)
	return l, nil
}

// AccountCalls is a main account with the number of its calls that closings took.
type AccountCalls struct {
	AccountID string
	Calls     uint64
}

// VerifiableAccounts lists the accounts that can have bills: those that an event opens, and those
// of which there are bills.
func (s *Store) VerifiableAccounts(ctx context.Context) ([]AccountCalls, error) {
	var out []AccountCalls
	err := s.each(ctx, "list the accounts", `SELECT account_id, sum(n) FROM (
			SELECT account_id, toUInt64(0) AS n FROM account_events WHERE type = 'account.opened'
			UNION ALL SELECT account_id, toUInt64(0) AS n FROM bills
			UNION ALL SELECT account_id, count() AS n FROM taken_calls GROUP BY account_id)
		GROUP BY account_id ORDER BY account_id`, nil, func(rows driverRows) error {
		var a AccountCalls
		err := rows.Scan(&a.AccountID, &a.Calls)
		out = append(out, a)
		return err
	})
	return out, err
}

var (
	_ verify.Source   = (*Store)(nil)
	_ simulate.Source = (*Store)(nil)
)

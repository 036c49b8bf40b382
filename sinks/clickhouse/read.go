package clickhouse

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/report"
	"tollstream/pipeline/stored"
)

// rowsReadMax bounds every list that is read whole; a longer one asks for a narrower filter.
const rowsReadMax = 100_000

// ErrNotFound says that there is no bill of that id.
var ErrNotFound = errors.New("not found")

// BillFilter chooses bills; zero fields choose everything.
type BillFilter struct {
	Account  string
	Cycle    billing.Cycle
	From, To billing.Day // periods that lie in [From, To); 0 is open
	Limit    int         // default and at most 100,000
}

// conditions collects parts of a WHERE with their parameters, so that no value is ever pasted
// into SQL.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(part string, args ...any) {
	c.parts = append(c.parts, part)
	c.args = append(c.args, args...)
}

func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

func limitOf(n int) int {
	if n <= 0 || n > rowsReadMax {
		return rowsReadMax
	}
	return n
}

// Bills lists bills with their lines, in the order (closed_at, account_id).
func (s *Store) Bills(ctx context.Context, f BillFilter) ([]*billing.Bill, error) {
	var out []*billing.Bill
	err := s.EachBill(ctx, f, func(raw []byte) error {
		b, err := DecodeBill(raw)
		out = append(out, b)
		return err
	})
	return out, err
}

// BillTotal is a bill without its lines and their explanations.
type BillTotal struct {
	BillID              string
	Cycle               billing.Cycle
	ClosedAt            billing.Instant
	Lines               int
	Total, BalanceAfter decimal.Decimal
	Currency            string
}

// BillTotals lists bills without their lines, in the order (closed_at, account_id). An account's
// bills stand together in one table, those of a closing in the other.
func (s *Store) BillTotals(ctx context.Context, f BillFilter) ([]BillTotal, error) {
	view := "bill_totals"
	if f.Account != "" {
		view = "bills"
	}
	c := f.conditions()
	sql := fmt.Sprintf("SELECT bill_id, cycle, closed_at, lines, total, balance_after, currency "+
		"FROM %s%s ORDER BY closed_at, account_id, bill_id LIMIT %d", view, c.where(), limitOf(f.Limit))
	var out []BillTotal
	err := s.each(ctx, "list bills", sql, c.args, func(rows driverRows) error {
		var b BillTotal
		var cycle string
		var closed time.Time
		var lines uint32
		err := rows.Scan(&b.BillID, &cycle, &closed, &lines, &b.Total, &b.BalanceAfter, &b.Currency)
		b.Cycle, b.ClosedAt, b.Lines = billing.Cycle(cycle), billing.InstantOf(closed), int(lines)
		out = append(out, b)
		return err
	})
	return out, err
}

// EachBill gives the canonical JSON of each bill in the order (closed_at, account_id). It reads
// what the view bills shows, without FINAL, and finds out first which bills it is about: else it
// would read the texts of all bills for those of a few. A bill that was written twice is the same
// twice.
func (s *Store) EachBill(ctx context.Context, f BillFilter, each func(raw []byte) error) error {
	c := f.conditions()
	c.add("closed_at IN " + done)
	const inOrder = " ORDER BY closed_at, account_id, bill_id LIMIT 1 BY bill_id"
	sql := fmt.Sprintf("SELECT json FROM closed_bills "+
		"WHERE (closed_at, account_id, bill_id) IN "+
		"(SELECT closed_at, account_id, bill_id FROM closed_bills%[1]s%[2]s LIMIT %[3]d)%[2]s",
		c.where(), inOrder, limitOf(f.Limit))
	return s.each(ctx, "read bills", sql, c.args, func(rows driverRows) error {
		var raw string
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		return each([]byte(raw))
	})
}

// conditions are those on the views bills and bill_totals, and on the table behind bills.
func (f *BillFilter) conditions() *conditions {
	c := &conditions{}
	if f.Account != "" {
		c.add("account_id = ?", f.Account)
	}
	if f.Cycle != "" {
		c.add("toString(cycle) = ?", string(f.Cycle))
	}
	if f.From != 0 {
		c.add("toDate(period_start) >= toDate(?)", f.From.String())
	}
	if f.To != 0 {
		c.add("toDate(period_end) <= toDate(?)", f.To.String())
	}
	return c
}

// driverRows is what each hands out: the current row.
type driverRows interface{ Scan(dest ...any) error }

// each runs a query and calls row for every row of its result.
func (s *Store) each(
	ctx context.Context, doing, query string, args []any, row func(driverRows) error,
) error {
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	for rows.Next() {
		if err := row(rows); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	if err := rows.Err(); err != nil {
		return s.options.explain(doing, err)
	}
	return nil
}

// BillJSON is the canonical JSON of a bill, as it was made; ErrNotFound where there is none.
func (s *Store) BillJSON(ctx context.Context, id string) ([]byte, error) {
	slash := strings.LastIndexByte(id, '/')
	if slash < 0 {
		return nil, fmt.Errorf("%q is no bill id (account/period, such as 1001/2023-01)", id)
	}
	var raw string
	err := s.conn.QueryRow(ctx, "SELECT json FROM bills WHERE account_id = ? AND bill_id = ? LIMIT 1",
		id[:slash], id).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("bill %s: %w: tollstream bills list shows which there are",
			id, ErrNotFound)
	}
	return []byte(raw), s.options.explain("read bill "+id, err)
}

// Bill reads a bill with its lines and their explanations.
func (s *Store) Bill(ctx context.Context, id string) (*billing.Bill, error) {
	raw, err := s.BillJSON(ctx, id)
	if err != nil {
		return nil, err
	}
	return DecodeBill(raw)
}

// Lines reads the lines of a bill from the view bill_lines.
func (s *Store) Lines(ctx context.Context, id string) ([]billing.BillLine, error) {
	var out []billing.BillLine
	account := id[:max(strings.LastIndexByte(id, '/'), 0)]
	err := s.each(ctx, "read the lines of "+id, "SELECT line_no, kind, tag, tag_name, period, "+
		"quantity, unit_price, amount, package_id, flags, explain FROM bill_lines "+
		"WHERE account_id = ? AND bill_id = ? ORDER BY line_no", []any{account, id},
		func(rows driverRows) error {
			var l billing.BillLine
			var no uint32
			var kind, explain string
			err := rows.Scan(&no, &kind, &l.Tag, &l.TagName, &l.Period, &l.Quantity, &l.UnitPrice,
				&l.Amount, &l.PackageID, &l.Flags, &explain)
			if err != nil {
				return err
			}
			l.No, l.Kind = int(no), billing.LineKind(kind)
			var steps []wireStep
			if err := json.Unmarshal([]byte(explain), &steps); err != nil {
				return fmt.Errorf("line %d: explain: %w", no, err)
			}
			l.Explain = stepsOf(steps)
			out = append(out, l)
			return nil
		})
	return out, err
}

// SDKUses counts the calls of days in [from, to) that name a client library, 0 being open, by
// account, library, version and day.
func (s *Store) SDKUses(ctx context.Context, from, to billing.Day) ([]report.SDKUse, error) {
	var c conditions
	if from != 0 {
		c.add("day >= toDate(?)", from.String())
	}
	if to != 0 {
		c.add("day < toDate(?)", to.String())
	}
	sql := `SELECT account_id, sdk_platform, sdk_name, sdk_version, day, sum(c.calls)
		FROM client_calls AS c` + c.where() + `
		GROUP BY account_id, sdk_platform, sdk_name, sdk_version, day`
	var out []report.SDKUse
	err := s.each(ctx, "count calls by client library", sql, c.args, func(rows driverRows) error {
		var u report.SDKUse
		var day time.Time
		var calls uint64
		err := rows.Scan(&u.AccountID, &u.SDK.Platform, &u.SDK.Name, &u.SDK.Version, &day, &calls)
		u.Day, u.Calls = billing.DateOf(day.Date()), int64(calls)
		out = append(out, u)
		return err
	})
	return out, err
}

// QuarantineFilter chooses records of the open quarantine; zero fields choose everything.
type QuarantineFilter struct {
	Reason  billing.Reason
	Account string
	Since   billing.Instant // by append time
	Limit   int             // default and at most 100,000
}

// Quarantine lists records in quarantine in the order of their arrival.
func (s *Store) Quarantine(ctx context.Context, f QuarantineFilter) ([]stored.Quarantined, error) {
	var c conditions
	if f.Reason != "" {
		c.add("reason = ?", string(f.Reason))
	}
	if f.Account != "" {
		c.add("account_id = ?", f.Account)
	}
	if f.Since != 0 {
		c.add("appended_at >= " + micros(f.Since))
	}
	sql := fmt.Sprintf("SELECT topic, partition, offset, appended_at, key, value, headers, reason, "+
		"detail, account_id, call_or_event_id FROM quarantine%s "+
		"ORDER BY appended_at, topic, partition, offset LIMIT %d", c.where(), limitOf(f.Limit))
	var out []stored.Quarantined
	err := s.each(ctx, "read the quarantine", sql, c.args, func(rows driverRows) error {
		var r stored.Quarantined
		var appended time.Time
		var key, value, reason string
		at := &r.Arrival
		err := rows.Scan(&at.Topic, &at.Partition, &at.Offset, &appended, &key, &value, &r.Headers,
			&reason, &r.Refusal.Detail, &r.AccountID, &r.ID)
		at.Appended = billing.InstantOf(appended)
		r.Key, r.Value, r.Refusal.Reason = []byte(key), []byte(value), billing.Reason(reason)
		out = append(out, r)
		return err
	})
	return out, err
}

// Settlement is a closing as the view settlements shows it.
type Settlement struct {
	ClosedAt                      billing.Instant
	Day                           billing.Day
	State                         string // decided or closed
	CatalogDigest, CatalogVersion string
	RuleVersion                   int
	Barriers, Books, Gaps         string // JSON
	ClusterID                     string
	Bills, Calls                  uint64
	FinishedAt                    time.Time
}

// Settlements lists the closings in their order.
func (s *Store) Settlements(ctx context.Context) ([]Settlement, error) {
	var out []Settlement
	sql := fmt.Sprintf("SELECT closed_at, toString(day), state, catalog_digest, catalog_version, "+
		"rule_version, barriers, books, gaps, cluster_id, bills, calls, finished_at FROM settlements "+
		"ORDER BY closed_at LIMIT %d", rowsReadMax)
	err := s.each(ctx, "read the settlements", sql, nil, func(rows driverRows) error {
		var r Settlement
		var closed time.Time
		var day string
		var version uint32
		err := rows.Scan(&closed, &day, &r.State, &r.CatalogDigest, &r.CatalogVersion, &version,
			&r.Barriers, &r.Books, &r.Gaps, &r.ClusterID, &r.Bills, &r.Calls, &r.FinishedAt)
		if err != nil {
			return err
		}
		r.ClosedAt, r.RuleVersion = billing.InstantOf(closed), int(version)
		r.Day, err = billing.ParseDay(day)
		out = append(out, r)
		return err
	})
	return out, err
}

package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// Versions of a settlement's row: what is closed goes before what is decided.
const (
	decidedVersion = 1
	closedVersion  = 2
)

// WriteSettlement implements settle.Store.
func (s *Store) WriteSettlement(
	ctx context.Context, st *stored.Settlement, books *settle.Books,
) error {
	state, version, counted := "decided", uint64(decidedVersion), &settle.Books{}
	if books != nil {
		state, version, counted = "closed", closedVersion, books
	}
	lists := make([]string, 3) // as JSON; an empty list is [], not null
	for i, list := range []any{st.Barriers, append([]settle.PartitionBooks{}, counted.Partitions...),
		append([]stored.Gap{}, st.Gaps...)} {
		text, err := json.Marshal(list)
		if err != nil {
			return fmt.Errorf("settlement of %s: %w", st.Day, err)
		}
		lists[i] = string(text)
	}
	return s.insert(ctx, "settlement_records", []column{
		{"closed_at", []time.Time{st.ClosedAt.Time()}},
		{"day", []time.Time{dayTime(st.Day)}},
		{"state", []string{state}},
		{"catalog_digest", []string{st.CatalogDigest}},
		{"catalog_version", []string{st.CatalogVersion}},
		{"rule_version", []uint32{uint32(st.RuleVersion)}},
		{"barriers", []string{lists[0]}},
		{"books", []string{lists[1]}},
		{"gaps", []string{lists[2]}},
		{"cluster_id", []string{st.ClusterID}},
		{"bills", []uint64{uint64(counted.Totals.Bills)}},
		{"calls", []uint64{uint64(counted.Totals.Calls)}},
		{"finished_at", []time.Time{time.Now()}},
		{"version", []uint64{version}},
	})
}

// For implements settle.Store. The connections are shared; the first store closes them.
func (s *Store) For(cat *catalog.Catalog) settle.Store { return s.Using(cat) }

// Using is For, as a Store.
func (s *Store) Using(cat *catalog.Catalog) *Store {
	return &Store{options: s.options.For(cat), conn: s.conn, tables: map[string]tableColumns{},
		blocks: s.blocks}
}

// KeepCatalog implements settle.Store: every catalogue that judged something is kept by its digest.
func (s *Store) KeepCatalog(ctx context.Context, cat *catalog.Catalog) error {
	return s.insert(ctx, "catalogs", []column{
		{"digest", []string{cat.Digest}},
		{"product", []string{cat.Product}},
		{"version", []string{cat.Version}},
		{"yaml", []string{string(cat.File)}},
		{"stored_at", []time.Time{time.Now()}},
	})
}

// ClosedSettlements implements settle.Store.
func (s *Store) ClosedSettlements(ctx context.Context) ([]stored.Settlement, error) {
	const doing = "read settlements"
	rows, err := s.conn.Query(ctx, `SELECT closed_at, day, catalog_digest, catalog_version,
		rule_version, cluster_id, barriers, gaps FROM settlement_records FINAL
		WHERE state = 'closed' ORDER BY closed_at`)
	if err != nil {
		return nil, s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var out []stored.Settlement
	for rows.Next() {
		var st stored.Settlement
		var closedAt, day time.Time
		var rules uint32
		var barriers, gaps string
		err := rows.Scan(&closedAt, &day, &st.CatalogDigest, &st.CatalogVersion, &rules,
			&st.ClusterID, &barriers, &gaps)
		if err != nil {
			return nil, s.options.explain(doing, err)
		}
		if err := json.Unmarshal([]byte(barriers), &st.Barriers); err != nil {
			return nil, fmt.Errorf("settlement of %s: barriers: %w", day.Format(time.DateOnly), err)
		}
		if err := json.Unmarshal([]byte(gaps), &st.Gaps); err != nil {
			return nil, fmt.Errorf("settlement of %s: gaps: %w", day.Format(time.DateOnly), err)
		}
		st.ClosedAt, st.RuleVersion = billing.InstantOf(closedAt), int(rules)
		st.Day = billing.DateOf(day.Date())
		out = append(out, st)
	}
	return out, s.options.explain(doing, rows.Err())
}

// LastClosedDay gives the day of the last closing that is done.
func (s *Store) LastClosedDay(ctx context.Context) (billing.Day, bool, error) {
	var n uint64
	var day time.Time
	err := s.conn.QueryRow(ctx, `SELECT count(), max(day) FROM settlement_records FINAL
		WHERE state = 'closed'`).Scan(&n, &day)
	if err != nil {
		return 0, false, s.options.explain("read the last settlement", err)
	}
	return billing.DateOf(day.Date()), n > 0, nil
}

// FirstStored implements settle.Store.
func (s *Store) FirstStored(ctx context.Context) ([]billing.Arrival, error) {
	var out []billing.Arrival
	err := s.each(ctx, "look for the first records", `SELECT topic, partition, min(offset),
			argMin(appended_at, offset)
		FROM deliveries WHERE outcome IN ('data', 'quarantined')
		GROUP BY topic, partition ORDER BY topic, partition`, nil, func(rows driverRows) error {
		var a billing.Arrival
		var at time.Time
		err := rows.Scan(&a.Topic, &a.Partition, &a.Offset, &at)
		a.Appended = billing.InstantOf(at)
		out = append(out, a)
		return err
	})
	return out, err
}

// AccountEvents implements settle.Store.
func (s *Store) AccountEvents(
	ctx context.Context, from, below roster.Position,
) ([]*billing.AccountEvent, error) {
	var out []*billing.AccountEvent
	err := s.eachEvent(ctx, from, below, nil, func(ev *stored.Event) error {
		out = append(out, &ev.AccountEvent)
		return nil
	})
	return out, err
}

// openingsTogether is how many events a roster gets at once.
const openingsTogether = 1_000

// Openings implements roster.Source.
func (s *Store) Openings(
	ctx context.Context, from roster.Position, each func([]stored.Event) error,
) error {
	var some []stored.Event
	openings := []string{string(billing.AccountOpened), string(billing.SubAccountAdded)}
	err := s.eachEvent(ctx, from, nil, openings, func(ev *stored.Event) error {
		if some = append(some, *ev); len(some) < openingsTogether {
			return nil
		}
		err := each(some)
		some = some[:0]
		return err
	})
	if err != nil || len(some) == 0 {
		return err
	}
	return each(some)
}

// eachEvent reads the stored events from a position on and below another, if there is one, of all
// types where none is given, in arrival order. Their bytes are decoded anew, by the same decoder as
// on arrival.
func (s *Store) eachEvent(
	ctx context.Context, from, below roster.Position, types []string,
	each func(*stored.Event) error,
) error {
	const doing = "read account events"
	where, args := "WHERE true ", []any{}
	const of = "transform(concat(toString(topic), '/', toString(partition)), ?, ?, toInt64(0)) "
	if len(from) > 0 {
		where += "AND offset >= " + of
		args = append(args, positions(from)...)
	}
	if len(below) > 0 {
		where += "AND offset < " + of
		args = append(args, positions(below)...)
	}
	if len(types) > 0 {
		where += "AND type IN (?) "
		args = append(args, types)
	}
	rows, err := s.conn.Query(ctx, `SELECT topic, partition, offset, appended_at, value
		FROM account_events FINAL `+where+` ORDER BY appended_at, topic, partition, offset`,
		args...)
	if err != nil {
		return s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	for rows.Next() {
		var at billing.Arrival
		var appended time.Time
		var value string
		if err := rows.Scan(&at.Topic, &at.Partition, &at.Offset, &appended, &value); err != nil {
			return s.options.explain(doing, err)
		}
		at.Appended = billing.InstantOf(appended)
		ev, refusal := s.options.Events.Decode([]byte(value), at)
		if refusal != nil {
			return fmt.Errorf("%s: the stored event at %s no longer decodes: %w", doing, at.Place(),
				refusal)
		}
		if err := each(&stored.Event{AccountEvent: ev, Value: []byte(value)}); err != nil {
			return err
		}
	}
	return s.options.explain(doing, rows.Err())
}

// positions are logs, and the offset in each.
func positions(at roster.Position) []any {
	logs, offsets := make([]string, 0, len(at)), make([]int64, 0, len(at))
	for log, offset := range at { // a condition; its order does not matter
		logs, offsets = append(logs, log), append(offsets, offset)
	}
	return []any{logs, offsets}
}

// Unenriched gives calls of open days whose account was unknown when they arrived.
func (s *Store) Unenriched(
	ctx context.Context, openFrom billing.Day, limit int,
) ([]stored.Call, error) {
	const doing = "read calls that waited"
	columns, dims := s.callColumns()
	rows, err := s.calls(ctx, `SELECT '' AS main_account, `+columns+`
		FROM call_copies AS c FINAL WHERE c.main_account = '' AND toDate(c.occurred_at) >= ?
		ORDER BY c.appended_at, c.topic, c.partition, c.offset LIMIT ?`,
		append(dims, dayTime(openFrom), limit)...)
	if err != nil {
		return nil, s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var out []stored.Call
	for {
		c, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, errors.Join(errors.New(doing), err)
		}
		out = append(out, c)
	}
}

// BillsOf implements settle.Store. It reads without FINAL, which would read the texts of the bills
// of all closings: a bill that was written twice is the same twice.
func (s *Store) BillsOf(
	ctx context.Context, at billing.Instant, together int, each func([]stored.BillText) error,
) error {
	const doing = "read the bills of a closing"
	rows, err := s.conn.Query(ctx, `SELECT bill_id, account_id, period, currency, total, json
		FROM closed_bills WHERE closed_at = ? ORDER BY account_id LIMIT 1 BY bill_id`, at.Time())
	if err != nil {
		return s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var bills []stored.BillText
	for rows.Next() {
		var b stored.BillText
		err := rows.Scan(&b.BillID, &b.AccountID, &b.Period, &b.Currency, &b.Total, &b.JSON)
		if err != nil {
			return s.options.explain(doing, err)
		}
		if bills = append(bills, b); len(bills) == together {
			if err := each(bills); err != nil {
				return err
			}
			bills = nil
		}
	}
	if err := rows.Err(); err != nil {
		return s.options.explain(doing, err)
	}
	return each(bills)
}

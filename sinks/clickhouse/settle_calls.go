package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// callColumns are what a call is read back with, the columns after its main account, and the
// arguments in them; callScanner knows their order. The dimensions come one by one and times as
// numbers, since the driver makes a map of a Map and looks up the zone of every time.
func (s *Store) callColumns() (string, []any) {
	dims := make([]any, len(s.options.Dims))
	for i, name := range s.options.Dims {
		dims[i] = name
	}
	return `c.call_id, c.account_id, toUnixTimestamp64Micro(c.occurred_at), c.result_code,
		c.need_charge, c.sdk_platform, c.sdk_name, c.sdk_version, c.topic, c.partition, c.offset,
		toUnixTimestamp64Milli(c.appended_at), c.cohort` +
		strings.Repeat(", c.dims[?]", len(dims)), dims
}

// callScanner reads rows of a main account and callColumns.
type callScanner struct {
	call               stored.Call
	occurred, appended int64
	dims               []string
	into               []any
}

func (s *Store) newCallScanner() *callScanner {
	r := &callScanner{dims: make([]string, len(s.options.Dims))}
	c := &r.call
	r.into = []any{&c.Main, &c.CallID, &c.AccountID, &r.occurred, &c.ResultCode, &c.NeedCharge,
		&c.SDK.Platform, &c.SDK.Name, &c.SDK.Version, &c.Arrival.Topic, &c.Arrival.Partition,
		&c.Arrival.Offset, &r.appended, &c.Cohort}
	for i := range r.dims {
		r.into = append(r.into, &r.dims[i])
	}
	return r
}

func (r *callScanner) scan(rows driver.Rows) (stored.Call, error) {
	if err := rows.Scan(r.into...); err != nil {
		return stored.Call{}, fmt.Errorf("read a call: %w", err)
	}
	c := r.call
	c.OccurredAt = billing.Instant(r.occurred)
	c.Arrival.Appended = billing.Instant(r.appended) * billing.Millisecond
	c.Dims = slices.Clone(r.dims)
	return c, nil
}

// callRows is a stream of calls over one query.
type callRows struct {
	store   *Store
	rows    driver.Rows
	scanner *callScanner
}

// calls runs a query that gives a main account and callColumns.
func (s *Store) calls(ctx context.Context, sql string, args ...any) (*callRows, error) {
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return &callRows{store: s, rows: rows, scanner: s.newCallScanner()}, nil
}

// Next implements settle.Calls.
func (c *callRows) Next() (stored.Call, error) {
	if c.rows.Next() {
		return c.scanner.scan(c.rows)
	}
	if err := c.rows.Err(); err != nil && !errors.Is(err, io.EOF) {
		return stored.Call{}, c.store.options.explain("read calls", err)
	}
	return stored.Call{}, io.EOF
}

// Close implements settle.Calls.
func (c *callRows) Close() error { return c.rows.Close() }

// Candidates implements settle.Store.
func (s *Store) Candidates(ctx context.Context, w settle.Window) (settle.Calls, error) {
	columns, dims := s.callColumns()
	sql, args := candidates(w, "r.main_account, "+columns)
	rows, err := s.calls(ctx, sql+" ORDER BY r.main_account, c.occurred_at, c.call_id, c.ver DESC"+
		prunePartitions, append(dims, args...)...)
	if err != nil {
		return nil, s.options.explain("read calls to take", err)
	}
	return rows, nil
}

// idsTogether bounds the hashes of one list in a statement.
const idsTogether = 20_000

// hashesOf runs a query that gives hashes of ids.
func (s *Store) hashesOf(ctx context.Context, sql string, args ...any) ([]uint64, error) {
	const doing = "look for ids with several copies"
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, s.options.explain(doing, err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var out []uint64
	for rows.Next() {
		var h uint64
		if err := rows.Scan(&h); err != nil {
			return nil, s.options.explain(doing, err)
		}
		out = append(out, h)
	}
	slices.Sort(out)
	return out, s.options.explain(doing, rows.Err())
}

// DifferingCopies implements settle.Store. Identical copies collapse; what is left with a common
// call_id differs in a field that can move a bill, or in its day. Nearly every id has one copy, so
// it looks first for the hashes of those that have several, and at nothing but these.
func (s *Store) DifferingCopies(ctx context.Context, w settle.Window) ([][]stored.Call, error) {
	sql, args := competingIDs(w)
	ids, err := s.hashesOf(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var groups [][]stored.Call
	for some := range slices.Chunk(ids, idsTogether) {
		if groups, err = s.differingOf(ctx, w, some, groups); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// differingOf adds the differing copies of calls with some hashes of ids.
func (s *Store) differingOf(
	ctx context.Context, w settle.Window, some []uint64, groups [][]stored.Call,
) ([][]stored.Call, error) {
	columns, dims := s.callColumns()
	ids, args := competingCopies(w, "c.call_id", some)
	sql, more := competingCopies(w, "r.main_account, "+columns, some)
	sql += " AND c.call_id IN (SELECT call_id FROM (" + ids + ") GROUP BY call_id " +
		"HAVING count() > 1) ORDER BY c.call_id, c.ver DESC" + prunePartitions
	stream, err := s.calls(longLists(ctx), sql, slices.Concat(dims, more, args)...)
	if err != nil {
		return nil, s.options.explain("look for copies that differ", err)
	}
	defer stream.Close() //nolint:errcheck // only read
	for {
		c, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return groups, nil
		}
		if err != nil {
			return nil, err
		}
		if n := len(groups); n > 0 && groups[n-1][0].CallID == c.CallID {
			groups[n-1] = append(groups[n-1], c)
			continue
		}
		groups = append(groups, []stored.Call{c})
	}
}

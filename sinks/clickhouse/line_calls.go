package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/stored"
)

// linePage is how many calls of a line are in memory at once. For each page the server looks
// through the calls of the line that the closings of the bill took.
const linePage = 50_000

// sortSpill is from how many bytes on the server sorts a line's calls on disk.
const sortSpill = 256 << 20

// OwnCalls tells whether lines of a kind have calls of their own. The others are sums.
func OwnCalls(kind billing.LineKind) bool {
	return kind != billing.TierAdjustmentLine && kind != billing.RoundingLine
}

// lineCalls selects, of taken_by_line, the calls behind a line: those that closings took, or
// reversed, after the account's bill before and up to this one, and that became what the line is
// about.
func lineCalls(b *billing.Bill, l *billing.BillLine) (*conditions, error) {
	period, err := billing.ParsePeriod(l.Period)
	if err != nil {
		return nil, fmt.Errorf("line %d of bill %s: %w", l.No, b.BillID, err)
	}
	closed := micros(b.ClosedAt)
	window := "closed_at <= " + closed + " AND closed_at > (SELECT max(closed_at) " +
		"FROM closed_bills WHERE account_id = ? AND closed_at < " + closed + " AND closed_at IN " +
		done + ")"
	var c conditions
	c.add("account_id = ? AND tag = ? AND package_id = ?", b.AccountID, l.Tag, l.PackageID)
	c.add("day >= toDate(?) AND day < toDate(?)", period.First.String(), period.End.String())
	c.add("toString(outcome) IN (?)", outcomesOf(l))
	if l.Kind == billing.VoidedLine {
		const reversed = " FROM reversed_calls FINAL WHERE account_id = ? AND "
		c.add("call_id IN (SELECT call_id"+reversed+window+")", b.AccountID, b.AccountID)
		window = "closed_at <= " + closed
		c.add(window)
	} else {
		c.add(window, b.AccountID)
	}
	return &c, nil
}

func outcomesOf(l *billing.BillLine) []string {
	switch {
	case l.Kind == billing.CoveredLine, l.Kind == billing.VoidedLine && l.PackageID != "":
		return []string{string(closing.Covered)}
	case l.Kind == billing.UncoveredLine:
		return []string{string(closing.Uncovered)}
	case l.Kind == billing.VoidedLine:
		return []string{string(closing.Postpaid), string(closing.Uncovered)}
	}
	return []string{string(closing.Postpaid)}
}

// LineLogs counts the calls behind a line of a bill by day and partition, with their first and last
// offset. Their sum is the line's quantity, unless the store is not what made the bill.
func (s *Store) LineLogs(
	ctx context.Context, b *billing.Bill, l *billing.BillLine,
) ([]stored.LineLog, error) {
	c, err := lineCalls(b, l)
	if err != nil {
		return nil, err
	}
	var out []stored.LineLog
	err = s.each(ctx, "count the calls of a line", `SELECT day, toString(topic), partition,
			min(offset), max(offset), toInt64(count()) FROM taken_by_line FINAL`+c.where()+`
		GROUP BY day, topic, partition ORDER BY day, topic, partition`, c.args,
		func(rows driverRows) error {
			var x stored.LineLog
			var day time.Time
			err := rows.Scan(&day, &x.Topic, &x.Partition, &x.First, &x.Last, &x.Calls)
			x.Day = billing.DateOf(day.Date())
			out = append(out, x)
			return err
		})
	return out, err
}

// EachLineCall gives the calls behind a line in the order (occurred_at, call_id) of B10: the first
// of them up to the limit, all of them where it is 0. A page of them is in memory.
func (s *Store) EachLineCall(
	ctx context.Context, b *billing.Bill, l *billing.BillLine, limit int,
	each func(*stored.LineCall) error,
) error {
	return s.eachLineCall(ctx, b, l, limit, linePage, each)
}

func (s *Store) eachLineCall(
	ctx context.Context, b *billing.Bill, l *billing.BillLine, limit, pageSize int,
	each func(*stored.LineCall) error,
) error {
	var after *stored.LineCall
	for n := 0; ; {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-n)
		}
		page, err := s.lineCallPage(ctx, b, l, after, size)
		if err != nil {
			return err
		}
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
		}
		n += len(page)
		if len(page) < size || n == limit {
			return nil
		}
		after = &page[len(page)-1]
	}
}

// lineCallPage reads the calls that follow one.
func (s *Store) lineCallPage(
	ctx context.Context, b *billing.Bill, l *billing.BillLine, after *stored.LineCall, size int,
) ([]stored.LineCall, error) {
	c, err := lineCalls(b, l)
	if err != nil {
		return nil, err
	}
	if after != nil {
		c.add("(occurred_at, call_id) > ("+micros(after.OccurredAt)+", ?)", after.CallID)
	}
	spill := driver.Context(ctx, driver.WithSettings(
		driver.Settings{"max_bytes_before_external_sort": sortSpill}))
	var page []stored.LineCall
	err = s.each(spill, "read the calls of a line", `SELECT call_id, caller, occurred_at, closed_at,
			topic, partition, offset, result_code FROM taken_by_line FINAL`+c.where()+
		fmt.Sprintf(" ORDER BY occurred_at, call_id LIMIT %d", size), c.args,
		func(rows driverRows) error {
			var x stored.LineCall
			var occurred, taken time.Time
			err := rows.Scan(&x.CallID, &x.AccountID, &occurred, &taken, &x.Arrival.Topic,
				&x.Arrival.Partition, &x.Arrival.Offset, &x.ResultCode)
			x.OccurredAt, x.TakenAt = billing.InstantOf(occurred), billing.InstantOf(taken)
			page = append(page, x)
			return err
		})
	if err == nil {
		err = s.addResultCodes(ctx, page)
	}
	if err == nil && len(page) > 0 && l.Kind == billing.VoidedLine {
		err = s.addVoids(ctx, b.AccountID, page)
	}
	return page, err
}

// addResultCodes looks up what the calls of a page returned that were taken before closings wrote
// that down, in the copies that count. A copy with the same billing fields stands for one that has
// been merged into it. A call arrives at most 24 hours before its own time (B7), and before the
// closing that takes it; so other days of arrival are not looked at.
func (s *Store) addResultCodes(ctx context.Context, all []stored.LineCall) error {
	var page []*stored.LineCall
	for i := range all {
		if all[i].ResultCode == "" {
			page = append(page, &all[i])
		}
	}
	if len(page) == 0 {
		return nil
	}
	type key struct {
		id, account string
		at          billing.Instant
	}
	calls := map[key]*stored.LineCall{}
	hashes := make([]uint64, len(page))
	var callers []string
	taken := page[0].TakenAt // the last closing that took one: the copies arrived before it
	for i, x := range page {
		calls[key{x.CallID, x.AccountID, x.OccurredAt}] = x
		hashes[i], taken = stored.IDHash(x.CallID), max(taken, x.TakenAt)
		if !slices.Contains(callers, x.AccountID) {
			callers = append(callers, x.AccountID)
		}
	}
	exact := map[*stored.LineCall]bool{}
	return s.each(longLists(ctx), "read result codes", fmt.Sprintf(`SELECT call_id, account_id,
			occurred_at, topic, partition, offset, toString(result_code) FROM call_copies
		WHERE account_id IN (?) AND occurred_at >= %[1]s AND occurred_at <= %[2]s
			AND appended_at >= %[1]s - INTERVAL 1 DAY AND appended_at < %[3]s + INTERVAL 1 DAY
			AND id_hash IN (?)`, micros(page[0].OccurredAt), micros(page[len(page)-1].OccurredAt),
		micros(taken)), []any{callers, hashes},
		func(rows driverRows) error {
			var k key
			var occurred time.Time
			var place billing.Arrival
			var code string
			err := rows.Scan(&k.id, &k.account, &occurred, &place.Topic, &place.Partition,
				&place.Offset, &code)
			k.at = billing.InstantOf(occurred)
			if x := calls[k]; x != nil && !exact[x] {
				x.ResultCode, exact[x] = code, place == x.Arrival
			}
			return err
		})
}

// addVoids looks up which event took the calls of a page back: the first that named them.
func (s *Store) addVoids(ctx context.Context, account string, page []stored.LineCall) error {
	ids := make([]string, len(page))
	calls := map[string]*stored.LineCall{}
	for i := range page {
		ids[i] = page[i].CallID
		calls[ids[i]] = &page[i]
	}
	return s.each(longLists(ctx), "read usage.voided", `SELECT id,
			argMin(event_id, (appended_at, topic, partition, offset))
		FROM (
			SELECT event_id, appended_at, topic, partition, offset,
				arrayJoin(JSONExtract(value, 'call_ids', 'Array(String)')) AS id
			FROM account_events FINAL WHERE account_id = ? AND type = 'usage.voided')
		WHERE id IN (?) GROUP BY id`, []any{account, ids}, func(rows driverRows) error {
		var id, event string
		err := rows.Scan(&id, &event)
		if x := calls[id]; x != nil {
			x.VoidedBy = event
		}
		return err
	})
}

// LinesBefore lists the lines of earlier bills that have units of a tag adjustment's month.
func (s *Store) LinesBefore(
	ctx context.Context, b *billing.Bill, l *billing.BillLine,
) ([]stored.LineOfBill, error) {
	var out []stored.LineOfBill
	err := s.each(ctx, "read the lines of earlier bills", `SELECT bill_id, line_no, toString(kind),
			period, quantity FROM bill_lines
		WHERE account_id = ? AND tag = ? AND package_id = '' AND startsWith(period, ?)
			AND kind IN ('usage', 'late_usage', 'voided') AND closed_at < `+micros(b.ClosedAt)+`
		ORDER BY closed_at, bill_id, line_no`, []any{b.AccountID, l.Tag, l.Period},
		func(rows driverRows) error {
			var x stored.LineOfBill
			var no uint32
			var kind string
			err := rows.Scan(&x.BillID, &no, &kind, &x.Period, &x.Quantity)
			x.No, x.Kind = int(no), billing.LineKind(kind)
			out = append(out, x)
			return err
		})
	return out, err
}

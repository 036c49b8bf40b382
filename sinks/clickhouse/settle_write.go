package clickhouse

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// dueMax stands for "never" in account_states, within the range of DateTime64(6).
var dueMax = billing.InstantOf(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))

// SaveRoutes implements settle.Store.
func (s *Store) SaveRoutes(
	ctx context.Context, at billing.Instant, routes []settle.Route,
) error {
	n := len(routes)
	return s.insert(ctx, "account_routes", []column{
		{"account_id", values(n, func(i int) string { return routes[i].AccountID })},
		{"main_account", values(n, func(i int) string { return routes[i].Main })},
		{"closed_at", instants(n, func(int) billing.Instant { return at })},
	})
}

// WriteDuplicates implements settle.Store.
func (s *Store) WriteDuplicates(
	ctx context.Context, at billing.Instant, list []settle.Duplicate,
) error {
	return s.insert(ctx, "duplicate_copies", append(duplicateColumns(list),
		column{"closed_at", instants(len(list), func(int) billing.Instant { return at })}))
}

// duplicateColumns are what closings and sweeps say of copies that do not count.
func duplicateColumns(list []settle.Duplicate) []column {
	n := len(list)
	return []column{
		{"topic", values(n, func(i int) string { return list[i].Copy.Topic })},
		{"partition", values(n, func(i int) int32 { return list[i].Copy.Partition })},
		{"offset", values(n, func(i int) int64 { return list[i].Copy.Offset })},
		{"appended_at", instants(n, func(i int) billing.Instant { return list[i].Copy.Appended })},
		{"call_id", values(n, func(i int) string { return list[i].CallID })},
		{"conflict", values(n, func(i int) bool { return list[i].Conflict })},
		{"winner_topic", values(n, func(i int) string { return list[i].Winner.Topic })},
		{"winner_partition", values(n, func(i int) int32 { return list[i].Winner.Partition })},
		{"winner_offset", values(n, func(i int) int64 { return list[i].Winner.Offset })},
	}
}

func writeTaken(ctx context.Context, to inserter, c *settle.Chunk) error {
	n := len(c.Taken)
	call := func(i int) *closing.Call { return c.Taken[i].Call }
	return to.insert(ctx, "taken_calls", []column{
		{"call_id", values(n, func(i int) string { return call(i).CallID })},
		{"id_hash", values(n, func(i int) uint64 { return stored.IDHash(call(i).CallID) })},
		{"account_id", values(n, func(i int) string { return c.Taken[i].Main })},
		{"caller", values(n, func(i int) string { return call(i).AccountID })},
		{"occurred_at", instants(n, func(i int) billing.Instant { return call(i).OccurredAt })},
		{"day", days(n, func(i int) billing.Day { return c.Taken[i].Day })},
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
		{"outcome", values(n, func(i int) string { return string(c.Taken[i].Outcome) })},
		{"tag", values(n, func(i int) string { return string(c.Taken[i].Tag) })},
		{"package_id", values(n, func(i int) string { return c.Taken[i].PackageID })},
		{"topic", values(n, func(i int) string { return call(i).Arrival.Topic })},
		{"partition", values(n, func(i int) int32 { return call(i).Arrival.Partition })},
		{"offset", values(n, func(i int) int64 { return call(i).Arrival.Offset })},
	})
}

// usageKey is what usage is counted by.
type usageKey struct {
	account string
	day     billing.Day
	tag     string // postpaid tag
	channel string
}

// usageCount counts a closing's calls of one key.
type usageCount struct {
	usageKey
	charged, free, covered, postpaid, uncovered, unknown uint64
}

// countUsage counts calls that stand account by account and, of each, day by day, as they are
// taken.
func countUsage(taken []settle.TakenCall) []usageCount {
	var out []usageCount
	from := 0 // where the counts of the account at hand begin
	for i := range taken {
		t := &taken[i]
		if i > 0 && taken[i-1].Main != t.Main {
			sortUsage(out[from:])
			from = len(out)
		}
		key := usageKey{t.Main, t.Day, string(t.Call.Postpaid), t.Call.Channel}
		at := len(out) - 1
		for at >= from && out[at].day == t.Day && out[at].usageKey != key {
			at--
		}
		if at < from || out[at].day != t.Day {
			at = len(out)
			out = append(out, usageCount{usageKey: key})
		}
		out[at].add(t)
	}
	sortUsage(out[from:])
	return out
}

func sortUsage(of []usageCount) {
	slices.SortFunc(of, func(a, b usageCount) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.tag, b.tag),
			cmp.Compare(a.channel, b.channel))
	})
}

func (u *usageCount) add(t *settle.TakenCall) {
	switch t.Outcome {
	case closing.Free:
		u.free++
	case closing.Covered:
		u.covered++
	case closing.Postpaid:
		u.postpaid++
	case closing.Uncovered:
		u.uncovered++
	}
	if t.Outcome != closing.Free {
		u.charged++
	}
	if !t.Call.CodeKnown && !t.Call.FreeAction {
		u.unknown++
	}
}

func writeClosedUsage(ctx context.Context, to inserter, c *settle.Chunk) error {
	u := countUsage(c.Taken)
	n := len(u)
	cohorts := make(map[string]string, len(c.States))
	for i := range c.States {
		cohorts[c.States[i].AccountID] = c.States[i].Cohort
	}
	return to.insert(ctx, "closed_usage", []column{
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
		{"account_id", values(n, func(i int) string { return u[i].account })},
		{"day", days(n, func(i int) billing.Day { return u[i].day })},
		{"tag", values(n, func(i int) string { return u[i].tag })},
		{"channel", values(n, func(i int) string { return u[i].channel })},
		{"charged", values(n, func(i int) uint64 { return u[i].charged })},
		{"free", values(n, func(i int) uint64 { return u[i].free })},
		{"covered", values(n, func(i int) uint64 { return u[i].covered })},
		{"postpaid", values(n, func(i int) uint64 { return u[i].postpaid })},
		{"uncovered", values(n, func(i int) uint64 { return u[i].uncovered })},
		{"unknown_code", values(n, func(i int) uint64 { return u[i].unknown })},
		{"cohort", values(n, func(i int) string { return cohorts[u[i].account] })},
	})
}

func writeBills(ctx context.Context, to inserter, c *settle.Chunk) error {
	b := c.Bills
	n := len(b)
	return to.insert(ctx, "closed_bills", []column{
		{"bill_id", values(n, func(i int) string { return b[i].BillID })},
		{"account_id", values(n, func(i int) string { return b[i].AccountID })},
		{"cycle", values(n, func(i int) string { return string(b[i].Period.Cycle) })},
		{"period", values(n, func(i int) string { return b[i].Period.String() })},
		{"period_start", instants(n, func(i int) billing.Instant { return b[i].PeriodStart })},
		{"period_end", instants(n, func(i int) billing.Instant { return b[i].PeriodEnd })},
		{"closed_at", instants(n, func(i int) billing.Instant { return b[i].ClosedAt })},
		{"currency", values(n, func(i int) string { return b[i].Currency })},
		{"catalog_version", values(n, func(i int) string { return b[i].CatalogVersion })},
		{"catalog_digest", values(n, func(i int) string { return b[i].CatalogDigest })},
		{"rule_version", values(n, func(i int) uint32 { return uint32(b[i].RuleVersion) })},
		{"total", values(n, func(i int) decimal.Decimal { return b[i].Total })},
		{"balance_before", values(n, func(i int) decimal.Decimal { return b[i].BalanceBefore })},
		{"balance_after", values(n, func(i int) decimal.Decimal { return b[i].BalanceAfter })},
		{"previous_digest", values(n, func(i int) string { return b[i].PreviousDigest })},
		{"digest", values(n, func(i int) string { return b[i].Digest })},
		{"lines", values(n, func(i int) uint32 { return uint32(len(b[i].Lines)) })},
		{"json", values(n, func(i int) []byte { return c.BillTexts[i].JSON })},
	})
}

func writeLines(ctx context.Context, to inserter, c *settle.Chunk) error {
	l, of := linesOf(c.Bills)
	var explain [][]byte
	for at := range c.Bills {
		explain = append(explain, c.BillTexts[at].Explain...)
	}
	n := len(l)
	return to.insert(ctx, "closed_bill_lines", []column{
		{"bill_id", values(n, func(i int) string { return of[i].BillID })},
		{"account_id", values(n, func(i int) string { return of[i].AccountID })},
		{"closed_at", instants(n, func(i int) billing.Instant { return of[i].ClosedAt })},
		{"line_no", values(n, func(i int) uint32 { return uint32(l[i].No) })},
		{"kind", values(n, func(i int) string { return string(l[i].Kind) })},
		{"tag", values(n, func(i int) string { return l[i].Tag })},
		{"tag_name", values(n, func(i int) string { return l[i].TagName })},
		{"period", values(n, func(i int) string { return l[i].Period })},
		{"quantity", values(n, func(i int) int64 { return l[i].Quantity })},
		{"unit_price", values(n, func(i int) *decimal.Decimal { return l[i].UnitPrice })},
		{"amount", values(n, func(i int) decimal.Decimal { return l[i].Amount })},
		{"package_id", values(n, func(i int) string { return l[i].PackageID })},
		{"flags", values(n, func(i int) []string { return append([]string{}, l[i].Flags...) })},
		{"explain", values(n, func(i int) []byte { return explain[i] })},
	})
}

func writeEntries(ctx context.Context, to inserter, c *settle.Chunk) error {
	e := c.Ledger
	n := len(e)
	return to.insert(ctx, "booked_entries", []column{
		{"entry_id", values(n, func(i int) string { return e[i].EntryID })},
		{"account_id", values(n, func(i int) string { return e[i].AccountID })},
		{"at", instants(n, func(i int) billing.Instant { return e[i].At })},
		{"kind", values(n, func(i int) string { return e[i].Kind })},
		{"debit", values(n, func(i int) string { return e[i].Debit })},
		{"credit", values(n, func(i int) string { return e[i].Credit })},
		{"amount", values(n, func(i int) decimal.Decimal { return e[i].Amount })},
		{"cause", values(n, func(i int) string { return e[i].Cause })},
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
	})
}

func writeStatus(ctx context.Context, to inserter, c *settle.Chunk) error {
	all := c.Status
	n := len(all)
	err := to.insert(ctx, "status_changes", append(statusColumns(all),
		column{"provisional", values(n, func(int) bool { return false })},
		column{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
		// Rows written before said_status existed have versions of the same kind.
		column{"version", values(n, func(int) uint64 { return 2 * uint64(c.Moment.At) })}))
	if err != nil {
		return err
	}
	return to.insert(ctx, "said_status", saidRows(c.Said))
}

func statusColumns(all []billing.StatusChange) []column {
	n := len(all)
	return []column{
		{"event_id", values(n, func(i int) string { return all[i].EventID })},
		{"account_id", values(n, func(i int) string { return all[i].AccountID })},
		{"status", values(n, func(i int) string { return string(all[i].Status) })},
		{"effective_at", instants(n, func(i int) billing.Instant { return all[i].EffectiveAt })},
		{"balance", values(n, func(i int) decimal.Decimal { return all[i].Balance.Round(2) })},
		{"cause", values(n, func(i int) string { return all[i].Cause })},
	}
}

// latestSlots is how many closings in a row leave states in account_latest.
const latestSlots = 4

func writeStates(ctx context.Context, to inserter, c *settle.Chunk) error {
	st := c.States
	n := len(st)
	slot := uint8((int64(c.Moment.Day)%latestSlots + latestSlots) % latestSlots)
	err := to.insert(ctx, "account_latest", []column{
		{"account_id", values(n, func(i int) string { return st[i].AccountID })},
		{"slot", values(n, func(int) uint8 { return slot })},
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
		{"state", values(n, func(i int) []byte { return st[i].JSON })},
	})
	if err != nil {
		return err
	}
	due := func(i int) billing.Instant { return min(st[i].DueAt, dueMax) }
	statusDue := func(i int) billing.Instant { return min(st[i].StatusDue, dueMax) }
	return to.insert(ctx, "account_states", []column{
		{"account_id", values(n, func(i int) string { return st[i].AccountID })},
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
		{"state", values(n, func(i int) []byte { return st[i].JSON })},
		{"in_arrears", values(n, func(i int) bool { return st[i].InArrears })},
		{"pending", values(n, func(i int) bool { return st[i].Pending })},
		{"next_due", instants(n, due)},
		{"status_due", instants(n, statusDue)},
	})
}

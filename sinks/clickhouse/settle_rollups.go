package clickhouse

import (
	"cmp"
	"context"
	"slices"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
)

// What dashboards and explanations read of a closing, in the order in which they read it (migration
// 0015). All rows of an account are in one chunk, so a key is never written with two counts.

// writeTakenByLine writes the taken calls in the order of bill lines.
func writeTakenByLine(ctx context.Context, to inserter, c *settle.Chunk) error {
	n := len(c.Taken)
	call := func(i int) *closing.Call { return c.Taken[i].Call }
	return to.insert(ctx, "taken_by_line", []column{
		{"account_id", values(n, func(i int) string { return c.Taken[i].Main })},
		{"tag", values(n, func(i int) string { return string(c.Taken[i].Tag) })},
		{"package_id", values(n, func(i int) string { return c.Taken[i].PackageID })},
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
		{"occurred_at", instants(n, func(i int) billing.Instant { return call(i).OccurredAt })},
		{"call_id", values(n, func(i int) string { return call(i).CallID })},
		{"caller", values(n, func(i int) string { return call(i).AccountID })},
		{"day", days(n, func(i int) billing.Day { return c.Taken[i].Day })},
		{"outcome", values(n, func(i int) string { return string(c.Taken[i].Outcome) })},
		{"topic", values(n, func(i int) string { return call(i).Arrival.Topic })},
		{"partition", values(n, func(i int) int32 { return call(i).Arrival.Partition })},
		{"offset", values(n, func(i int) int64 { return call(i).Arrival.Offset })},
		{"result_code", values(n, func(i int) string { return call(i).ResultCode })},
	})
}

// writeTotals writes bills and lines without their texts, in the order of the closings.
func writeTotals(ctx context.Context, to inserter, c *settle.Chunk) error {
	b := c.Bills
	n := len(b)
	err := to.insert(ctx, "closed_bill_totals", []column{
		{"closed_at", instants(n, func(i int) billing.Instant { return b[i].ClosedAt })},
		{"account_id", values(n, func(i int) string { return b[i].AccountID })},
		{"bill_id", values(n, func(i int) string { return b[i].BillID })},
		{"cycle", values(n, func(i int) string { return string(b[i].Period.Cycle) })},
		{"period", values(n, func(i int) string { return b[i].Period.String() })},
		{"period_start", instants(n, func(i int) billing.Instant { return b[i].PeriodStart })},
		{"period_end", instants(n, func(i int) billing.Instant { return b[i].PeriodEnd })},
		{"currency", values(n, func(i int) string { return b[i].Currency })},
		{"total", values(n, func(i int) decimal.Decimal { return b[i].Total })},
		{"balance_after", values(n, func(i int) decimal.Decimal { return b[i].BalanceAfter })},
		{"lines", values(n, func(i int) uint32 { return uint32(len(b[i].Lines)) })},
	})
	if err != nil {
		return err
	}
	l, of := linesOf(b)
	n = len(l)
	return to.insert(ctx, "closed_line_totals", []column{
		{"closed_at", instants(n, func(i int) billing.Instant { return of[i].ClosedAt })},
		{"kind", values(n, func(i int) string { return string(l[i].Kind) })},
		{"tag", values(n, func(i int) string { return l[i].Tag })},
		{"account_id", values(n, func(i int) string { return of[i].AccountID })},
		{"bill_id", values(n, func(i int) string { return of[i].BillID })},
		{"line_no", values(n, func(i int) uint32 { return uint32(l[i].No) })},
		{"tag_name", values(n, func(i int) string { return l[i].TagName })},
		{"quantity", values(n, func(i int) int64 { return l[i].Quantity })},
		{"amount", values(n, func(i int) decimal.Decimal { return l[i].Amount })},
	})
}

// linesOf gives the lines of bills, each with its bill.
func linesOf(bills []*billing.Bill) (lines []*billing.BillLine, of []*billing.Bill) {
	for _, b := range bills {
		for i := range b.Lines {
			lines, of = append(lines, &b.Lines[i]), append(of, b)
		}
	}
	return lines, of
}

// clientKey is what calls with a client library are counted by.
type clientKey struct {
	account string
	day     billing.Day
	sdk     billing.SDK
}

// codeKey is what calls with a doubtful result code are counted by.
type codeKey struct {
	account                   string // as received
	day                       billing.Day
	channel, code, needCharge string
	charged, known            bool
}

// coverKey is what covered calls are counted by.
type coverKey struct{ account, packageID string }

// counts are numbers of calls by a key.
type counts[K comparable] map[K]uint64

// sorted gives the keys in an order, with their counts.
func (c counts[K]) sorted(compare func(a, b K) int) (keys []K, calls made[uint64]) {
	for key := range c { // sorted below
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compare)
	return keys, values(len(keys), func(i int) uint64 { return c[keys[i]] })
}

// writeCounts writes the taken calls by client library, doubtful result code and package.
func writeCounts(ctx context.Context, to inserter, c *settle.Chunk) error {
	clients, codes, cover := counts[clientKey]{}, counts[codeKey]{}, counts[coverKey]{}
	for i := range c.Taken {
		t := &c.Taken[i]
		if t.Call.SDK.Name != "" || t.Call.SDK.Version != "" {
			clients[clientKey{t.Main, t.Day, t.Call.SDK}]++
		}
		if doubtful(t.Call) {
			codes[codeKey{t.Call.AccountID, t.Day, t.Call.Channel, t.Call.ResultCode,
				t.Call.NeedCharge, t.Call.Charged, t.Call.CodeKnown}]++
		}
		if t.PackageID != "" {
			cover[coverKey{t.Main, t.PackageID}]++
		}
	}
	if err := writeClients(ctx, to, c.Moment.At, clients); err != nil {
		return err
	}
	if err := writeCodes(ctx, to, c.Moment.At, codes); err != nil {
		return err
	}
	keys, calls := cover.sorted(func(a, b coverKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.packageID, b.packageID))
	})
	n := len(keys)
	return to.insert(ctx, "closed_cover", []column{
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
		{"account_id", values(n, func(i int) string { return keys[i].account })},
		{"package_id", values(n, func(i int) string { return keys[i].packageID })},
		{"calls", calls},
	})
}

// doubtful tells calls whose result code the catalogue has never heard of, or whose own flag says
// otherwise than the whitelist.
func doubtful(c *closing.Call) bool {
	flag := "false"
	if c.Charged {
		flag = "true"
	}
	return !c.CodeKnown || c.NeedCharge != "" && c.NeedCharge != flag
}

func writeClients(
	ctx context.Context, to inserter, at billing.Instant, clients counts[clientKey],
) error {
	keys, calls := clients.sorted(func(a, b clientKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.day, b.day),
			cmp.Compare(a.sdk.Name, b.sdk.Name), cmp.Compare(a.sdk.Platform, b.sdk.Platform),
			cmp.Compare(a.sdk.Version, b.sdk.Version))
	})
	n := len(keys)
	return to.insert(ctx, "closed_clients", []column{
		{"closed_at", instants(n, func(int) billing.Instant { return at })},
		{"account_id", values(n, func(i int) string { return keys[i].account })},
		{"day", days(n, func(i int) billing.Day { return keys[i].day })},
		{"sdk_platform", values(n, func(i int) string { return keys[i].sdk.Platform })},
		{"sdk_name", values(n, func(i int) string { return keys[i].sdk.Name })},
		{"sdk_version", values(n, func(i int) string { return keys[i].sdk.Version })},
		{"calls", calls},
	})
}

func writeCodes(
	ctx context.Context, to inserter, at billing.Instant, codes counts[codeKey],
) error {
	keys, calls := codes.sorted(func(a, b codeKey) int {
		order := cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.day, b.day),
			cmp.Compare(a.channel, b.channel), cmp.Compare(a.code, b.code),
			cmp.Compare(a.needCharge, b.needCharge))
		if order == 0 && a.charged != b.charged {
			return map[bool]int{false: -1, true: 1}[a.charged]
		}
		if order == 0 && a.known != b.known {
			return map[bool]int{false: -1, true: 1}[a.known]
		}
		return order
	})
	n := len(keys)
	return to.insert(ctx, "closed_codes", []column{
		{"closed_at", instants(n, func(int) billing.Instant { return at })},
		{"account_id", values(n, func(i int) string { return keys[i].account })},
		{"day", days(n, func(i int) billing.Day { return keys[i].day })},
		{"channel", values(n, func(i int) string { return keys[i].channel })},
		{"result_code", values(n, func(i int) string { return keys[i].code })},
		{"need_charge", values(n, func(i int) string { return keys[i].needCharge })},
		{"charged", values(n, func(i int) bool { return keys[i].charged })},
		{"code_known", values(n, func(i int) bool { return keys[i].known })},
		{"calls", calls},
	})
}

// writePackages writes what packages have left. It comes before the states, which say that all of
// the accounts is stored.
func writePackages(ctx context.Context, to inserter, c *settle.Chunk) error {
	var p []*closing.Package
	var of []string
	for i := range c.States {
		for j := range c.States[i].Packages {
			p, of = append(p, &c.States[i].Packages[j]), append(of, c.States[i].AccountID)
		}
	}
	n := len(p)
	return to.insert(ctx, "closed_packages", []column{
		{"account_id", values(n, func(i int) string { return of[i] })},
		{"closed_at", instants(n, func(int) billing.Instant { return c.Moment.At })},
		{"package_id", values(n, func(i int) string { return p[i].ID })},
		{"tag", values(n, func(i int) string { return string(p[i].Tag) })},
		{"free", values(n, func(i int) bool { return p[i].Free })},
		{"quota", values(n, func(i int) uint64 { return uint64(p[i].Quota) })},
		{"used", values(n, func(i int) uint64 { return uint64(p[i].Used) })},
		{"first_day", days(n, func(i int) billing.Day { return p[i].First })},
		{"end_day", days(n, func(i int) billing.Day { return p[i].End })},
		{"refunded", values(n, func(i int) bool { return p[i].Refunded })},
	})
}

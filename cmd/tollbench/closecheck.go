package main

import (
	"context"
	"fmt"
	"os"

	"github.com/cespare/xxhash/v2"
	"github.com/shopspring/decimal"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/claim"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/rating"
)

// rated is the kernel's part for all accounts by itself, on one core, and what it says of each.
type rated struct {
	// Seconds of CPU: of the kernel's closing with all that belongs to it, packages, tiers, lines
	// with explanations, ledger, status, digest; and of the rating in it, a price list for each
	// month's units, its tier and their amounts.
	CPU, Amounts float64
	total        decimal.Decimal
	lines        int
}

// ratedTogether is how many accounts are made before their closing is timed.
const ratedTogether = 1000

// rateAlone closes the accounts' second day in memory.
func rateAlone(cat *catalog.Catalog, n int) (r rated, err error) {
	f := closeFeed{zone: cat.Settings.Zone}
	registry := accounts.New()
	days := []closing.Moment{closing.MomentOf(cat, closeDay), closing.MomentOf(cat, closeDay+1)}
	for from := 0; from < n; from += ratedTogether {
		var made []*closing.Account
		var calls [][]closing.Call
		for i := from; i < min(from+ratedTogether, n); i++ {
			a, c := f.inMemory(cat, registry, i)
			if _, err := closing.Close(cat, a, days[0], nil, nil); err != nil {
				return r, err
			}
			made, calls = append(made, a), append(calls, c)
		}
		amounts, err := rateOnly(cat, made, calls)
		if err != nil {
			return r, err
		}
		before, err := cpuOf(os.Getpid())
		if err != nil {
			return r, err
		}
		var last closing.Result
		for i := range made {
			if last, err = closing.Close(cat, made[i], days[1], calls[i], nil); err != nil {
				return r, err
			}
		}
		after, err := cpuOf(os.Getpid())
		if err != nil {
			return r, err
		}
		r.CPU, r.Amounts = r.CPU+after-before, r.Amounts+amounts
		r.total, r.lines = last.Bill.Total, len(last.Bill.Lines)
	}
	return r, nil
}

// rateOnly rates calls, each its tag's only one in the month, and gives the seconds of CPU.
func rateOnly(
	cat *catalog.Catalog, made []*closing.Account, calls [][]closing.Call,
) (cpu float64, err error) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		return 0, err
	}
	for i, a := range made {
		for j := range calls[i] {
			c := &calls[i][j]
			day := billing.DayOf(c.OccurredAt, cat.Settings.Zone)
			list, known := cat.PriceListFor(a.Cohort, c.Postpaid, day)
			if !known {
				return 0, fmt.Errorf("no price of %s for cohort %s on %s", c.Postpaid, a.Cohort, day)
			}
			units := []rating.Units{{Day: day, Quantity: 1, Prices: &rating.Prices{ID: list.ID,
				Source: list.Source, Graduated: list.Graduated, Tiers: list.Tiers}}}
			rated := rating.Month(units, rating.Bound(cat.Settings.TierLowerBound))
			if rated[0].Amount.Sign() <= 0 {
				return 0, fmt.Errorf("a call of %s costs nothing", c.Postpaid)
			}
		}
	}
	after, err := cpuOf(os.Getpid())
	return after - before, err
}

// inMemory makes an account with money and its judged calls.
func (f *closeFeed) inMemory(
	cat *catalog.Catalog, registry *accounts.Registry, i int,
) (*closing.Account, []closing.Call) {
	id, opened := closeAccount(i), f.at(0, 1)
	open := billing.AccountEvent{EventID: "opened-" + id, Type: billing.AccountOpened, AccountID: id,
		EffectiveAt: opened, OpenedAt: opened}
	registry.Admit(cat, &open)
	a := closing.Open(cat, open)
	a.Apply(cat, billing.AccountEvent{EventID: "topped-up-" + id, Type: billing.BalanceToppedUp,
		AccountID: id, EffectiveAt: opened, Amount: decimal.NewFromInt(1000)},
		closing.LastMomentBy(cat, opened))
	calls := make([]closing.Call, 0, len(closeActions))
	for _, action := range []int{1, 0, 2} { // in the order of the ids
		rec := &billing.CallRecord{CallID: closeCall(closeActions[action], i), AccountID: id,
			OccurredAt: f.at(1, 10), Dims: make([]string, len(cat.Dimensions)), ResultCode: closeCode}
		for d := range cat.Dimensions {
			if cat.Dimensions[d].Name == "action" {
				rec.Dims[d] = closeActions[action]
			}
		}
		copied := claim.Judge(cat, registry, rec)
		calls = append(calls, copied.Call())
	}
	return a, calls
}

// check compares what the closing left with what has to be there: a bill with the right total and
// its lines for each account, the bill's entry in the ledger, and the same bill on the topic.
func (b *closeBench) check(ctx context.Context) error {
	n := uint64(b.accounts)
	at := closing.MomentOf(b.cat, closeDay+1).At.Time()
	var got, want struct {
		Bills, Accounts, Right, Explained, Lines, Entries, Published, Hashes uint64
	}
	want.Bills, want.Accounts, want.Right, want.Explained = n, n, n, n
	want.Lines, want.Entries, want.Published = n*uint64(b.right.lines), n, n
	total := b.right.total.StringFixed(2)
	err := b.target.conn.QueryRow(ctx, `SELECT count(), uniqExact(account_id),
			countIf(total = toDecimal128(?, 2) AND balance_before - balance_after = total
				AND JSONExtractString(json, 'total') = ?),
			countIf(position(json, 'postpaid call of') > 0), sum(xxHash64(json))
		FROM closed_bills FINAL WHERE closed_at = ?`, total, total, at).
		Scan(&got.Bills, &got.Accounts, &got.Right, &got.Explained, &want.Hashes)
	if err != nil {
		return err
	}
	err = b.target.conn.QueryRow(ctx, `SELECT uniqExact(bill_id, line_no) FROM closed_bill_lines
		WHERE closed_at = ? AND explain != '' AND quantity = 1`, at).Scan(&got.Lines)
	if err != nil {
		return err
	}
	err = b.target.conn.QueryRow(ctx, `SELECT uniqExact(account_id, entry_id) FROM booked_entries
		WHERE closed_at = ? AND amount = toDecimal128(?, 2)`, at, total).Scan(&got.Entries)
	if err != nil {
		return err
	}
	if got.Published, got.Hashes, err = b.published(ctx); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("WRONG: it left %+v, right is %+v", got, want)
	}
	return nil
}

// published counts the bills on the topic and sums up their hashes.
func (b *closeBench) published(ctx context.Context) (count, hashes uint64, err error) {
	log, err := kafkalog.New(kafkalog.Options{Brokers: []string{b.target.broker}})
	if err != nil {
		return 0, 0, err
	}
	defer log.Close()
	info, err := log.Topic(ctx, billsTopic)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range info.Partitions {
		_, high, _, err := log.Offsets(ctx, billsTopic, int(p))
		if err != nil {
			return 0, 0, err
		}
		for at := int64(0); at < high; {
			f, err := log.Fetch(ctx, billsTopic, int(p), at)
			if err != nil {
				return 0, 0, err
			}
			for i := range f.Records {
				count, hashes = count+1, hashes+xxhash.Sum64(f.Records[i].Value)
			}
			at = f.Next
			f.Release()
		}
	}
	return count, hashes, nil
}

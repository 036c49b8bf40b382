package clickhouse

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/tagging"
)

// TestChunksAreRows: what closings make of accounts is stored, in every column of every table, as
// the driver stores the same rows, whatever the compression and however many chunks wait for each
// other.
func TestChunksAreRows(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	chunks := make([]*settle.Chunk, 4)
	for i := range chunks {
		chunks[i] = randomChunk(random, i)
	}
	tables := func(s *Store) (rows []string) {
		for _, table := range strings.Fields(`taken_calls voided_copies closed_usage closed_bills
			closed_bill_lines booked_entries status_changes said_status taken_by_line
			closed_bill_totals closed_line_totals closed_clients closed_codes closed_cover
			closed_packages account_latest account_states`) {
			of := rowTexts(t, s, "tuple(*)", "FROM "+table+" ORDER BY ALL")
			if len(of) == 0 {
				t.Errorf("no rows in %s: nothing is compared", table)
			}
			for _, row := range of {
				rows = append(rows, table+" "+row)
			}
		}
		return rows
	}
	byDriver := newStore(t)
	for _, c := range chunks {
		if err := byDriver.writeChunk(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	want := tables(byDriver)
	for compression, together := range map[string]int{"none": 1, "lz4": 3, "zstd": 4} {
		s := newStore(t)
		s.options.Compression = compression
		rows := s.ChunkRows()
		for some := range slices.Chunk(chunks, together) {
			for _, c := range some {
				if err := rows.Add(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			if err := rows.Store(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if have := tables(s); !slices.Equal(have, want) {
			t.Errorf("%s, %d together: %s", compression, together, firstDifference(have, want))
		}
	}
}

// randomChunk is a chunk of three accounts with something for every table, whose values are as odd
// as their columns allow.
func randomChunk(random *rand.Rand, number int) *settle.Chunk {
	day := billing.DateOf(2026, 3, 2)
	at := (day + 1).Start(shanghai)
	amount := func() decimal.Decimal {
		n := new(big.Int).Rsh(big.NewInt(random.Int64()), uint(random.IntN(60)))
		if random.IntN(3) == 0 { // more than fits in 64 bits
			n.Mul(n, big.NewInt(random.Int64N(1000)))
		}
		return decimal.NewFromBigInt(n, int32(-random.IntN(10))).Mul(
			decimal.NewFromInt(int64(random.IntN(3) - 1)))
	}
	c := &settle.Chunk{Moment: closing.Moment{At: at, Day: day}, Zone: shanghai}
	for i := range 3 {
		id := fmt.Sprintf("acc%d-%d", number, i)
		call := &closing.Call{CallRecord: billing.CallRecord{CallID: id + "/c 中", AccountID: id + "s",
			OccurredAt: at - billing.Instant(random.IntN(1e6)), ResultCode: "0",
			SDK: billing.SDK{Platform: "ios", Name: "sdk", Version: "1.2"}},
			Judgement: tagging.Judgement{Channel: "h5", Postpaid: "tag-p"}}
		outcomes := []closing.Outcome{closing.Free, closing.Covered, closing.Postpaid,
			closing.Uncovered}
		c.Taken = append(c.Taken, settle.TakenCall{Main: id, Day: day - billing.Day(i),
			Taken: closing.Taken{Call: call, Outcome: outcomes[random.IntN(len(outcomes))],
				Tag: "tag-p", PackageID: strings.Repeat("p", 1+random.IntN(200))}})
		c.Voided = append(c.Voided, &call.CallRecord)
		price := amount()
		b := &billing.Bill{BillID: id + "/2026-03-02", AccountID: id, ClosedAt: at,
			Period:      billing.DayPeriod(day),
			PeriodStart: day.Start(shanghai), PeriodEnd: at, Currency: "CNY", RuleVersion: 1 << 20,
			Total: amount().Round(2), BalanceBefore: amount().Round(2),
			BalanceAfter: amount().Round(2), Digest: "d",
			Lines: []billing.BillLine{
				{No: 1, Kind: billing.UsageLine, Tag: "tag-p", TagName: "人脸", Period: "2026-03-02",
					Quantity: random.Int64() - random.Int64(), UnitPrice: &price, Amount: amount(),
					Flags: []string{"contract_price_missing", "package_off_list"}},
				{No: 2, Kind: billing.VoidedLine, Amount: amount()}}}
		c.Bills = append(c.Bills, b)
		c.BillTexts = append(c.BillTexts, settle.BillText{JSON: []byte(`{"bill":"` + id + `"}`),
			Explain: [][]byte{[]byte(`[{"rule":"B15"}]`), []byte(`[]`)}})
		c.Ledger = append(c.Ledger, billing.LedgerEntry{EntryID: id, AccountID: id, At: at - 1,
			Kind: "bill", Debit: "a", Credit: "b", Amount: amount().Abs(), Cause: b.BillID})
		c.Status = append(c.Status, billing.StatusChange{EventID: id, AccountID: id,
			Status: billing.InArrears, EffectiveAt: at - 5, Balance: amount(), Cause: b.BillID})
		c.Said = append(c.Said, billing.StatusChange{EventID: id + "?", AccountID: id,
			Status: billing.Suspended, EffectiveAt: at, Balance: amount(), Provisional: true,
			BasedOn: at, Corrects: id, Withdraws: i == 1})
		c.States = append(c.States, settle.State{AccountID: id, Cohort: "A", JSON: []byte(`{"n":1}`),
			InArrears: i == 0, Pending: i == 1, DueAt: billing.Instant(1 << 62), StatusDue: at + 7,
			Packages: []closing.Package{{ID: "p", Tag: catalog.TagID("t"), Free: i == 2,
				Quota: 1 << 40, Used: 3, First: day, End: day + 365, Refunded: i == 1}}})
	}
	return c
}

// TestDecimalsOfSixteenBytes: the quick way and the one for any number give the same bytes, and
// both refuse what the column cannot hold.
func TestDecimalsOfSixteenBytes(t *testing.T) {
	for _, text := range []string{"0", "1", "-1", "0.01", "-0.000000000000000001", "12345.6789",
		"999999999999999999", "-999999999999999999", "99999999999999999999", "-1e19", "1e1", "5e18",
		"1.10", "-340282366920938463.463374607431768211"} {
		d := decimal.RequireFromString(text)
		quick, err1 := appendDecimal(nil, d, 18)
		long, err2 := appendLong(nil, d, 18)
		if err1 != nil || err2 != nil || !slices.Equal(quick, long) || len(quick) != 16 {
			t.Errorf("%s: % x (%v), % x (%v)", text, quick, err1, long, err2)
		}
	}
	for text, want := range map[string]string{
		"0.0000000000000000001": "more than 18 decimal places",
		"1e20":                  "more than 38 digits", "-1e25": "more than 38 digits",
	} {
		_, err := appendDecimal(nil, decimal.RequireFromString(text), 18)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestBuffersRefuseOtherColumns: rows do not go into a table that is not the program's own.
func TestBuffersRefuseOtherColumns(t *testing.T) {
	types := tableColumns{"a": "Enum8('x' = 1)", "b": "UInt64", "c": "DateTime64(6, 'UTC')"}
	good := func() []column {
		return []column{{"a", values(1, func(int) string { return "x" })},
			{"b", values(1, func(int) uint64 { return 1 })},
			{"c", values(1, func(int) time.Time { return time.Time{} })}}
	}
	for want, change := range map[string]func(c []column, t tableColumns) []column{
		"": func(c []column, _ tableColumns) []column { return c },
		`"y" is not a value`: func(c []column, _ tableColumns) []column {
			c[0].values = values(1, func(int) string { return "y" })
			return c
		},
		"2 of its 3 columns": func(c []column, _ tableColumns) []column { return c[:2] },
		"no column d": func(c []column, _ tableColumns) []column {
			c[0].name = "d"
			return c
		},
		`"UInt32", not UInt64`: func(c []column, t tableColumns) []column {
			t["b"] = "UInt32"
			return c
		},
		"not a time": func(c []column, t tableColumns) []column {
			t["c"] = "String"
			return c
		},
		"no form for a": func(c []column, _ tableColumns) []column {
			c[1].values = []uint64{1}
			return c
		},
	} {
		of := map[string]string{}
		for name, kind := range types {
			of[name] = kind
		}
		columns := change(good(), of)
		err := (&rowBuffer{table: "t", types: of}).add(columns)
		if want == "" && err != nil || want != "" &&
			(err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

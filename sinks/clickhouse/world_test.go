package clickhouse

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
	"tollstream/pipeline/tagging"
)

var shanghai = time.FixedZone("Asia/Shanghai", 8*3600)

func at(t testing.TB, s string) billing.Instant {
	t.Helper()
	i, err := billing.ParseInstant(s)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// call is a copy of a call that has an account and a tag; change what a test is about.
func call(id, account string, occurred, appended billing.Instant, offset int64) stored.Call {
	return stored.Call{
		CallRecord: billing.CallRecord{
			CallID: id, AccountID: account, OccurredAt: occurred,
			Dims:       []string{"wechat_native_h5", "", "authority", "", ""},
			ResultCode: "0", NeedCharge: "true",
			SDK: billing.SDK{Platform: "android", Name: "faceid", Version: "4.5.4"},
			Arrival: billing.Arrival{
				Appended: appended, Topic: "faceid.calls", Partition: 3, Offset: offset,
			},
		},
		Judgement: tagging.Judgement{Channel: "wechat_native_h5",
			Postpaid: "face-h5", Prepaid: "face-h5-p", Charged: true, CodeKnown: true},
		Main: account, Cohort: "C", CatalogDigest: "d1",
	}
}

// delivery is the row of the books that goes with a copy.
func delivery(c *stored.Call) stored.Delivery {
	return stored.Delivery{
		Arrival: c.Arrival, Outcome: stored.DeliveredData, IDHash: stored.IDHash(c.CallID),
		BillingHash: stored.NewBillingHasher(testDims).Sum(&c.CallRecord)}
}

func batchOf(calls ...stored.Call) *stored.Batch {
	b := &stored.Batch{Calls: callsOf(calls)}
	for i := range calls {
		d := delivery(&calls[i])
		b.Deliveries.Add(&d)
	}
	return b
}

func callsOf(list []stored.Call) (calls stored.Calls) {
	shapes := stored.NewShapes(testDims)
	for i := range list {
		shapes.Add(&calls, &list[i])
	}
	return calls
}

func deliveriesOf(list []stored.Delivery) (all stored.Deliveries) {
	for i := range list {
		all.Add(&list[i])
	}
	return all
}

func write(t testing.TB, s *Store, b *stored.Batch) {
	t.Helper()
	if err := s.WriteBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// closeDay publishes a closing, as the settle loop does last.
func closeDay(t testing.TB, s *Store, day billing.Day) billing.Instant {
	t.Helper()
	closed := (day + 1).At(8*time.Hour, shanghai)
	err := s.insert(t.Context(), "settlement_records", []column{
		{"closed_at", []time.Time{closed.Time()}}, {"day", []time.Time{dayTime(day)}},
		{"state", []string{"closed"}}, {"catalog_digest", []string{"d1"}},
		{"catalog_version", []string{"v1"}}, {"rule_version", []uint32{1}},
		{"barriers", []string{"[]"}}, {"books", []string{"[]"}}, {"gaps", []string{"[]"}},
		{"cluster_id", []string{""}}, {"bills", []uint64{0}},
		{"calls", []uint64{0}}, {"finished_at", []time.Time{closed.Time()}},
		{"version", []uint64{2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return closed
}

// take notes that a closing took a copy.
func take(t testing.TB, s *Store, closed billing.Instant, c *stored.Call) {
	t.Helper()
	err := s.insert(t.Context(), "taken_calls", []column{
		{"call_id", []string{c.CallID}}, {"id_hash", []uint64{stored.IDHash(c.CallID)}},
		{"account_id", []string{c.Main}}, {"caller", []string{c.AccountID}},
		{"occurred_at", []time.Time{c.OccurredAt.Time()}},
		{"day", []time.Time{dayTime(billing.DayOf(c.OccurredAt, shanghai))}},
		{"closed_at", []time.Time{closed.Time()}}, {"outcome", []string{"postpaid"}},
		{"tag", []string{string(c.Postpaid)}}, {"package_id", []string{""}},
		{"topic", []string{c.Arrival.Topic}}, {"partition", []int32{c.Arrival.Partition}},
		{"offset", []int64{c.Arrival.Offset}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// merge brings every table to one part per partition.
func merge(t testing.TB, s *Store) {
	t.Helper()
	for _, table := range []string{"call_copies", "deliveries", "account_events",
		"quarantined_records", "taken_calls", "open_usage", "open_duplicates"} {
		if err := s.exec(t.Context(), "merge", "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			t.Fatal(err)
		}
	}
}

// randomWorld makes calls of a few days with redeliveries of every kind: the same bytes at another
// offset, on another append day, with another time, code or account, and without a tag.
func randomWorld(t testing.TB, r *rand.Rand, n int) []stored.Call {
	start := at(t, "2026-03-01T00:00:00+08:00")
	var out []stored.Call
	for i := range n {
		account := fmt.Sprintf("acc-%d", r.IntN(5))
		occurred := start + billing.Instant(r.Int64N(int64(72*billing.Hour)))
		appended := (occurred + billing.Instant(r.Int64N(int64(2*billing.Hour)))) / 1000 * 1000
		c := call(fmt.Sprintf("call-%d", i), account, occurred, appended, 0)
		if i%7 == 0 {
			c.ResultCode, c.CodeKnown, c.Charged = "-9", false, false
		}
		out = append(out, c)
		for r.IntN(3) == 0 {
			d := c
			d.Dims = slices.Clone(c.Dims)
			d.Arrival.Appended += billing.Instant(r.Int64N(int64(30*billing.Hour))) / 1000 * 1000
			d.Arrival.Partition = int32(r.IntN(4))
			switch r.IntN(6) {
			case 0:
				d.OccurredAt += billing.Hour
			case 1:
				d.ResultCode, d.CodeKnown, d.Charged = "-7", false, false
			case 2:
				d.AccountID = "sub-" + account
			case 3:
				d.Dims[0], d.NoTag, d.Postpaid = "unheard_of", "unknown channel", ""
			}
			out = append(out, d)
		}
	}
	offsets := map[int32]int64{}
	for i := range out {
		p := out[i].Arrival.Partition
		out[i].Arrival.Offset = offsets[p]
		offsets[p]++
	}
	return out
}

package clickhouse

import (
	"fmt"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// takeAll stores copies and notes that a closing took each of them as postpaid.
func takeAll(t *testing.T, s *Store, m closing.Moment, calls []stored.Call) {
	t.Helper()
	write(t, s, batchOf(calls...))
	chunk := &settle.Chunk{Moment: m, Zone: shanghai}
	for i := range calls {
		c := &calls[i]
		chunk.Taken = append(chunk.Taken, settle.TakenCall{
			Main: c.Main, Day: billing.DayOf(c.OccurredAt, shanghai),
			Taken: closing.Taken{Outcome: closing.Postpaid, Tag: c.Postpaid,
				Call: &closing.Call{CallRecord: c.CallRecord, Judgement: c.Judgement}}})
	}
	if err := writeChunk(t, s, chunk); err != nil {
		t.Fatal(err)
	}
}

// Calls of a line come in their order, each once, however many pages they fill, also where a page
// ends between calls of one instant; a closing that is written again adds nothing.
func TestLineCallsFillPages(t *testing.T) {
	s := newStore(t)
	day := billing.DateOf(2026, 3, 2)
	m := closing.Moment{At: closeDay(t, s, day), Day: day}
	noon := at(t, "2026-03-02T12:00:00+08:00")
	const pageSize = 100
	calls := make([]stored.Call, 5*pageSize+7)
	for i := range calls {
		// Offsets run against the order of the calls; thirty calls share an instant.
		calls[i] = call(fmt.Sprintf("c%06d", i), "acme", noon+billing.Instant(i/30), noon,
			int64(len(calls)-i))
		calls[i].Main, calls[i].Arrival.Partition = "main", int32(i%2)
		calls[i].ResultCode = fmt.Sprint(i % 10)
	}
	takeAll(t, s, m, calls)
	takeAll(t, s, m, calls[:10])
	other := call("other-tag", "acme", noon, noon, 0)
	other.Main, other.Postpaid = "main", "t2"
	takeAll(t, s, m, []stored.Call{other})

	b := &billing.Bill{BillID: "main/2026-03-02", AccountID: "main", ClosedAt: m.At}
	l := &billing.BillLine{No: 1, Kind: billing.UsageLine, Tag: "face-h5", Period: "2026-03-02",
		Quantity: int64(len(calls))}
	logs, err := s.LineLogs(t.Context(), b, l)
	if err != nil || len(logs) != 2 || logs[0].Calls+logs[1].Calls != l.Quantity {
		t.Fatalf("%+v, %v", logs, err)
	}
	if x := logs[1]; x.Topic != "faceid.calls" || x.Partition != 1 || x.First != 2 ||
		x.Last != int64(len(calls)-1) {
		t.Errorf("%+v", x)
	}
	for _, limit := range []int{0, 3, pageSize, pageSize + 1} {
		want := len(calls)
		if limit > 0 {
			want = limit
		}
		n := 0
		err := s.eachLineCall(t.Context(), b, l, limit, pageSize, func(c *stored.LineCall) error {
			if x := &calls[n]; c.CallID != x.CallID || c.OccurredAt != x.OccurredAt ||
				c.ResultCode != x.ResultCode || c.Arrival.Offset != x.Arrival.Offset ||
				c.Arrival.Partition != x.Arrival.Partition || c.TakenAt != m.At {
				return fmt.Errorf("call %d is %+v", n, c)
			}
			n++
			return nil
		})
		if err != nil || n != want {
			t.Fatalf("limit %d: %d calls, %v", limit, n, err)
		}
	}
}

// A line's calls are those taken after the bill before: a late call of the same day and tag is on
// the next bill.
func TestLineCallsAreThoseOfOneBill(t *testing.T) {
	s := newStore(t)
	first, second := billing.DateOf(2026, 3, 2), billing.DateOf(2026, 3, 3)
	noon := at(t, "2026-03-02T12:00:00+08:00")
	early, late := call("early", "acme", noon, noon, 1), call("late", "acme", noon, noon, 2)
	takeAll(t, s, closing.Moment{At: closeDay(t, s, first), Day: first}, []stored.Call{early})
	takeAll(t, s, closing.Moment{At: closeDay(t, s, second), Day: second}, []stored.Call{late})
	storeBill(t, s, sampleBill("acme", billing.DayPeriod(first)))
	storeBill(t, s, sampleBill("acme", billing.DayPeriod(second)))
	for _, test := range []struct {
		bill string
		kind billing.LineKind
		want string
	}{
		{"acme/2026-03-02", billing.UsageLine, "early"},
		{"acme/2026-03-03", billing.LateUsageLine, "late"},
	} {
		b, err := s.Bill(t.Context(), test.bill)
		if err != nil {
			t.Fatal(err)
		}
		l := &billing.BillLine{Kind: test.kind, Tag: "face-h5", Period: "2026-03-02"}
		var ids []string
		err = s.EachLineCall(t.Context(), b, l, 0, func(c *stored.LineCall) error {
			ids = append(ids, c.CallID)
			return nil
		})
		if err != nil || len(ids) != 1 || ids[0] != test.want {
			t.Errorf("%s: %v, %v", test.bill, ids, err)
		}
	}
}

package clickhouse

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// provenWorld is one record of each kind on faceid.calls/3 and billing.account-events/0, with the
// rows that belong to them:
//
//	offset 0 counts   1 repeats it   2 differs from it   3 waits for its account   4 is malformed
//	5 was aborted     6 was 0 again, the next day
func provenWorld(t *testing.T) (*stored.Batch, []stored.Barrier) {
	t.Helper()
	day := at(t, "2026-03-01T10:00:00+08:00")
	counts := call("c", "acc", day, day, 0)
	repeats, differs, again := counts, counts, counts
	repeats.Arrival.Offset, repeats.Arrival.Appended = 1, day+billing.Second+999*billing.Millisecond
	differs.Arrival.Offset, differs.ResultCode = 2, "1"
	waits := call("w", "nobody", day, day, 3)
	waits.Main = ""
	again.Arrival.Offset, again.Arrival.Appended = 6, day+24*billing.Hour
	b := batchOf(counts, repeats, differs, waits, again)
	place := func(offset int64) billing.Arrival {
		return billing.Arrival{Topic: "faceid.calls", Partition: 3, Offset: offset, Appended: day}
	}
	b.Quarantined = []stored.Quarantined{
		{Arrival: place(3), Refusal: *billing.NotOpen("nobody"), AccountID: "nobody", ID: "w",
			Version: 1},
		{Arrival: place(4), Refusal: billing.Refusal{Reason: billing.NotJSON}, Version: 1},
	}
	event := place(0)
	event.Topic, event.Partition = "billing.account-events", 0
	b.Events = []stored.Event{{Value: []byte("{}"),
		AccountEvent: billing.AccountEvent{EventID: "e", Arrival: event}}}
	list := list(b.Deliveries.Len(), b.Deliveries.At)
	list[3].Reason = billing.UnknownAccount
	b.Deliveries = deliveriesOf(append(list,
		stored.Delivery{Arrival: place(4), Outcome: stored.DeliveredQuarantined,
			Reason: billing.NotJSON},
		stored.Delivery{Arrival: place(5), Outcome: stored.DeliveredAborted},
		stored.Delivery{Arrival: event, Outcome: stored.DeliveredData}))
	return b, []stored.Barrier{{Topic: "faceid.calls", Partition: 3, High: 7},
		{Topic: "billing.account-events", High: 1}}
}

// TestMissingNamesWhatIsGone takes one row away at a time and has it named by place, kind and
// table, before and after ClickHouse merged; the row written again, everything is proven again.
func TestMissingNamesWhatIsGone(t *testing.T) {
	s := newStore(t)
	world, ranges := provenWorld(t)
	write(t, s, world)
	expect := func(when string, want ...string) {
		t.Helper()
		missing, err := s.Missing(t.Context(), ranges)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for i := range missing {
			have = append(have, missing[i].String())
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: have %q, want %q", when, have, want)
		}
	}
	for _, state := range []string{"as written", "merged"} {
		expect(state)
		for _, gone := range []struct{ table, where, want string }{
			// Merged, the row of offset 0 stands for its repetition at offset 1 as well.
			{"call_copies", "call_id = 'c' AND offset IN (0, 1)",
				"faceid.calls/3 offset 0 (call, no row in call_copies)\n" +
					"faceid.calls/3 offset 1 (duplicate, no row in call_copies)"},
			{"call_copies", "result_code = '1'",
				"faceid.calls/3 offset 2 (duplicate, no row in call_copies)"},
			{"call_copies", "call_id = 'w'", "faceid.calls/3 offset 3 (call, no row in call_copies)"},
			{"quarantined_records", "offset = 3",
				"faceid.calls/3 offset 3 (quarantined, no row in quarantined_records)"},
			{"quarantined_records", "offset = 4",
				"faceid.calls/3 offset 4 (quarantined, no row in quarantined_records)"},
			{"account_events", "1",
				"billing.account-events/0 offset 0 (event, no row in account_events)"},
			{"deliveries", "offset = 1 AND partition = 3",
				"faceid.calls/3 offset 1 (unknown, no row in deliveries)"},
			{"deliveries", "offset = 6", "faceid.calls/3 offset 6 (unknown, no row in deliveries)"},
			{"deliveries", "partition = 3 AND offset IN (2, 3, 5)",
				"faceid.calls/3 offsets [2, 4) (unknown, no row in deliveries)\n" +
					"faceid.calls/3 offset 5 (unknown, no row in deliveries)"},
		} {
			remove(t, s, gone.table, gone.where)
			what := fmt.Sprintf("%s, without %s of %s", state, gone.where, gone.table)
			want := strings.Split(gone.want, "\n")
			expect(what, want...)
			write(t, s, world)
		}
		merge(t, s)
	}
}

// remove deletes rows and waits until they are gone.
func remove(t *testing.T, s *Store, table, where string) {
	t.Helper()
	err := s.exec(t.Context(), "delete", "ALTER TABLE "+table+" DELETE WHERE "+where+
		" SETTINGS mutations_sync = 2")
	if err != nil {
		t.Fatal(err)
	}
}

// TestMissingTakesOldRows: rows of before deliveries named their copy by billing fields prove what
// they can, by the id alone.
func TestMissingTakesOldRows(t *testing.T) {
	s := newStore(t)
	world, ranges := provenWorld(t)
	old := list(world.Deliveries.Len(), world.Deliveries.At)
	for i := range old {
		old[i].BillingHash, old[i].Reason = 0, ""
	}
	world.Deliveries = deliveriesOf(old)
	write(t, s, world)
	if missing, err := s.Missing(t.Context(), ranges); err != nil || len(missing) > 0 {
		t.Errorf("%+v, %v", missing, err)
	}
	remove(t, s, "call_copies", "call_id = 'w'")
	missing, err := s.Missing(t.Context(), ranges)
	if err != nil || len(missing) != 1 || missing[0].From != 3 || missing[0].Kind != settle.KindCall {
		t.Errorf("%+v, %v", missing, err)
	}
}

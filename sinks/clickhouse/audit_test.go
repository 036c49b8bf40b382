package clickhouse

import (
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

func namesOf(list []settle.Missing) []string {
	var names []string
	for i := range list {
		names = append(names, list[i].String())
	}
	return names
}

// TestGoneNamesAllKinds: a closing that misses offsets says only which; an audit says both them and
// the records of which a row has gone.
func TestGoneNamesAllKinds(t *testing.T) {
	s := newStore(t)
	world, ranges := provenWorld(t)
	write(t, s, world)
	remove(t, s, "deliveries", "partition = 3 AND offset = 5")
	remove(t, s, "quarantined_records", "offset = 4")
	hole := "faceid.calls/3 offset 5 (unknown, no row in deliveries)"
	row := "faceid.calls/3 offset 4 (quarantined, no row in quarantined_records)"
	missing, err := s.Missing(t.Context(), ranges)
	if names := namesOf(missing); err != nil || !slices.Equal(names, []string{hole}) {
		t.Errorf("a closing: %q, %v", names, err)
	}
	gone, err := s.Gone(t.Context(), ranges)
	if names := namesOf(gone); err != nil || !slices.Equal(names, []string{hole, row}) {
		t.Errorf("an audit: %q, %v", names, err)
	}
}

// TestUntaken: of calls that no closing took, those are named that have no reason to wait.
func TestUntaken(t *testing.T) {
	s := newStore(t)
	day := billing.DateOf(2026, 3, 1)
	noon := at(t, "2026-03-01T12:00:00+08:00")
	dayEnd := (day + 1).Start(shanghai)
	taken, lost := call("taken", "acc", noon, noon, 0), call("lost", "acc", noon, noon, 1)
	again := lost // differs, so it has a row of its own
	again.Arrival.Offset, again.Arrival.Appended, again.ResultCode = 2, noon+billing.Hour, "-1"
	unknown := call("unknown", "nobody", noon, noon, 3)
	noTag := call("no tag", "acc", noon, noon, 4)
	open := call("open", "acc", dayEnd, noon, 5)
	voided := call("voided", "acc", noon, noon, 6)
	waits := call("waits", "acc", dayEnd, noon, 7) // came first, and its day is open
	behind := call("waits", "acc", noon, noon, 8)
	before := call("before", "acc", noon, noon-48*billing.Hour, 9) // in another range
	before.Arrival.Partition = 2
	world := batchOf(taken, lost, again, unknown, noTag, open, voided, waits, behind, before)
	world.Quarantined = []stored.Quarantined{{Arrival: noTag.Arrival, ID: "no tag", Version: 1,
		AccountID: "acc", Refusal: billing.Refusal{Reason: billing.NoBillingTag}}}
	world.Events = []stored.Event{{Value: []byte(`{"call_ids":["other","voided"]}`),
		AccountEvent: billing.AccountEvent{EventID: "v", Type: billing.UsageVoided,
			Arrival: billing.Arrival{Topic: "events", Appended: noon}}}}
	write(t, s, world)
	routes := []settle.Route{{AccountID: "acc", Main: "acc"}}
	if err := s.SaveRoutes(t.Context(), noon, routes); err != nil {
		t.Fatal(err)
	}
	closed := closeDay(t, s, day)
	take(t, s, closed, &taken)

	ranges := []stored.Barrier{{Topic: "faceid.calls", Partition: 3, High: 9}}
	untaken, err := s.Untaken(t.Context(), ranges, closed+billing.Second, dayEnd)
	want := []string{"faceid.calls/3 offset 1 (call, no row in taken_calls)"}
	if names := namesOf(untaken); err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
	remove(t, s, "taken_calls", "call_id = 'taken'")
	untaken, err = s.Untaken(t.Context(), ranges, closed+billing.Second, dayEnd)
	if names := strings.Join(namesOf(untaken), "\n"); err != nil || len(untaken) != 2 ||
		!strings.HasPrefix(names, "faceid.calls/3 offset 0 (call") {
		t.Errorf("%s, %v", names, err)
	}
}

// TestTakenOff compares what closings say that they took with what stands.
func TestTakenOff(t *testing.T) {
	s := newStore(t)
	noon := at(t, "2026-03-01T12:00:00+08:00")
	first := billing.DateOf(2026, 3, 1)
	var closings []billing.Instant
	for i := range 4 {
		st := &stored.Settlement{Day: first + billing.Day(i),
			ClosedAt: (first + billing.Day(i)).At(32*billing.Hour.Duration(), shanghai)}
		closings = append(closings, st.ClosedAt)
		books := &settle.Books{Totals: settle.Totals{Calls: int64(i)}}
		if i == 3 {
			books = nil // decided and not done
		}
		if err := s.WriteSettlement(t.Context(), st, books); err != nil {
			t.Fatal(err)
		}
	}
	for i, closing := range []int{1, 2, 3} {
		c := call("c"+string(rune('0'+i)), "acc", noon, noon, int64(i))
		take(t, s, closings[closing], &c)
		take(t, s, closings[closing], &c) // the same row again
	}
	off, err := s.TakenOff(t.Context(), closings[0], closings[3])
	if err != nil || len(off) != 1 || off[0].Day != first+2 || off[0].Took != 2 ||
		off[0].Stored != 1 {
		t.Errorf("%+v, %v", off, err)
	}
	merge(t, s) // a row that was written twice counts twice until then
	short, err := s.TakenShort(t.Context(), closings[0], closings[3])
	if err != nil || !slices.Equal(short, off) {
		t.Errorf("%+v, %v", short, err)
	}
	for _, x := range [][2]int{{0, 1}, {3, 3}} {
		var none []settle.Taken
		if none, err = s.TakenOff(t.Context(), closings[x[0]], closings[x[1]]); err != nil ||
			len(none) > 0 {
			t.Errorf("%v: %+v, %v", x, none, err)
		}
	}
}

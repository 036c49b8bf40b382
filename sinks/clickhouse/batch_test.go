package clickhouse

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

const factColumns = "call_id, account_id, occurred_at, dims, result_code, main_account, " +
	"charged, no_tag, topic, partition, offset, appended_at, id_hash"

// facts is everything that the views say about input, as text.
func facts(t testing.TB, s *Store) []string {
	t.Helper()
	out := rowTexts(t, s, factColumns, "FROM calls ORDER BY ALL")
	out = append(out, rowTexts(t, s, "topic, partition, offset, appended_at, outcome, id_hash",
		"FROM deliveries FINAL ORDER BY ALL")...)
	out = append(out, rowTexts(t, s, "topic, partition, offset, event_id, value",
		"FROM account_events FINAL ORDER BY ALL")...)
	return append(out, rowTexts(t, s, "topic, partition, offset, reason, hint, value, headers",
		"FROM quarantine ORDER BY ALL")...)
}

// Idempotence: a world written once in order, and the same world written twice in other cuts and
// in a random order, with a merge in between, give the same views.
func TestSameFactsHoweverTheyAreWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	world := batchOf(randomWorld(t, r, 400)...)
	for i := range 50 {
		place := billing.Arrival{Appended: at(t, "2026-03-02T00:00:00+08:00"),
			Topic: "billing.account-events", Offset: int64(i)}
		world.Events = append(world.Events, stored.Event{Value: []byte(`{"a":1}`),
			AccountEvent: billing.AccountEvent{EventID: "e", Type: billing.AccountOpened,
				AccountID: "acc-1", EffectiveAt: place.Appended, Arrival: place}})
		place.Topic = "faceid.calls"
		world.Quarantined = append(world.Quarantined, stored.Quarantined{Arrival: place,
			Value: []byte{0xff, 0, byte(i)}, Headers: map[string]string{"h": "v"},
			Refusal: billing.Refusal{Reason: billing.NotJSON, Detail: "x"}})
	}
	once := newStore(t)
	write(t, once, world)
	want := facts(t, once)

	other := newStore(t)
	for round := range 2 {
		shuffled := *world
		shuffled.Calls = callsOf(shuffledCopy(r, world.Calls.Rows()))
		shuffled.Deliveries = deliveriesOf(
			shuffledCopy(r, list(world.Deliveries.Len(), world.Deliveries.At)))
		shuffled.Events = shuffledCopy(r, world.Events)
		shuffled.Quarantined = shuffledCopy(r, world.Quarantined)
		for _, part := range cut(r, &shuffled) {
			write(t, other, part)
		}
		if have := facts(t, other); !slices.Equal(have, want) {
			t.Fatalf("round %d: %s", round, firstDifference(have, want))
		}
		merge(t, other)
	}
	merge(t, once)
	if have := facts(t, once); !slices.Equal(have, want) {
		t.Errorf("after merging: %s", firstDifference(have, want))
	}
	if have := facts(t, other); !slices.Equal(have, want) {
		t.Errorf("written twice, after merging: %s", firstDifference(have, want))
	}
}

func shuffledCopy[T any](r *rand.Rand, list []T) []T {
	out := slices.Clone(list)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// cut divides a batch into three at random places.
func cut(r *rand.Rand, b *stored.Batch) []*stored.Batch {
	parts := []*stored.Batch{{}, {}, {}}
	shapes := []*stored.Shapes{}
	for range parts {
		shapes = append(shapes, stored.NewShapes(testDims))
	}
	for i := range b.Calls.Len() {
		n, x := r.IntN(3), b.Calls.At(i)
		shapes[n].Add(&parts[n].Calls, &x)
	}
	for _, x := range b.Events {
		p := parts[r.IntN(3)]
		p.Events = append(p.Events, x)
	}
	for _, x := range b.Quarantined {
		p := parts[r.IntN(3)]
		p.Quarantined = append(p.Quarantined, x)
	}
	for i := range b.Deliveries.Len() {
		x := b.Deliveries.At(i)
		parts[r.IntN(3)].Deliveries.Add(&x)
	}
	return parts
}

func firstDifference(have, want []string) string {
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			return "have " + have[i] + "\nwant " + want[i]
		}
	}
	return "different lengths"
}

// The copy that arrived first is the one shown, also where the copies lie in the partitions of
// different append days and where a condition selects only the later day.
func TestFirstArrivalWinsAcrossAppendDays(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T23:59:59.123456+08:00")
	night, morning := at(t, "2026-03-01T23:59:59.999+08:00"), at(t, "2026-03-02T00:00:00+08:00")
	later := call("c1", "acc", occurred, morning, 5)
	first := call("c1", "acc", occurred, night, 9)
	sameTime := call("c1", "acc", occurred, night, 10)
	for _, c := range []stored.Call{later, sameTime, first, later} {
		write(t, s, batchOf(c))
	}
	for range 2 {
		have := rowTexts(t, s, "call_id, offset, occurred_at, appended_at", "FROM calls")
		want := []string{"c1 9 2026-03-01 23:59:59.123456 2026-03-01 23:59:59.999"}
		if !slices.Equal(have, want) {
			t.Errorf("have %q, want %q", have, want)
		}
		none := rowTexts(t, s, "offset", "FROM calls WHERE appended_at >= '2026-03-02 00:00:00'")
		if len(none) > 0 {
			t.Errorf("a condition on append time brought up the copies %q", none)
		}
		merge(t, s)
	}
}

func TestArrivalOrderIsTotal(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	arrivals := []billing.Arrival{
		{Appended: occurred, Partition: 0, Offset: 1 << 52},
		{Appended: occurred, Partition: 1, Offset: 0},
		{Appended: occurred, Partition: 1<<31 - 1, Offset: 7},
		{Appended: occurred + billing.Millisecond, Partition: 0, Offset: 3},
		{Appended: at(t, "2500-01-01T00:00:00+08:00"), Partition: 0, Offset: 2},
	}
	for i, a := range arrivals[1:] {
		if arrivals[i].Compare(a) >= 0 {
			t.Fatal("the test's own list is not in order")
		}
	}
	for i := range arrivals { // the last is written first
		c := call("c", "acc", occurred, 0, 0)
		c.Arrival = arrivals[len(arrivals)-1-i]
		c.Arrival.Topic = "faceid.calls"
		write(t, s, batchOf(c))
		have := rowTexts(t, s, "partition, offset", "FROM calls")
		want := rowTexts(t, s, "toInt32(?), toInt64(?)", "", c.Arrival.Partition, c.Arrival.Offset)
		if !slices.Equal(have, want) {
			t.Errorf("have %q, want %q", have, want)
		}
	}
}

// Copies that differ in what can move a bill stay apart, whatever was merged, since which of them
// counts is not for the storage to say; so do copies in different topics.
func TestCopiesThatDifferStayApart(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	base := call("c", "acc", occurred, occurred, 0)
	changes := []func(c *stored.Call){
		func(*stored.Call) {},
		func(c *stored.Call) { c.AccountID = "sub" },
		func(c *stored.Call) { c.OccurredAt++ },
		func(c *stored.Call) { c.ResultCode = "1" },
		func(c *stored.Call) { c.NeedCharge = "" },
		func(c *stored.Call) { c.Dims[1] = "GetEidToken" },
		func(c *stored.Call) { c.Arrival.Topic = "other.calls" },
		// These differ in nothing that moves a bill.
		func(c *stored.Call) { c.SDK.Version = "5" },
		func(c *stored.Call) { c.Postpaid, c.Charged = "other", false },
	}
	for i, change := range changes {
		c := base
		c.Dims = slices.Clone(base.Dims)
		c.Arrival.Offset = int64(i)
		change(&c)
		write(t, s, batchOf(c))
	}
	merge(t, s)
	have := rowTexts(t, s, "offset", "FROM calls ORDER BY offset")
	if want := []string{"0", "1", "2", "3", "4", "5", "6"}; !slices.Equal(have, want) {
		t.Errorf("have copies %q, want %q", have, want)
	}
}

// A copy that is enriched again replaces itself, and nothing else.
func TestEnrichedAgainReplacesItself(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	c := call("c", "sub-1", occurred, occurred, 0)
	c.Main = ""
	write(t, s, batchOf(c))
	c.Main = "acc"
	write(t, s, batchOf(c))
	for range 2 {
		have := rowTexts(t, s, "account_id, main_account", "FROM calls")
		if want := []string{"sub-1 acc"}; !slices.Equal(have, want) {
			t.Errorf("have %q, want %q", have, want)
		}
		merge(t, s)
	}
}

func TestQuarantineShowsWhatIsOpen(t *testing.T) {
	s := newStore(t)
	place := billing.Arrival{Appended: at(t, "2026-03-02T00:00:00+08:00"), Topic: "faceid.calls",
		Partition: 2, Offset: 40}
	bytes := []byte("{\"call_id\": \xff\x00}")
	row := stored.Quarantined{Arrival: place, Key: []byte{0, 1}, Value: bytes, AccountID: "acc",
		ID: "c1", Headers: map[string]string{"trace": "1"},
		Refusal: billing.Refusal{Reason: billing.UnknownAccount, Detail: "account acc"}}
	write(t, s, &stored.Batch{Quarantined: []stored.Quarantined{row}})
	have, err := s.Quarantine(t.Context(), QuarantineFilter{Reason: billing.UnknownAccount,
		Account: "acc", Since: place.Appended})
	if err != nil || len(have) != 1 || string(have[0].Value) != string(bytes) ||
		have[0].Arrival != place || have[0].Headers["trace"] != "1" ||
		have[0].Refusal != row.Refusal || string(have[0].Key) != string(row.Key) {
		t.Fatalf("%+v, %v", have, err)
	}
	open := rowTexts(t, s, "reason, hint, records", "FROM quarantine_open")
	want := []string{"unknown_account " + billing.UnknownAccount.Hint() + " 1"}
	if !slices.Equal(open, want) {
		t.Errorf("have %q, want %q", open, want)
	}
	row.Resolved, row.Version = stored.ResolvedTaken, 2
	write(t, s, &stored.Batch{Quarantined: []stored.Quarantined{row}})
	row.Resolved, row.Version = "", 0 // a replay of the first write comes late
	write(t, s, &stored.Batch{Quarantined: []stored.Quarantined{row}})
	if have, err := s.Quarantine(t.Context(), QuarantineFilter{}); err != nil || len(have) > 0 {
		t.Errorf("resolved, and still shown: %+v, %v", have, err)
	}
}

func TestHashesAreClickHouses(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	for _, id := range []string{"a", "订单-1", strings.Repeat("x", 128)} {
		c := call(id, "acc", occurred, occurred, int64(len(id)))
		write(t, s, batchOf(c))
		have := rowTexts(t, s, "id_hash", "FROM calls WHERE call_id = ?", id)
		want := rowTexts(t, s, "toUInt64(?)", "", stored.IDHash(id))
		if !slices.Equal(have, want) {
			t.Errorf("id_hash of %q is %q, IDHash says %q", id, have, want)
		}
	}
}

func TestWriteBatchRefusesOtherDimensions(t *testing.T) {
	s := newStore(t)
	c := call("c", "acc", 0, 0, 0)
	c.Dims = c.Dims[:2]
	err := s.WriteBatch(t.Context(), batchOf(c))
	if err == nil || !strings.Contains(err.Error(), "have 2 dimensions") {
		t.Errorf("got %v", err)
	}
}

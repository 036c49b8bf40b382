package clickhouse

import (
	"errors"
	"io"
	"slices"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// windowOfDay is the window of a day's closing over everything in the logs.
func windowOfDay(day billing.Day) settle.Window {
	moment := closing.Moment{Day: day, At: (day + 1).At(8*3600e9, shanghai)}
	return settle.Window{Moment: moment, Since: closing.WindowStart(day, shanghai),
		DayEnd: (day + 1).Start(shanghai),
		Settlement: &stored.Settlement{Day: day, ClosedAt: moment.At, Barriers: []stored.Barrier{
			{Topic: "faceid.calls", Partition: 3, High: 100}}}}
}

// TestLaterAccountsAreNotSeen: a process that slept through closings sees, when it goes on with its
// own, no account that they learnt of.
func TestLaterAccountsAreNotSeen(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	write(t, s, batchOf(call("c1", "acme", occurred, occurred, 0),
		call("c2", "bolt", occurred, occurred, 1)))
	w := windowOfDay(billing.DayOf(occurred, shanghai))
	later := windowOfDay(w.Moment.Day + 1)
	for moment, id := range map[billing.Instant]string{w.Moment.At: "acme", later.Moment.At: "bolt"} {
		routes := []settle.Route{{AccountID: id, Main: id}}
		if err := s.SaveRoutes(t.Context(), moment, routes); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		window settle.Window
		want   []string
	}{{w, []string{"acme"}}, {later, []string{"acme", "bolt"}}} {
		have, err := withCandidates(t, s, test.window)
		slices.Sort(have)
		if err != nil || !slices.Equal(have, test.want) {
			t.Errorf("closing of %s sees %q, %v, want %q", test.window.Moment.Day, have, err, test.want)
		}
	}
}

// withCandidates gives the accounts of a window's candidates.
func withCandidates(t *testing.T, s *Store, w settle.Window) (mains []string, err error) {
	t.Helper()
	calls, err := s.Candidates(t.Context(), w)
	if err != nil {
		return nil, err
	}
	defer calls.Close() //nolint:errcheck // only read
	for {
		c, err := calls.Next()
		if errors.Is(err, io.EOF) {
			return slices.Compact(mains), nil
		}
		if err != nil {
			return nil, err
		}
		mains = append(mains, c.Main)
	}
}

// TestLastSecondOfADay: a call belongs to its day to the last microsecond, and a copy to the window
// of a closing from its first one on.
func TestLastSecondOfADay(t *testing.T) {
	s := newStore(t)
	midnight := at(t, "2026-03-02T00:00:00+08:00")
	w := windowOfDay(billing.DayOf(midnight, shanghai) - 1)
	instants := []billing.Instant{midnight - 1, midnight - billing.Second + 1, midnight}
	for i, occurred := range instants {
		write(t, s, batchOf(call("c"+string(rune('1'+i)), "acme", occurred, midnight, int64(i))))
	}
	for i, appended := range []billing.Instant{w.Since - billing.Millisecond, w.Since} {
		write(t, s, batchOf(call("old"+string(rune('1'+i)), "acme", w.Since, appended, int64(10+i))))
	}
	routes := []settle.Route{{AccountID: "acme", Main: "acme"}}
	if err := s.SaveRoutes(t.Context(), w.Moment.At-24*billing.Hour, routes); err != nil {
		t.Fatal(err)
	}
	sql, args := candidates(w, "c.call_id")
	have, err := s.strings(t.Context(), "test", sql+" ORDER BY c.call_id"+prunePartitions, args...)
	if want := []string{"c1", "c2", "old2"}; err != nil || !slices.Equal(have, want) {
		t.Errorf("%q, %v, want %q", have, err, want)
	}
}

// TestLaterCopyIsSeen: a copy within the window is seen whose first one, identical, is older, even
// by a millisecond, whatever ClickHouse has merged. It is judged anew if the first one was refused.
func TestLaterCopyIsSeen(t *testing.T) {
	s := newStore(t)
	w := windowOfDay(billing.DayOf(at(t, "2026-03-04T10:00:00+08:00"), shanghai))
	occurred := w.Since - 2*billing.Hour
	write(t, s, batchOf(call("c1", "acme", occurred, w.Since-billing.Millisecond, 0)))
	write(t, s, batchOf(call("c1", "acme", occurred, w.Since, 1)))
	merge(t, s)
	routes := []settle.Route{{AccountID: "acme", Main: "acme"}}
	if err := s.SaveRoutes(t.Context(), w.Moment.At-24*billing.Hour, routes); err != nil {
		t.Fatal(err)
	}
	w.First = false
	mains, err := withCandidates(t, s, w)
	if err != nil || !slices.Equal(mains, []string{"acme"}) {
		t.Errorf("candidates of %q, %v", mains, err)
	}
}

// TestVoidedCopyCompetes: a copy that was taken back before a closing took it counts against a copy
// of another account that arrives when the first is no longer looked at.
func TestVoidedCopyCompetes(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	day := billing.DayOf(occurred, shanghai)
	voided := call("c1", "acme", occurred, occurred, 0)
	write(t, s, batchOf(voided))
	first := windowOfDay(day)
	routes := []settle.Route{{AccountID: "acme", Main: "acme"}, {AccountID: "bolt", Main: "bolt"}}
	if err := s.SaveRoutes(t.Context(), first.Moment.At, routes); err != nil {
		t.Fatal(err)
	}
	err := writeChunk(t, s, &settle.Chunk{Moment: first.Moment, Zone: shanghai,
		Voided: []*billing.CallRecord{&voided.CallRecord}})
	if err != nil {
		t.Fatal(err)
	}
	arrived := occurred + 10*24*billing.Hour
	write(t, s, batchOf(call("c1", "bolt", arrived, arrived, 1),
		call("c2", "bolt", arrived, arrived, 2)))
	w := windowOfDay(day + 10)
	groups, err := s.DifferingCopies(t.Context(), w)
	if err != nil || len(groups) != 1 || len(groups[0]) != 2 || groups[0][0].AccountID != "acme" ||
		groups[0][1].AccountID != "bolt" {
		t.Errorf("%+v, %v", groups, err)
	}
	mains, err := withCandidates(t, s, w)
	if err != nil || !slices.Equal(mains, []string{"bolt"}) {
		t.Errorf("candidates of %q, %v: the old copy itself is not looked at again", mains, err)
	}
}

// TestRequalifyKeepsWhatIsSaidAlready: only another reason makes another row, and a call that is
// not in quarantine has no bytes to put there.
func TestRequalifyKeepsWhatIsSaidAlready(t *testing.T) {
	s := newStore(t)
	arrived := at(t, "2026-03-01T10:00:00+08:00")
	place := func(offset int64) billing.Arrival {
		return billing.Arrival{Appended: arrived, Topic: "faceid.calls", Partition: 3, Offset: offset}
	}
	unknown := billing.Refusal{Reason: billing.UnknownAccount, Detail: "account acme"}
	noTag := billing.Refusal{Reason: billing.NoBillingTag, Detail: "channel eid"}
	var held []stored.Quarantined
	for i, refusal := range []billing.Refusal{unknown, noTag} {
		held = append(held, stored.Quarantined{Arrival: place(int64(i)), Value: []byte("{}"),
			Refusal: refusal, Version: 1})
	}
	write(t, s, &stored.Batch{Quarantined: held})
	var list []settle.Requalified
	for i := range int64(3) {
		list = append(list, settle.Requalified{Arrival: place(i), Refusal: &noTag})
	}
	if err := s.Requalify(t.Context(), 7, list); err != nil {
		t.Fatal(err)
	}
	have := rowTexts(t, s, "offset, reason, value, version",
		"FROM quarantined_records FINAL ORDER BY offset")
	want := []string{"0 no_billing_tag {} 7", "1 no_billing_tag {} 1"}
	if !slices.Equal(have, want) {
		t.Errorf("have %q, want %q", have, want)
	}
}

// TestAlikeCopiesDoNotContradict: a copy that repeats one that is too old to be looked at is no
// conflict; one that differs in the time it tells is.
func TestAlikeCopiesDoNotContradict(t *testing.T) {
	s := newStore(t)
	const milli = billing.Second / 1000
	occurred := at(t, "2026-03-01T09:59:59+08:00") + 613*milli
	day := billing.DayOf(occurred, shanghai)
	first := windowOfDay(day)
	routes := []settle.Route{{AccountID: "acme", Main: "acme"}}
	if err := s.SaveRoutes(t.Context(), first.Moment.At, routes); err != nil {
		t.Fatal(err)
	}
	takeAll(t, s, first.Moment, []stored.Call{
		call("c1", "acme", occurred, occurred, 0), call("c2", "acme", occurred, occurred, 1)})
	arrived := occurred + 30*billing.Hour
	write(t, s, batchOf(call("c1", "acme", occurred, arrived, 2),
		call("c2", "acme", occurred+milli, arrived, 3)))
	if _, err := s.FinishClosing(t.Context(), windowOfDay(day+2)); err != nil {
		t.Fatal(err)
	}
	have := rowTexts(t, s, "offset, conflict, winner_offset", "FROM duplicate_copies FINAL")
	if want := []string{"3 true 1"}; !slices.Equal(have, want) {
		t.Errorf("copies that do not count: %q, want %q", have, want)
	}
}

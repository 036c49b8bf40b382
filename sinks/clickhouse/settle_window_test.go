package clickhouse

import (
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
	return settle.Window{Moment: moment, DayEnd: (day + 1).Start(shanghai),
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
		have, err := s.AccountsWithCandidates(t.Context(), test.window)
		slices.Sort(have)
		if err != nil || !slices.Equal(have, test.want) {
			t.Errorf("closing of %s sees %q, %v, want %q", test.window.Moment.Day, have, err, test.want)
		}
	}
}

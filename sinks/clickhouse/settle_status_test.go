package clickhouse

import (
	"slices"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
)

// TestMarkSaid: what was published is not published again by the next process, also when a closing
// that is done again writes it once more.
func TestMarkSaid(t *testing.T) {
	s := newStore(t)
	closed := at(t, "2026-03-02T08:00:00+08:00")
	list := []billing.StatusChange{{EventID: "e1", AccountID: "acme", Status: billing.InArrears,
		EffectiveAt: closed, BasedOn: closed, Provisional: true}}
	unpublished := func() int {
		t.Helper()
		left, err := s.Unpublished(t.Context(), closed)
		if err != nil {
			t.Fatal(err)
		}
		return len(left)
	}
	for round, want := range []int{1, 0} {
		if err := s.WriteSaid(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if n := unpublished(); n != want {
			t.Errorf("round %d: %d records are not published, want %d", round, n, want)
		}
		if err := s.MarkSaid(t.Context(), closed); err != nil {
			t.Fatal(err)
		}
		if n := unpublished(); n != 0 {
			t.Errorf("round %d: %d records are not published after all were", round, n)
		}
	}
}

// TestStatusOfIsInOrder: for each account first what corrects the past, then what a closing fixed,
// then what holds from now on, so that the last record tells the status.
func TestStatusOfIsInOrder(t *testing.T) {
	s := newStore(t)
	closed := at(t, "2026-03-02T08:00:00+08:00")
	var said, final []billing.StatusChange
	for _, account := range []string{"acme", "bolt"} {
		said = append(said,
			billing.StatusChange{EventID: account + " next", AccountID: account,
				Status: billing.Suspended, EffectiveAt: closed, BasedOn: closed, Provisional: true},
			billing.StatusChange{EventID: account + " withdrawn", AccountID: account,
				Status: billing.Active, EffectiveAt: closed - billing.Hour, BasedOn: closed,
				Provisional: true, Withdraws: true})
		final = append(final, billing.StatusChange{EventID: account + " fixed", AccountID: account,
			Status: billing.InArrears, EffectiveAt: closed - 2*billing.Hour})
	}
	chunk := settle.Chunk{Moment: windowOfDay(billing.DayOf(closed, shanghai) - 1).Moment,
		Zone: shanghai, Said: said, Status: final}
	if err := writeChunk(t, s, &chunk); err != nil {
		t.Fatal(err)
	}
	var have []string
	err := s.StatusOf(t.Context(), closed, 2, func(list []billing.StatusChange) error {
		for _, c := range list {
			have = append(have, c.EventID)
		}
		return nil
	})
	want := []string{"acme withdrawn", "acme fixed", "acme next", "bolt withdrawn", "bolt fixed",
		"bolt next"}
	if err != nil || !slices.Equal(have, want) {
		t.Errorf("%q, %v, want %q", have, err, want)
	}
}

// TestUnenriched: only calls whose account was unknown are read again.
func TestUnenriched(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	known := call("c1", "acme", occurred, occurred, 0)
	unknown := call("c2", "bolt", occurred, occurred, 1)
	unknown.Main = ""
	write(t, s, batchOf(known, unknown))
	list, err := s.Unenriched(t.Context(), billing.DayOf(occurred, shanghai), 10)
	if err != nil || len(list) != 1 || list[0].CallID != "c2" {
		t.Errorf("%+v, %v, want the call of bolt", list, err)
	}
}

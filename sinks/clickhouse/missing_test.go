package clickhouse

import (
	"testing"

	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// TestFirstMissing: reading goes on at the first hole above what closings have seen.
func TestFirstMissing(t *testing.T) {
	s := newStore(t)
	c := call("c1", "acc", at(t, "2026-03-01T10:00:00+08:00"), at(t, "2026-03-01T10:00:01+08:00"), 0)
	for _, offset := range []int64{10, 11, 12, 14, 15, 17} {
		c.Arrival.Offset = offset
		write(t, s, batchOf(c))
	}
	check := func(from, below, want int64) {
		t.Helper()
		got, err := s.FirstMissing(t.Context(), c.Arrival.Topic, c.Arrival.Partition, from, below)
		if err != nil || got != want {
			t.Errorf("[%d, %d): %d, %v, want %d", from, below, got, err, want)
		}
	}
	check(10, 13, 13)
	check(10, 18, 13)
	check(14, 16, 16)
	check(14, 20, 16)
	check(17, 20, 18)
	check(0, 20, 0)
	check(30, 40, 30)
	check(30, 20, 20)
	done := stored.Settlement{Day: 20_000, ClosedAt: c.OccurredAt, Barriers: []stored.Barrier{
		{Topic: c.Arrival.Topic, Partition: c.Arrival.Partition, Low: 0, High: 15}}}
	if err := s.WriteSettlement(t.Context(), &done, nil); err != nil {
		t.Fatal(err)
	}
	check(0, 20, 0) // decided is not closed
	if err := s.WriteSettlement(t.Context(), &done, &settle.Books{}); err != nil {
		t.Fatal(err)
	}
	check(0, 20, 16)
	check(0, 16, 16)
	if got, err := s.FirstMissing(t.Context(), "other", 0, 0, 5); err != nil || got != 0 {
		t.Errorf("a partition that no closing knows: %d, %v", got, err)
	}
}

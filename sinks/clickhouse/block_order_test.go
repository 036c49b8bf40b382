package clickhouse

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// TestSorter: rows come in the order of their groups, and those of one group as they are, or in an
// order of their own, whatever was put in order before in the same memory. Where nearly each row
// has a group of its own, none moves.
func TestSorter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s sorter
	var order []uint32
	for _, shape := range []struct{ rows, groups int }{
		{0, 1}, {1, 1}, {40, 1}, {1000, 20}, {1000, 150}, {1000, 900}, {30, 3}} {
		groups := make([]uint32, shape.rows)
		for i := range groups {
			groups[i] = uint32(r.IntN(shape.groups))
		}
		compare := func(a, b uint32) int { return cmp.Compare(a%7*100+a/7, b%7*100+b/7) }
		from := shape.rows / 3
		want := make([]uint32, 0, shape.rows)
		for row := from; row < shape.rows; row++ {
			want = append(want, uint32(row))
		}
		if shape.groups <= len(want)/groupRows {
			slices.SortStableFunc(want, func(a, b uint32) int { return compare(groups[a], groups[b]) })
		}
		of := func(row int) uint32 { return groups[row] }
		order = s.sort(order, from, shape.rows, shape.groups, of, compare, nil)
		if !slices.Equal(order, want) {
			t.Errorf("%d rows of %d groups: %v, want %v", shape.rows, shape.groups, order, want)
		}
		last := func(a, b uint32) int { return cmp.Compare(b, a) }
		if shape.groups <= len(want)/groupRows {
			slices.SortFunc(want, func(a, b uint32) int {
				return cmp.Or(compare(groups[a], groups[b]), last(a, b))
			})
		}
		order = s.sort(order, from, shape.rows, shape.groups, of, compare, last)
		if !slices.Equal(order, want) {
			t.Errorf("%d rows of %d groups, the last first: %v, want %v", shape.rows, shape.groups,
				order, want)
		}
	}
}

// TestTheServerSortsNothing: calls come in the order of their table's key, whatever the order in
// which they were read, and over whichever days they were appended.
func TestTheServerSortsNothing(t *testing.T) {
	s := newStore(t)
	r := rand.New(rand.NewPCG(7, 8))
	day := at(t, "2026-03-01T10:00:00+08:00")
	rows := make([]stored.Call, 500)
	for i := range rows {
		occurred := day + billing.Instant(r.IntN(50))*billing.Second
		rows[i] = call(fmt.Sprint("c", r.IntN(5)), fmt.Sprint("acc", r.IntN(5)), occurred,
			occurred+billing.Instant(r.IntN(3))*24*billing.Hour, int64(i))
	}
	// Blocks that were stored, and those of them that came in order.
	counted := func() (all, inOrder int) {
		for event, n := range map[string]*int{"MergeTreeDataWriterBlocks": &all,
			"MergeTreeDataWriterBlocksAlreadySorted": &inOrder} {
			text := rowTexts(t, s, "sum(value)", "FROM system.events WHERE event = ?", event)
			if _, err := fmt.Sscan(text[0], n); err != nil {
				t.Fatal(err)
			}
		}
		return all, inOrder
	}
	allBefore, inOrderBefore := counted()
	write(t, s, batchOf(rows...))
	all, inOrder := counted()
	if all, inOrder = all-allBefore, inOrder-inOrderBefore; all < 4 || inOrder != all {
		t.Errorf("of %d blocks %d came in order", all, inOrder)
	}
}

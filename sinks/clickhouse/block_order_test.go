package clickhouse

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSorter: rows come in the order of their groups, and those of one group as they are, whatever
// was put in order before in the same memory. Where nearly each row has a group of its own, none
// moves.
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
		order = s.sort(order, from, shape.rows, shape.groups,
			func(row int) uint32 { return groups[row] }, compare)
		if !slices.Equal(order, want) {
			t.Errorf("%d rows of %d groups: %v, want %v", shape.rows, shape.groups, order, want)
		}
	}
}

package clickhouse

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestGroups: rows come in the order of their keys, and those of one key as they are, whatever was
// put in order before in the same memory. Where nearly each row has a key of its own, none moves.
func TestGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	g := groups[string]{number: map[string]uint32{}}
	var order []uint32
	for _, shape := range []struct{ rows, keys int }{
		{0, 1}, {1, 1}, {40, 1}, {1000, 20}, {1000, 150}, {1000, 100_000}, {30, 3}} {
		keys := make([]string, shape.rows)
		for i := range keys {
			keys[i] = fmt.Sprint(r.IntN(shape.keys))
		}
		from := shape.rows / 3
		want := make([]uint32, 0, shape.rows)
		for row := from; row < shape.rows; row++ {
			want = append(want, uint32(row))
		}
		if shape.keys <= len(want)/groupRows {
			slices.SortStableFunc(want, func(a, b uint32) int {
				return strings.Compare(keys[a], keys[b])
			})
		}
		order = g.order(order, from, shape.rows, func(row int) string { return keys[row] },
			strings.Compare)
		if !slices.Equal(order, want) {
			t.Errorf("%d rows of %d keys: %v, want %v", shape.rows, shape.keys, order, want)
		}
	}
}

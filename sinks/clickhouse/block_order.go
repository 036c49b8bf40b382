package clickhouse

import (
	"cmp"
	"slices"
)

// groups puts rows one behind the other that have something in common, which their table is ordered
// by first. It costs us a tenth of what the server takes to sort the rows: it compares the keys of
// rows, we those of groups, and a group's rows come in the order of time already, or nearly so.
type groups[K comparable] struct {
	number map[K]uint32
	keys   []K
	of     []uint32 // the group of each row
	ranks  []uint32 // groups by their keys
	next   []uint32 // where the next row of each group goes
}

// groupRows is how many rows a group has at least, on average; smaller ones are left to the server.
const groupRows = 4

// order gives the rows from one on and below another in the order of their keys, those of equal
// keys in the order that they have. It takes the memory of an order that is not used any more.
func (g *groups[K]) order(
	order []uint32, from, below int, key func(row int) K, compare func(a, b K) int,
) []uint32 {
	rows := below - from
	order = slices.Grow(order[:0], rows)[:rows]
	if !g.find(from, below, key) {
		for i := range order {
			order[i] = uint32(from + i)
		}
		return order
	}
	g.ranks = g.ranks[:0]
	for n := range g.keys {
		g.ranks = append(g.ranks, uint32(n))
	}
	slices.SortFunc(g.ranks, func(a, b uint32) int { return compare(g.keys[a], g.keys[b]) })
	g.next = slices.Grow(g.next[:0], len(g.keys))[:len(g.keys)]
	clear(g.next)
	for _, n := range g.of {
		g.next[n]++
	}
	start := uint32(0)
	for _, n := range g.ranks {
		g.next[n], start = start, start+g.next[n]
	}
	for i, n := range g.of {
		order[g.next[n]] = uint32(from + i)
		g.next[n]++
	}
	return order
}

// find finds the group of each row, unless there are too many groups.
func (g *groups[K]) find(from, below int, key func(row int) K) bool {
	clear(g.number)
	g.keys, g.of = g.keys[:0], g.of[:0]
	for row := from; row < below; row++ {
		k := key(row)
		n, known := g.number[k]
		if !known {
			if n = uint32(len(g.keys)); int(n) > (below-from)/groupRows {
				return false
			}
			g.number[k], g.keys = n, append(g.keys, k)
		}
		g.of = append(g.of, n)
	}
	return true
}

// logKey is a partition.
type logKey struct {
	topic     string
	partition int32
}

func (k logKey) compare(other logKey) int {
	return cmp.Or(cmp.Compare(k.topic, other.topic), cmp.Compare(k.partition, other.partition))
}

package clickhouse

import "slices"

// sorter puts rows one behind the other that belong to a group, as an account or a partition is,
// which their table is ordered by first. It costs us a tenth of what the server takes to sort the
// rows: it compares the keys of rows, we those of groups, and a group's rows come in the order of
// time already, or nearly so. Where all of them are in order, the server finds that out and moves
// none; one that is not makes it move each value of each column.
type sorter struct {
	ranks []uint32 // groups in their order
	next  []uint32 // where the next row of each group goes
}

// groupRows is how many rows a group has at least, on average; smaller ones are left to the server.
const groupRows = 4

// sort gives the rows from one on and below another in the order of their groups, of which there
// are so many, and those of a group in the order of within, or that they have where it is nil. It
// takes the memory of an order that is not used any more.
func (s *sorter) sort(
	order []uint32, from, below, groups int, group func(row int) uint32,
	compare func(a, b uint32) int, within func(a, b uint32) int,
) []uint32 {
	order = slices.Grow(order[:0], below-from)[:below-from]
	if groups > (below-from)/groupRows {
		for i := range order {
			order[i] = uint32(from + i)
		}
		return order
	}
	s.next = slices.Grow(s.next[:0], groups)[:groups]
	clear(s.next)
	for row := from; row < below; row++ {
		s.next[group(row)]++
	}
	s.ranks = s.ranks[:0]
	for g := range groups {
		s.ranks = append(s.ranks, uint32(g))
	}
	slices.SortFunc(s.ranks, compare)
	start := uint32(0)
	for _, g := range s.ranks {
		s.next[g], start = start, start+s.next[g]
	}
	for row := from; row < below; row++ {
		at := &s.next[group(row)]
		order[*at] = uint32(row)
		*at++
	}
	if within == nil {
		return order
	}
	start = 0
	for _, g := range s.ranks { // next is where the group ends by now
		slices.SortFunc(order[start:s.next[g]], within)
		start = s.next[g]
	}
	return order
}

package kafkalog

import (
	"slices"
	"testing"
)

// TestCutAt: whatever a fetch is cut at, every offset up to there is accounted for, and none after.
func TestCutAt(t *testing.T) {
	const requested, next = 10, 20
	for end := int64(requested); end <= next+1; end++ {
		f := Fetched{Next: next, Compacted: []Range{{10, 12}, {14, 17}}}
		for _, offset := range []int64{12, 13, 17, 18, 19} {
			f.Records = append(f.Records, Record{Offset: offset})
		}
		f.CutAt(end)
		var offsets []int64
		for _, r := range f.Records {
			offsets = append(offsets, r.Offset)
		}
		for _, r := range f.Compacted {
			for offset := r.From; offset < r.To; offset++ {
				offsets = append(offsets, offset)
			}
		}
		slices.Sort(offsets)
		var want []int64
		for offset := int64(requested); offset < min(end, next); offset++ {
			want = append(want, offset)
		}
		if !slices.Equal(offsets, want) || f.Next != min(end, next) {
			t.Errorf("cut at %d: offsets %v, next %d", end, offsets, f.Next)
		}
	}
}

package clickhouse

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/tagging"
)

// TestCountUsage: calls in the order in which a chunk has them are counted once by each key, and
// the counts are in the order of their keys.
func TestCountUsage(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[draw.IntN(len(of))] }
	outcomes := []string{string(closing.Free), string(closing.Covered), string(closing.Postpaid),
		string(closing.Uncovered)}
	for range 200 {
		taken := make([]settle.TakenCall, draw.IntN(60))
		want := map[usageKey]*usageCount{}
		for i := range taken {
			taken[i] = settle.TakenCall{Main: pick("a", "b", "c"), Day: billing.Day(draw.IntN(3)),
				Taken: closing.Taken{Outcome: closing.Outcome(pick(outcomes...)), Call: &closing.Call{
					Judgement: tagging.Judgement{Channel: pick("x", "y"),
						Postpaid:  catalog.TagID(pick("", "t1", "t2")),
						CodeKnown: draw.IntN(2) == 0, FreeAction: draw.IntN(4) == 0}}}}
		}
		slices.SortStableFunc(taken, func(a, b settle.TakenCall) int {
			return cmp.Or(cmp.Compare(a.Main, b.Main), cmp.Compare(a.Day, b.Day))
		})
		for i := range taken {
			c := &taken[i]
			key := usageKey{c.Main, c.Day, string(c.Call.Postpaid), c.Call.Channel}
			if want[key] == nil {
				want[key] = &usageCount{usageKey: key}
			}
			want[key].add(c)
		}
		have := countUsage(taken)
		if len(have) != len(want) {
			t.Fatalf("%d counts, want %d", len(have), len(want))
		}
		for i := range have {
			if have[i] != *want[have[i].usageKey] {
				t.Errorf("have %+v\nwant %+v", have[i], *want[have[i].usageKey])
			}
		}
		if !slices.IsSortedFunc(have, func(a, b usageCount) int {
			return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.day, b.day),
				cmp.Compare(a.tag, b.tag), cmp.Compare(a.channel, b.channel))
		}) {
			t.Errorf("not in order: %+v", have)
		}
	}
}

package ingest

import (
	"testing"
	"testing/synctest"
	"time"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

// TestFill: a batch waits for more records until its first ones are old, unless it is full, or the
// last one of a backlog.
func TestFill(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l := &Loop{Options: Options{BytesMax: 1 << 20, AgeMax: time.Second},
			builder: newBuilder(cat, "events", nil), refreshed: time.Now()}
		for _, step := range []struct {
			rounds []round
			most   int
			want   int64
			waits  time.Duration
		}{
			{[]round{{offsets: 4}, {offsets: 9, atEnds: true}}, 10, 13, 0}, // full
			{[]round{{offsets: 3}, {offsets: 2, atEnds: true}}, 10, 5, 0},  // the last of a backlog
			{[]round{{offsets: 3, atEnds: true}}, 10, 3, time.Second},      // what comes by and by
			{[]round{{offsets: 8, atEnds: true}}, 8, 8, 0},                 // full
			{[]round{{offsets: 1}}, 10, 1, time.Second},                    // there was more
			{[]round{{offsets: 1, atEnds: true}}, 10, 1, time.Second},      // no backlog any more
			{[]round{{offsets: 1, atEnds: true}, {offsets: 9}}, 10, 10, 0}, // full
			{[]round{{offsets: 2, atEnds: true}, {offsets: 9}}, 10, 2, 0},  // the last of a backlog
			{[]round{{offsets: 2}, {awaited: true}, {offsets: 9}}, 10, 2, 0},
		} {
			rounds := make(chan round, len(step.rounds))
			for _, r := range step.rounds {
				rounds <- r
			}
			b, began := &batch{}, time.Now()
			if err := l.fill(t.Context(), b, rounds, step.most); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(began); b.offsets != step.want || waited != step.waits {
				t.Errorf("%+v: %d records after %v", step, b.offsets, waited)
			}
			l.refreshed = time.Now() // nobody is asked for accounts
		}
	})
}

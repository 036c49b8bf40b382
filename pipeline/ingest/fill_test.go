package ingest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

// TestFill: a batch waits for more records until its first ones are old, unless it is full, or one
// of the last of a backlog.
func TestFill(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l := &Loop{Options: Options{RecordsMax: 3 * leastShare, BytesMax: 1 << 20, AgeMax: time.Second},
			builder: newBuilder(cat, "events", nil), refreshed: time.Now()}
		for _, step := range []struct {
			rounds [][2]int64 // offsets, and how many are left behind them; 0 of none: others wait
			most   int64
			want   int64
			waits  time.Duration
		}{
			{[][2]int64{{4, 9}, {9, 0}}, 10, 13, 0},          // full
			{[][2]int64{{3, 2}, {2, 0}}, 10, 5, 0},           // the last of a backlog
			{[][2]int64{{3, 0}}, 10, 3, time.Second},         // what comes by and by
			{[][2]int64{{8, 0}}, 8, 8, 0},                    // full
			{[][2]int64{{1, 1}}, 10, 1, time.Second},         // there was more
			{[][2]int64{{1, 0}}, 10, 1, time.Second},         // no backlog any more
			{[][2]int64{{1, 0}, {9, 90}}, 10, 10, 0},         // full
			{[][2]int64{{5, 30}, {9, 21}}, 10, 14, 0},        // full
			{[][2]int64{{3, 8}, {3, 5}, {1, 4}}, 10, 6, 0},   // leaves half of a backlog
			{[][2]int64{{2, 5}, {3, 4}, {6, 9}}, 10, 11, 0},  // as much comes in as is read
			{[][2]int64{{3, 2}, {1, 1}, {1, 0}}, 10, 5, 0},   // too little is left to leave half of it
			{[][2]int64{{2, 90}, {0, 0}, {9, 81}}, 10, 2, 0}, // others wait for these
		} {
			rounds := make(chan round, len(step.rounds))
			for _, r := range step.rounds {
				rounds <- round{offsets: r[0], left: r[1], awaited: r == [2]int64{}}
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

// TestBuild: batches grow at the beginning of a backlog, whatever short ones come before it, and
// shrink at its end.
func TestBuild(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	l := &Loop{Options: Options{RecordsMax: 10 * leastShare, BytesMax: 1 << 20, AgeMax: time.Hour},
		builder: newBuilder(cat, "events", nil), refreshed: time.Now(), backlog: true}
	const records, each = 400, 5
	rounds := make(chan round, records/each+1)
	want := []int64{2, 10, 20, 40, 80, 80, 80, 45, 25, 10, 10}
	rounds <- round{offsets: 2}
	for at := int64(each); at <= records; at += each {
		rounds <- round{offsets: each, left: records - at}
	}
	spare, ready := make(chan *batch, len(want)), make(chan *batch)
	for range cap(spare) {
		spare <- &batch{}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.build(ctx, rounds, spare, ready) }()
	for i, want := range want {
		if have := <-ready; have.offsets != want {
			t.Errorf("batch %d has %d records, not %d", i, have.offsets, want)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

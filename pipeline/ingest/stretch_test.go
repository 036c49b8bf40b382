package ingest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
	"tollstream/schemas"
)

// fakeLog has records without end in every partition, and gives some of them at a time.
type fakeLog struct {
	together int64
	headers  map[int64]string // requeued-from, by offset
}

func (l *fakeLog) TopicID(context.Context, string) (cluster, id string, err error) {
	return "", "", nil
}

func (l *fakeLog) Topic(_ context.Context, name string) (kafkalog.TopicInfo, error) {
	return kafkalog.TopicInfo{Name: name}, nil
}

func (l *fakeLog) Offsets(context.Context, string, int) (start, high, stable int64, err error) {
	return 0, 1 << 40, 1 << 40, nil
}

func (l *fakeLog) FetchMany(
	_ context.Context, at []kafkalog.Position,
) ([]kafkalog.Fetched, error) {
	out := make([]kafkalog.Fetched, len(at))
	for i, p := range at {
		f := kafkalog.Fetched{Topic: p.Topic, Partition: p.Partition, Next: p.Offset + l.together}
		for offset := p.Offset; offset < f.Next; offset++ {
			r := kafkalog.Record{Offset: offset, AppendTime: time.Unix(offset, 0), Value: []byte("{")}
			if from := l.headers[offset]; from != "" {
				r.Headers = []kafkalog.Header{{Key: stored.RequeuedFrom, Value: []byte(from)}}
			}
			f.Records = append(f.Records, r)
		}
		out[i] = f
	}
	return out, nil
}

// fakeStore keeps the places of what is written, in order.
type fakeStore struct{ places []string }

func (s *fakeStore) WriteBatch(_ context.Context, b *stored.Batch) error {
	for i := range b.Deliveries.Len() {
		d := b.Deliveries.At(i)
		s.places = append(s.places, d.Arrival.Place())
	}
	return nil
}

func (s *fakeStore) FirstMissing(
	_ context.Context, _ string, _ int32, _, below int64,
) (int64, error) {
	return below, nil
}

func (s *fakeStore) Openings(
	context.Context, roster.Position, func([]stored.Event) error,
) error {
	return nil
}

// TestStretches: exactly the offsets of the stretches are stored, whatever fetches bring, and what
// was sent again out of the quarantine is told.
func TestStretches(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	for _, together := range []int64{1, 3, 100} {
		for _, recordsMax := range []int{1, 4, 1000} {
			log := &fakeLog{together: together, headers: map[int64]string{
				6: "calls/2/5", 7: "calls/x/5", 8: "calls", 9: "calls/1/1"}}
			store := &fakeStore{}
			loop := New(Options{Log: log, Store: store, Roster: roster.New(cat, store), Catalog: cat,
				Events: "events", RecordsMax: recordsMax, BytesMax: 1 << 30,
				Metrics:  observe.NewMetrics(observe.Build{}, time.Now),
				Progress: observe.NewHealth(time.Now).Loop("rebuild", time.Minute),
				Logger:   slog.New(slog.NewTextHandler(io.Discard, nil))})
			read := int64(0)
			requeued, err := loop.Stretches(t.Context(), []stored.Barrier{
				{Topic: "calls", Partition: 1, Low: 5, High: 9},
				{Topic: "calls", Partition: 2, Low: 3, High: 3},
				{Topic: "calls", Partition: 3, Low: 0, High: 2},
				{Topic: "calls", Partition: 3, Low: 4, High: 5}, // after an accepted gap
			}, func(n int64) { read += n })
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(store.places)
			const want = "calls/1/5 calls/1/6 calls/1/7 calls/1/8 calls/3/0 calls/3/1 calls/3/4"
			if got := strings.Join(store.places, " "); got != want || read != 7 {
				t.Errorf("%d together, batches of %d: %d read: %s", together, recordsMax, read, got)
			}
			origin := stored.Requeued{Topic: "calls", Partition: 2, Offset: 5,
				ValueHash: stored.ValueHash([]byte("{"))}
			if fmt.Sprint(requeued) != fmt.Sprint([]stored.Requeued{origin}) {
				t.Errorf("requeued: %+v", requeued)
			}
		}
	}
}

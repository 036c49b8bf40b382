package ingest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/observe"
	"tollstream/schemas"
)

// eventsLog has ten account events in each of two partitions.
type eventsLog struct {
	fakeLog
	fault error
}

func (l *eventsLog) Topic(_ context.Context, name string) (kafkalog.TopicInfo, error) {
	return kafkalog.TopicInfo{Name: name, Partitions: []int{0, 1}}, l.fault
}

func (l *eventsLog) Offsets(context.Context, string, int) (start, high, stable int64, err error) {
	return 0, 10, 10, nil
}

// otherStore is filled by other members: an offset each time some time has gone by, up to a most.
type otherStore struct {
	fakeStore
	began time.Time
	each  time.Duration
	most  int64
}

func (s *otherStore) FirstMissing(
	_ context.Context, _ string, _ int32, from, below int64,
) (int64, error) {
	return min(max(from, int64(time.Since(s.began)/s.each)), s.most, below), nil
}

// TestAwaitEvents: account events that others read are awaited as long as some are stored now and
// then, and readiness tells of it. Then the reading goes on, with them or without.
func TestAwaitEvents(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	calls := []kafkalog.Position{{Topic: "calls"}}
	one := append([]kafkalog.Position{{Topic: "events", Offset: 8}}, calls...)
	both := append([]kafkalog.Position{{Topic: "events", Partition: 1, Offset: 10}}, one...)
	for _, c := range []struct {
		name   string
		own    []kafkalog.Position
		store  otherStore
		fault  error
		waits  time.Duration
		learns bool   // what others stored is asked for
		read   int64  // of its own events, meanwhile
		says   string // readiness, while it waits
		failed string // how often it went on without
	}{
		{"all its own", both, otherStore{each: time.Hour}, nil, 0, false, 0, "", "0"},
		{"stored before", calls, otherStore{each: 1, most: 10}, nil, 0, true, 0, "", "0"},
		{"one by one", one, otherStore{each: 20 * time.Second, most: 10}, nil, 200 * time.Second, true,
			2, "10 account events that other members read are not stored", "0"},
		{"nobody there", calls, otherStore{each: time.Hour}, nil, awaitMax, true, 0,
			"20 account events", "1"},
		{"they get stuck", one, otherStore{each: time.Second, most: 4}, nil, 4*time.Second + awaitMax,
			true, 2, "10 account events", "1"},
		{"not known", calls, otherStore{each: time.Hour}, errors.New("no leader"), 0, false, 0,
			"", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				health := observe.NewHealth(time.Now)
				metrics := observe.NewMetrics(observe.Build{}, time.Now)
				store := &c.store
				began := time.Now()
				store.began = began.Add(-10)
				l := New(Options{Log: &eventsLog{fakeLog{together: 2}, c.fault}, Store: store, Catalog: cat,
					Events: "events", Metrics: metrics, Progress: health.Loop("ingest", time.Minute),
					Logger: slog.New(slog.DiscardHandler)})
				l.Progress.Idle()
				out, ended := make(chan round, 3), make(chan error)
				go func() { ended <- l.awaitEvents(t.Context(), slices.Clone(c.own), out) }()
				synctest.Wait()
				if r := health.Report(); !strings.Contains(r.Loops[0].WaitsFor, c.says) ||
					(c.says == "") != (r.Loops[0].WaitsFor == "") {
					t.Errorf("%+v", r)
				}
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(began); waited.Round(time.Second) != c.waits {
					t.Errorf("waited %v", waited)
				}
				if r := health.Report(); !r.Ready || r.Loops[0].WaitsFor != "" {
					t.Errorf("after it: %+v", r)
				}
				var read int64
				var learns bool
				for close(out); len(out) > 0; {
					r := <-out
					read, learns = read+r.offsets, r.learns
				}
				if read != c.read || learns != c.learns {
					t.Errorf("read %d, asks for what others stored: %v", read, learns)
				}
				shows(t, metrics, `failures_total{step="await account events of other members"} `+c.failed)
			})
		})
	}
}

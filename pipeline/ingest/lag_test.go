package ingest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/stored"
)

// endsLog says where partitions end.
type endsLog struct{ high [2]atomic.Int64 }

func (l *endsLog) Offsets(_ context.Context, _ string, p int) (start, high, stable int64, _ error) {
	high = l.high[p].Load()
	return 0, high, high, nil
}

// TestFrozenPartition: one partition stands still while another is read. Its lag grows in records
// and in seconds, readiness names it, and both end once it is read again.
func TestFrozenPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &endsLog{}
		log.high[0].Store(10)
		log.high[1].Store(10)
		health := observe.NewHealth(time.Now)
		loop := &Loop{Options: Options{Ends: log,
			Metrics:    observe.NewMetrics(observe.Build{}, time.Now),
			Partitions: health.Loop("ingest partitions", time.Minute)}}
		loop.lag.begin([]kafkalog.Assignment{{Topic: "calls", Offset: 10, Committed: true},
			{Topic: "calls", Partition: 1, Offset: 10, Committed: true}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- loop.watchLag(ctx) }()
		both := func(moves ...int) { // for five minutes, a record a second comes and these are read
			for range 300 {
				time.Sleep(time.Second)
				synctest.Wait()
				log.high[0].Add(1)
				log.high[1].Add(1)
				for _, p := range moves {
					loop.lag.stored(map[kafkalog.TopicPartition]int64{
						{Topic: "calls", Partition: p}: log.high[p].Load()})
				}
			}
			time.Sleep(2 * lagEvery)
			synctest.Wait()
		}
		for _, step := range []struct {
			moves []int
			ready bool
			want  string
		}{
			{[]int{0, 1}, true, `lag_records{partition="1",topic="calls"} 0`},
			{[]int{0}, false, `lag_records{partition="1",topic="calls"} 300`},
			{nil, false, `lag_records{partition="0",topic="calls"} 300`},
			{[]int{0, 1}, true, `lag_seconds{partition="1",topic="calls"} 0`},
		} {
			both(step.moves...)
			r := health.Report()
			if r.Ready != step.ready || !r.Ready && !strings.Contains(r.Why, "calls/1 stands at offset") {
				t.Errorf("%v: %+v", step.moves, r)
			}
			shows(t, loop.Metrics, step.want)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// noDatabase cannot tell what was settled.
type noDatabase struct{}

func (noDatabase) Gaps(context.Context) ([]stored.Gap, error) {
	return nil, errors.New("not reachable")
}

func (noDatabase) Epochs(context.Context) (stored.Epochs, error) {
	return nil, errors.New("not reachable")
}

// TestLagBeforeReading: partitions that were assigned while the database is away cannot be read,
// but their lag shows all the same.
func TestLagBeforeReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &endsLog{}
		log.high[0].Store(17)
		health := observe.NewHealth(time.Now)
		loop := &Loop{Options: Options{Ends: log, Settled: noDatabase{}, Backoff: growingWait,
			Logger:     slog.New(slog.DiscardHandler),
			Metrics:    observe.NewMetrics(observe.Build{}, time.Now),
			Progress:   health.Loop("ingest", time.Minute),
			Partitions: health.Loop("ingest partitions", time.Minute)}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- loop.generation(ctx, &kafkalog.Generation{Assignments: []kafkalog.Assignment{
				{Topic: "calls", Offset: 10, Committed: true}}})
		}()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		shows(t, loop.Metrics, `lag_records{partition="0",topic="calls"} 7`)
		shows(t, loop.Metrics, `lag_seconds{partition="0",topic="calls"} 300`)
		if r := health.Report(); r.Ready || !strings.Contains(r.Why, "not reachable") {
			t.Errorf("%+v", r)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// shows wants a line of the metrics.
func shows(t *testing.T, m *observe.Metrics, line string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(w.Body.String(), "tollstream_"+line+"\n") {
		t.Errorf("not %s", line)
	}
}

// TestLagSince: how long there has been something to store is counted from the oldest record that
// is not stored, also where marks were put together.
func TestLagSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lag
		p := kafkalog.TopicPartition{Topic: "calls"}
		l.begin([]kafkalog.Assignment{{Topic: "calls", Committed: true}})
		l.ends(p, 0, 0)
		since := func(records int64, want time.Duration) {
			t.Helper()
			if x := l.look()[0]; x.records != records || x.since != want {
				t.Errorf("%d records since %v, want %d since %v", x.records, x.since, records, want)
			}
		}
		since(0, 0)
		for range 1000 {
			l.ends(p, l.parts[p].high+2, l.parts[p].high+2)
			time.Sleep(time.Second)
		}
		since(2000, 1000*time.Second)
		if n := len(l.parts[p].seen); n > marksMax {
			t.Errorf("%d marks", n)
		}
		l.stored(map[kafkalog.TopicPartition]int64{p: 1998})
		since(2, time.Second)
		// A reader that joins again, and reads some records again, has moved nothing.
		l.begin([]kafkalog.Assignment{{Topic: "calls", Offset: 1998, Committed: true}})
		l.from([]kafkalog.Position{{Topic: "calls", Offset: 1500}}, 500)
		since(2, time.Second)
		l.stored(map[kafkalog.TopicPartition]int64{p: 2000})
		since(0, 0)
	})
}

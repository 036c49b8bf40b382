package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/ingest"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/props"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/simulation"
	"tollstream/pipeline/stored"
	openusage "tollstream/pipeline/usage"
	"tollstream/sinks/kafka"
)

// loopStore is everything that loops ask of a store.
type loopStore interface {
	ingest.Store
	openusage.Store
	settle.Store
	roster.Source
}

// pair is the model of pipeline/simulation and ClickHouse side by side. What loops write goes to
// both, and what they read has to be the same.
type pair struct {
	t      *testing.T
	model  *simulation.Store
	actual *Store
	failed map[billing.Instant]bool // closings that were made to fail once, so that they are repeated
	reads  int
}

// both reads from the two and compares the answers.
func both[T any](p *pair, what string, read func(loopStore) (T, error)) (T, error) {
	p.t.Helper()
	model, err := read(p.model)
	if err != nil {
		p.t.Errorf("%s: the model says %v", what, err)
	}
	actual, err := read(p.actual)
	if m, r := p.text(model), p.text(actual); err == nil && m != r {
		from := 0
		for from < min(len(m), len(r)) && m[from] == r[from] {
			from++
		}
		p.t.Fatalf("%s differ at byte %d\nmodel:      %.500s\nClickHouse: %.500s", what, from,
			m[max(0, from-200):], r[max(0, from-200):])
	}
	p.reads++
	return actual, err
}

// text writes an answer down for comparison; nothing is an empty list.
func (p *pair) text(answer any) string {
	text, err := json.Marshal(answer)
	if err != nil {
		p.t.Error(err)
	}
	return strings.ReplaceAll(string(text), "null", "[]")
}

// write does the same to both.
func (p *pair) write(do func(loopStore) error) error {
	return errors.Join(do(p.model), do(p.actual))
}

func sorted(list []string, err error) ([]string, error) {
	slices.Sort(list)
	return list, err
}

func (p *pair) WriteBatch(ctx context.Context, b *stored.Batch) error {
	return p.write(func(s loopStore) error { return s.WriteBatch(ctx, b) })
}

func (p *pair) FirstMissing(
	ctx context.Context, topic string, partition int32, from, below int64,
) (int64, error) {
	return both(p, "FirstMissing", func(s loopStore) (int64, error) {
		return s.FirstMissing(ctx, topic, partition, from, below)
	})
}

func (p *pair) LastClosedDay(ctx context.Context) (day billing.Day, found bool, err error) {
	_, err = both(p, "LastClosedDay", func(s loopStore) (any, error) {
		if day, found, err = s.LastClosedDay(ctx); !found {
			day = 0
		}
		return []any{day, found}, err
	})
	return day, found, err
}

func (p *pair) Unenriched(
	ctx context.Context, openFrom billing.Day, limit int,
) ([]stored.Call, error) {
	return both(p, "Unenriched", func(s loopStore) ([]stored.Call, error) {
		return s.Unenriched(ctx, openFrom, limit)
	})
}

func (p *pair) SweepOpenUsage(
	ctx context.Context, asOf billing.Instant, openFrom billing.Day,
) (*stored.Sweep, error) {
	return both(p, "SweepOpenUsage", func(s loopStore) (*stored.Sweep, error) {
		sweep, err := s.SweepOpenUsage(ctx, asOf, openFrom)
		if err != nil {
			return nil, err
		}
		return &stored.Sweep{AsOf: sweep.AsOf, Rows: sweep.Rows}, nil
	})
}

func (p *pair) ClosedSettlements(ctx context.Context) ([]stored.Settlement, error) {
	return both(p, "ClosedSettlements", func(s loopStore) ([]stored.Settlement, error) {
		return s.ClosedSettlements(ctx)
	})
}

func (p *pair) WriteSettlement(
	ctx context.Context, st *stored.Settlement, books *settle.Books,
) error {
	return p.write(func(s loopStore) error { return s.WriteSettlement(ctx, st, books) })
}

func (p *pair) For(*catalog.Catalog) settle.Store { return p }

func (p *pair) KeepCatalog(ctx context.Context, cat *catalog.Catalog) error {
	return p.write(func(s loopStore) error { return s.KeepCatalog(ctx, cat) })
}

func (p *pair) FirstStored(ctx context.Context) ([]billing.Arrival, error) {
	return both(p, "FirstStored", func(s loopStore) ([]billing.Arrival, error) {
		return s.FirstStored(ctx)
	})
}

func (p *pair) Missing(
	ctx context.Context, ranges []stored.Barrier,
) ([]settle.Missing, error) {
	return both(p, "Missing", func(s loopStore) ([]settle.Missing, error) {
		return s.Missing(ctx, ranges)
	})
}

func (p *pair) TakenShort(
	ctx context.Context, from, to billing.Instant,
) ([]settle.Taken, error) {
	return both(p, "TakenShort", func(s loopStore) ([]settle.Taken, error) {
		return s.TakenShort(ctx, from, to)
	})
}

func (p *pair) Run(
	ctx context.Context, topic string, partition int32, from int64, before billing.Instant,
) (stored.Barrier, error) {
	return both(p, "Run", func(s loopStore) (stored.Barrier, error) {
		return s.Run(ctx, topic, partition, from, before)
	})
}

func (p *pair) Kinds(ctx context.Context, list []stored.Delivery) ([]settle.Kind, error) {
	return both(p, "Kinds", func(s loopStore) ([]settle.Kind, error) { return s.Kinds(ctx, list) })
}

func (p *pair) AccountEvents(
	ctx context.Context, from, below roster.Position,
) ([]*billing.AccountEvent, error) {
	return both(p, "AccountEvents", func(s loopStore) ([]*billing.AccountEvent, error) {
		return s.AccountEvents(ctx, from, below)
	})
}

func (p *pair) Openings(
	ctx context.Context, from roster.Position, each func([]stored.Event) error,
) error {
	events, err := both(p, "Openings", func(s loopStore) (all []stored.Event, err error) {
		err = s.Openings(ctx, from, func(some []stored.Event) error {
			all = append(all, some...)
			return nil
		})
		return all, err
	})
	if err != nil {
		return err
	}
	return each(events)
}

func (p *pair) SaveRoutes(
	ctx context.Context, at billing.Instant, routes []settle.Route,
) error {
	return p.write(func(s loopStore) error { return s.SaveRoutes(ctx, at, routes) })
}

// of says which closing asked.
func of(what string, w *settle.Window) string { return what + " of " + w.Moment.Day.String() }

func (p *pair) DifferingCopies(
	ctx context.Context, w settle.Window,
) ([][]stored.Call, error) {
	return both(p, of("DifferingCopies", &w), func(s loopStore) ([][]stored.Call, error) {
		return s.DifferingCopies(ctx, w)
	})
}

func (p *pair) WriteDuplicates(
	ctx context.Context, at billing.Instant, list []settle.Duplicate,
) error {
	return p.write(func(s loopStore) error { return s.WriteDuplicates(ctx, at, list) })
}

func (p *pair) TakenBefore(
	ctx context.Context, main string, callIDs []string, before billing.Instant,
) ([]closing.Reversed, error) {
	return both(p, "TakenBefore", func(s loopStore) ([]closing.Reversed, error) {
		return s.TakenBefore(ctx, main, callIDs, before)
	})
}

func (p *pair) WriteReversed(
	ctx context.Context, at billing.Instant, byAccount map[string][]closing.Reversed,
) error {
	return p.write(func(s loopStore) error { return s.WriteReversed(ctx, at, byAccount) })
}

func (p *pair) SaidOf(
	ctx context.Context, since, base billing.Instant,
) ([]string, error) {
	return both(p, "SaidOf since "+since.String(), func(s loopStore) ([]string, error) {
		return sorted(s.SaidOf(ctx, since, base))
	})
}

func (p *pair) AccountsDue(ctx context.Context, at billing.Instant) ([]string, error) {
	return both(p, "AccountsDue at "+at.String(), func(s loopStore) ([]string, error) {
		return sorted(s.AccountsDue(ctx, at))
	})
}

// readCalls is a stream that was read before.
type readCalls struct{ rest []stored.Call }

func (r *readCalls) Next() (stored.Call, error) {
	if len(r.rest) == 0 {
		return stored.Call{}, io.EOF
	}
	next := r.rest[0]
	r.rest = r.rest[1:]
	return next, nil
}

func (r *readCalls) Close() error { return nil }

func (p *pair) Candidates(ctx context.Context, w settle.Window) (settle.Calls, error) {
	list, err := both(p, of("Candidates", &w), func(s loopStore) ([]stored.Call, error) {
		calls, err := s.Candidates(ctx, w)
		if err != nil {
			return nil, err
		}
		defer calls.Close() //nolint:errcheck // only read
		var list []stored.Call
		for {
			c, err := calls.Next()
			if errors.Is(err, io.EOF) {
				return list, nil
			}
			if err != nil {
				return nil, err
			}
			list = append(list, c)
		}
	})
	return &readCalls{list}, err
}

func (p *pair) States(
	ctx context.Context, ids []string, before billing.Instant,
) (map[string][]byte, error) {
	return both(p, "States", func(s loopStore) (map[string][]byte, error) {
		return s.States(ctx, ids, before)
	})
}

func (p *pair) Said(
	ctx context.Context, ids []string, since, base billing.Instant,
) (map[string][]billing.StatusChange, error) {
	return both(p, "Said", func(s loopStore) (map[string][]billing.StatusChange, error) {
		return s.Said(ctx, ids, since, base)
	})
}

func (p *pair) WriteSaid(ctx context.Context, list []billing.StatusChange) error {
	return p.write(func(s loopStore) error { return s.WriteSaid(ctx, list) })
}

func (p *pair) Unpublished(
	ctx context.Context, base billing.Instant,
) ([]billing.StatusChange, error) {
	return both(p, "Unpublished", func(s loopStore) ([]billing.StatusChange, error) {
		return s.Unpublished(ctx, base)
	})
}

func (p *pair) MarkSaid(ctx context.Context, base billing.Instant) error {
	return p.write(func(s loopStore) error { return s.MarkSaid(ctx, base) })
}

func (p *pair) StatusDue(
	ctx context.Context, base billing.Instant,
) (map[string]billing.Instant, error) {
	return both(p, "StatusDue", func(s loopStore) (map[string]billing.Instant, error) {
		return s.StatusDue(ctx, base)
	})
}

func (p *pair) ChunkRows() settle.ChunkRows {
	return &pairedRows{p.model.ChunkRows(), p.actual.ChunkRows()}
}

type pairedRows struct{ model, actual settle.ChunkRows }

func (r *pairedRows) Add(ctx context.Context, chunk *settle.Chunk) error {
	return errors.Join(r.model.Add(ctx, chunk), r.actual.Add(ctx, chunk))
}

func (r *pairedRows) Full() bool { return r.model.Full() || r.actual.Full() }

func (r *pairedRows) Store(ctx context.Context) error {
	return errors.Join(r.model.Store(ctx), r.actual.Store(ctx))
}

func (p *pair) Requalify(
	ctx context.Context, at billing.Instant, list []settle.Requalified,
) error {
	return p.write(func(s loopStore) error { return s.Requalify(ctx, at, list) })
}

func (p *pair) BillsOf(
	ctx context.Context, at billing.Instant, together int, each func([]stored.BillText) error,
) error {
	var bills []stored.BillText
	_, err := both(p, "BillsOf", func(s loopStore) (texts []string, err error) {
		bills = nil
		err = s.BillsOf(ctx, at, together, func(some []stored.BillText) error {
			for _, b := range some {
				bills, texts = append(bills, b), append(texts, string(b.JSON))
			}
			return nil
		})
		return texts, err
	})
	if err != nil {
		return err
	}
	return each(bills)
}

func (p *pair) StatusOf(
	ctx context.Context, at billing.Instant, together int,
	each func([]billing.StatusChange) error,
) error {
	list, err := both(p, "StatusOf", func(s loopStore) (list []billing.StatusChange, err error) {
		err = s.StatusOf(ctx, at, together, func(some []billing.StatusChange) error {
			list = append(list, some...)
			return nil
		})
		return list, err
	})
	if err != nil {
		return err
	}
	return each(list)
}

func (p *pair) FinishClosing(ctx context.Context, w settle.Window) (*settle.Books, error) {
	books, err := both(p, of("FinishClosing", &w), func(s loopStore) (*settle.Books, error) {
		return s.FinishClosing(ctx, w)
	})
	if err == nil && !p.failed[w.Moment.At] {
		p.failed[w.Moment.At] = true
		merge(p.t, p.actual) // as ClickHouse may at any time
		err = errors.New("once more, to see that a closing can be repeated")
	}
	return books, err
}

// modelWorlds are the seeds of worlds that are short and in which much happens. A month takes a
// minute.
var modelWorlds = []uint64{36}

// TestModelIsClickHouse runs ingest, usage and settle over random worlds with the model that
// pipeline/simulation puts in place of ClickHouse, and with ClickHouse. Whatever they read has to
// be the same: then what holds in simulated worlds holds here.
func TestModelIsClickHouse(t *testing.T) {
	cat, err := props.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range modelWorlds {
		t.Run(fmt.Sprint("world", seed), func(t *testing.T) {
			p := &pair{t: t, model: simulation.NewStore(nil, cat), actual: newStore(t).Using(cat),
				failed: map[billing.Instant]bool{}}
			w := props.NewWorld(cat, seed)
			p.run(cat, w.Records(), closing.LastMomentBy(cat, w.Until).At)
			t.Logf("%d reads, %d closings", p.reads, len(p.failed))
			merge(t, p.actual)
			p.checkQuarantine()
		})
	}
}

// run brings records through the loops: read without their accounts, half of the closings, read
// again in another cut, the other half.
func (p *pair) run(cat *catalog.Catalog, records []batch.Record, until billing.Instant) {
	p.t.Helper()
	log := simulation.NewLog(nil, map[string]int{props.EventTopic: 2, props.CallTopic: 2,
		"bills": 1, "settlements": 1, "status": 1, "quarantine": 1}, 5)
	half := until
	for i, r := range records {
		appended := r.Arrival.Appended.Time().Truncate(time.Millisecond)
		log.Append(r.Arrival.Topic, len(r.Value)%2, appended, nil, r.Value)
		if i == len(records)/2 {
			half = closing.LastMomentBy(cat, min(until, r.Arrival.Appended)).At
		}
	}
	for round, stop := range []billing.Instant{half, until} {
		order := []string{props.CallTopic, props.EventTopic}
		p.ingest(cat, log, order, 7+50*round)
		p.sweep(cat, stop)
		p.settle(cat, log, stop)
	}
}

var modelMetrics = observe.NewMetrics(observe.Build{}, time.Now)

// ingest stores everything in the logs, topic by topic.
func (p *pair) ingest(cat *catalog.Catalog, log *simulation.Log, topics []string, together int) {
	p.t.Helper()
	loop := ingest.New(ingest.Options{Log: log, Store: p, Roster: roster.New(cat, p), Catalog: cat,
		Events: props.EventTopic, RecordsMax: together, Metrics: modelMetrics,
		Logger: slog.New(slog.DiscardHandler)})
	for _, topic := range topics {
		for partition := range log.Partitions(topic) {
			_, err := loop.Stretches(p.t.Context(), []stored.Barrier{{Topic: topic,
				Partition: int32(partition), Low: 5, High: log.High(topic, partition)}}, func(int64) {})
			if err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

func (p *pair) sweep(cat *catalog.Catalog, asOf billing.Instant) {
	p.t.Helper()
	err := openusage.Sweep(p.t.Context(), openusage.Options{Store: p, Roster: roster.New(cat, p),
		Now: asOf.Time})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) settle(cat *catalog.Catalog, log *simulation.Log, until billing.Instant) {
	p.t.Helper()
	publisher := kafka.New(log, log, kafka.Topics{Bills: "bills", Settlements: "settlements",
		ServiceStatus: "status", Quarantine: "quarantine"}, shanghai)
	err := settle.New(settle.Options{Log: log, Publisher: publisher, Store: p, Catalog: cat,
		Calls: []string{props.CallTopic}, Events: props.EventTopic, Simulated: true, Until: until,
		Poll: time.Millisecond, RetryMin: time.Millisecond, RetryMax: time.Millisecond,
		Now: time.Now, Metrics: modelMetrics, Logger: slog.New(slog.DiscardHandler)}).
		Run(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
}

// checkQuarantine compares what is in quarantine at the end.
func (p *pair) checkQuarantine() {
	p.t.Helper()
	texts := func(list []stored.Quarantined) (texts []string) {
		for _, q := range list {
			texts = append(texts, q.Arrival.Place()+" "+string(q.Refusal.Reason)+" "+q.Refusal.Detail)
		}
		return texts
	}
	actual, err := p.actual.Quarantine(p.t.Context(), QuarantineFilter{})
	if m, r := texts(p.model.InQuarantine()), texts(actual); err != nil || !slices.Equal(m, r) {
		p.t.Errorf("quarantine, %v\nmodel:      %q\nClickHouse: %q", err, m, r)
	}
}

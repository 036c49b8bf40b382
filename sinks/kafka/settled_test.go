package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
	"tollstream/schemas"
)

const settlements = "billing.settlements"

// newPublisher writes to a broker of its own; each call gives another process to the same broker.
func newPublisher(t *testing.T) func() *Publisher {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, settlements))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return func() *Publisher {
		log, err := kafkalog.New(kafkalog.Options{Brokers: cluster.ListenAddrs(),
			MaxWait: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		p, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: cluster.ListenAddrs()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = p.Close()
			log.Close()
		})
		return New(p, log, Topics{Settlements: settlements}, time.UTC)
	}
}

// records counts what the settlements topic holds.
func (p *Publisher) records(t *testing.T) int64 {
	t.Helper()
	_, end, _, err := p.settled.log.Offsets(t.Context(), settlements, 0)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// TestCatalogIsKeptOnce: a file is kept byte for byte, however often and by whomever, and found by
// the digest that its bytes give, whatever a record says.
func TestCatalogIsKeptOnce(t *testing.T) {
	process := newPublisher(t)
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	first, second := process(), process()
	if file, err := second.CatalogFile(t.Context(), cat.Digest); err != nil || file != nil {
		t.Fatalf("an empty topic has a file of %d bytes, %v", len(file), err)
	}
	for _, p := range []*Publisher{first, first, second} {
		if err := p.KeepCatalog(t.Context(), cat); err != nil {
			t.Fatal(err)
		}
	}
	file, err := second.CatalogFile(t.Context(), cat.Digest)
	if err != nil || string(file) != string(cat.File) {
		t.Errorf("%d bytes, %v; kept were %d", len(file), err, len(cat.File))
	}
	if n := second.records(t); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
	lie := `{"kind":"catalog","digest":"` + strings.Repeat("0", 64) + `","file":"a"}`
	if err := first.settle(t.Context(), "x", []byte(lie)); err != nil {
		t.Fatal(err)
	}
	file, err = second.CatalogFile(t.Context(), strings.Repeat("0", 64))
	if err != nil || file != nil {
		t.Errorf("a record with another digest than its file's is taken: %q, %v", file, err)
	}
}

// TestFirstSettlementCounts: whoever decides first decides for all, also with other times of day.
func TestFirstSettlementCounts(t *testing.T) {
	process := newPublisher(t)
	first, second := process(), process()
	day := billing.DateOf(2023, 1, 5)
	s := stored.Settlement{Day: day, ClosedAt: 8, CatalogDigest: "a", CatalogVersion: "1",
		RuleVersion: 1, Barriers: []stored.Barrier{{Topic: "t", Partition: 2, Low: 3, High: 4}}}
	other := s
	other.CatalogDigest, other.ClosedAt = "b", 9
	if _, err := first.Decide(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	got, err := second.Decide(t.Context(), &other)
	if err != nil || got.CatalogDigest != "a" || got.ClosedAt != 8 ||
		got.Barriers[0] != s.Barriers[0] {
		t.Errorf("%+v, %v", got, err)
	}
	if err := second.settle(t.Context(), "x", second.settlementJSON(&other)); err != nil {
		t.Fatal(err)
	}
	all, err := first.Settlements(t.Context())
	if err != nil || len(all) != 1 || all[day].CatalogDigest != "a" {
		t.Errorf("%+v, %v", all, err)
	}
}

// raced is a producer before whose first record another process's stands.
type raced struct {
	Producer
	other func() error
}

func (r *raced) Produce(ctx context.Context, records ...kafkalog.Outgoing) error {
	if other := r.other; other != nil {
		r.other = nil
		if err := other(); err != nil {
			return err
		}
	}
	return r.Producer.Produce(ctx, records...)
}

// TestFirstSettlementCountsInARace: two processes find nothing decided and append; both go by the
// record that came first.
func TestFirstSettlementCountsInARace(t *testing.T) {
	process := newPublisher(t)
	slow, fast := process(), process()
	s := stored.Settlement{Day: billing.DateOf(2023, 1, 5), ClosedAt: 8, CatalogDigest: "slow"}
	first := s
	first.CatalogDigest = "fast"
	slow.producer = &raced{slow.producer, func() error {
		_, err := fast.Decide(t.Context(), &first)
		return err
	}}
	got, err := slow.Decide(t.Context(), &s)
	if err != nil || got.CatalogDigest != "fast" {
		t.Errorf("%+v, %v, want what was appended first", got, err)
	}
}

// TestUnknownKindIsNotPassedOver: what a newer version wrote may be about what closings see.
func TestUnknownKindIsNotPassedOver(t *testing.T) {
	p := newPublisher(t)()
	if err := p.settle(t.Context(), "x", []byte(`{"kind":"weather"}`)); err != nil {
		t.Fatal(err)
	}
	_, err := p.Settlements(t.Context())
	if err == nil || !strings.Contains(err.Error(), `offset 0: a record of kind "weather"`) {
		t.Errorf("%v", err)
	}
}

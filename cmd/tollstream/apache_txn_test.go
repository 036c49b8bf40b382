package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tollstream/deploy/apachekafka"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/sinks/clickhouse"
)

// acme is the account of tests that need one only: daily bills, opened on the first day.
const acme = "acme"

// openAcme opens the account; the broker's clock is at the moment from here on.
func (w *apacheWorld) openAcme(t *testing.T, at billing.Instant) {
	t.Helper()
	w.setClock(t, at.Time())
	w.produce(t, []generate.Record{{Topic: w.cfg.Kafka.Topics.AccountEvents, Value: fmt.Appendf(nil,
		`{"event_id":"e1","type":"account.opened","account_id":%q,"effective_at":%q,"opened_at":%[2]q}`,
		acme, at)}})
}

// transactions writes calls of acme in transactions and counts what is to come of them.
type transactions struct {
	w                  *apacheWorld
	t                  *testing.T
	at                 billing.Instant // when the calls were made
	committed, aborted map[string]bool // by call id
	copies             int64           // aborted records
}

func (x *transactions) producer(o ...kgo.Opt) *kgo.Client {
	// Longer than the broker's clock is moved while a transaction is open.
	return x.w.connect(x.t, append(o, kgo.TransactionTimeout(100*time.Hour))...)
}

func (x *transactions) do(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// say writes a call to a partition of its own, through a producer in or without a transaction.
func (x *transactions) say(p *kgo.Client, partition int, id string) {
	x.t.Helper()
	x.do(p.ProduceSync(x.t.Context(), &kgo.Record{Topic: x.w.cfg.Kafka.Topics.Calls[0],
		Partition: int32(partition), Value: []byte(callText(id, acme, x.at))}).FirstErr())
}

// interleave has two transactions and a plain producer take turns in every partition; one of the
// transactions is committed, the other aborted.
func (x *transactions) interleave(rounds int) {
	x.t.Helper()
	good, bad := x.producer(kgo.TransactionalID("good")), x.producer(kgo.TransactionalID("bad"))
	for round := range rounds {
		x.do(good.BeginTransaction())
		x.do(bad.BeginTransaction())
		for i := range 4 * callPartitions {
			id := func(who string) string { return fmt.Sprintf("%s-%d-%d", who, round, i) }
			x.say(bad, i%callPartitions, id("bad"))
			x.say(good, i%callPartitions, id("good"))
			x.say(x.w.client, i%callPartitions, id("plain"))
			x.committed[id("good")], x.committed[id("plain")] = true, true
			x.aborted[id("bad")] = true
			x.copies++
		}
		ends := []func() error{
			func() error { return good.EndTransaction(x.t.Context(), kgo.TryCommit) },
			func() error { return bad.EndTransaction(x.t.Context(), kgo.TryAbort) },
		}
		if round%2 == 1 {
			slices.Reverse(ends)
		}
		for _, end := range ends {
			x.do(end())
		}
	}
	// What an application does whose transaction was aborted: the same call again, in another one.
	x.do(bad.BeginTransaction())
	x.say(bad, 0, "bad-0-0")
	x.do(bad.EndTransaction(x.t.Context(), kgo.TryCommit))
	x.committed["bad-0-0"] = true
	delete(x.aborted, "bad-0-0")
}

// TestApacheTransactions bills what was committed, once, and nothing that was aborted. A producer
// that is gone with its transaction open holds the closing back; the loop says which partition and
// offset. Once the producer is back, which aborts the transaction, the closing goes on, and what it
// sends then is late.
func TestApacheTransactions(t *testing.T) {
	w := newApacheWorld(t, apachekafka.Options{})
	day := billing.DateOf(2023, 2, 1)
	at := (&feed{w: w.testWorld, day: day}).at
	w.openAcme(t, at(0, 1))
	w.cfg.Settle.FirstClosing = day
	x := &transactions{w: w, t: t, at: at(0, 10), committed: map[string]bool{},
		aborted: map[string]bool{}}
	s := w.stream(t, at(2, 8))
	w.setClock(t, at(0, 10).Time())
	x.interleave(3)

	lost := x.producer(kgo.TransactionalID("lost"))
	x.do(lost.BeginTransaction())
	for i := range callPartitions {
		x.say(lost, i, fmt.Sprint("lost-", i))
		x.copies++
		x.say(w.client, i, fmt.Sprint("after-", i))
		x.committed[fmt.Sprint("after-", i)] = true
	}
	lost.Close()
	w.setClock(t, (at(1, 8) + 2*billing.Minute).Time())
	eventually(t, "the closing waits for the open transaction and says so", func() (bool, string) {
		ready, body := s.readyz()
		return !ready && strings.Contains(body, "a transaction is open in faceid.calls/") &&
			strings.Contains(body, "below the barrier"), body
	})
	store := w.openedStore(t)
	if done, err := store.ClosedSettlements(t.Context()); err != nil || len(done) > 0 {
		t.Errorf("closed over an open transaction: %+v %v", done, err)
	}

	back := x.producer(kgo.TransactionalID("lost"))
	x.do(back.BeginTransaction())
	for i := range callPartitions {
		x.say(back, i, fmt.Sprint("lost-", i))
		x.committed[fmt.Sprint("lost-", i)] = true
	}
	x.do(back.EndTransaction(t.Context(), kgo.TryCommit))
	w.setClock(t, (at(2, 8) + 2*billing.Minute).Time())
	s.wait()
	x.check(store, at(2, 8))
	w.checkRebuilt(t)
}

// check compares the bills with those of the committed records, and the books with what was sent.
func (x *transactions) check(store *clickhouse.Store, until billing.Instant) {
	t := x.t
	t.Helper()
	ledger := &generate.Ledger{Calls: int64(len(x.committed))}
	_, want := x.w.checkBills(t, until, ledger)
	late := slices.ContainsFunc(want.Bills[len(want.Bills)-1].Lines, func(l billing.BillLine) bool {
		return l.Kind == billing.LateUsageLine && l.Quantity == callPartitions
	})
	if len(want.Bills) != 2 || !late {
		t.Errorf("want a bill and one of %d late calls, got %d", callPartitions, len(want.Bills))
	}
	var aborted, control, charged int64
	for _, b := range x.w.auditedBooks(t) {
		aborted, control, charged = aborted+b.Aborted, control+b.Control, charged+b.Charged
		if n := b.Data + b.Aborted + b.Control + b.Compacted; n != b.High-b.Low {
			t.Errorf("%s/%d: %d of %d offsets are in the books", b.Topic, b.Partition, n, b.High-b.Low)
		}
	}
	if aborted != x.copies || charged != int64(len(x.committed)) || control == 0 {
		t.Errorf("%d aborted, %d charged, %d markers; want %d and %d, and markers", aborted, charged,
			control, x.copies, len(x.committed))
	}
	left, err := store.Quarantine(t.Context(), clickhouse.QuarantineFilter{})
	x.do(err)
	for _, q := range left {
		t.Errorf("in quarantine: %s %s", q.Arrival.Place(), q.Refusal.Reason)
	}
}

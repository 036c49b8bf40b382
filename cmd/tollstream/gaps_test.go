package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// kafkaAdmin is a client that may change topics.
func (w *testWorld) kafkaAdmin(t *testing.T) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// cutLog has a partition's log begin at an offset, as retention does.
func (w *testWorld) cutLog(t *testing.T, topic string, partition int32, at int64) {
	t.Helper()
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, at
	r := kmsg.NewDeleteRecordsRequest()
	r.TimeoutMillis = 10_000
	r.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic,
		Partitions: []kmsg.DeleteRecordsRequestTopicPartition{p}}}
	answer, err := r.RequestWith(t.Context(), w.kafkaAdmin(t))
	if err != nil || answer.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
}

// settle runs a verb of tollstream settle and wants its exit status and a part of what it says.
func (w *testWorld) settle(t *testing.T, status int, says string, args ...string) {
	t.Helper()
	have, stdout, stderr := w.command(t, append([]string{"settle"}, args...)...)
	if have != status || !strings.Contains(stdout+stderr, says) {
		t.Errorf("settle %s: exit %d, %s%s; want exit %d and %q", strings.Join(args, " "), have, stdout,
			stderr, status, says)
	}
}

func acceptGap(topic string, partition, from, to int64) []string {
	return []string{"accept-gap", "--topic", topic, "--partition", fmt.Sprint(partition), "--from",
		fmt.Sprint(from), "--to", fmt.Sprint(to), "--reason", "retention was a week", "--by", "li.na"}
}

// TestGapIsAcceptedByHand lets the log come to begin above what was read. Ingest goes on with what
// is there; the closing waits and names the range; only what is lost can be accepted; then the
// closing goes through by itself, and the settlement and the books show the gap.
func TestGapIsAcceptedByHand(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.open("acme")
	for i := range 4 {
		f.call(f.at(0, 9), fmt.Sprint("read-", i), "acme", f.at(0, 9))
	}
	w.ingestAll(t, f)
	for i := range 6 { // offsets 4 to 9, of which 4 to 6 are lost
		f.call(f.at(0, 10), fmt.Sprint("late-", i), "acme", f.at(0, 10))
	}
	w.cutLog(t, "faceid.calls", 0, 7)

	w.cfg.Settle.Until = f.at(1, 8)
	s, wait := w.running(t)
	const says = "3 records are not stored: faceid.calls/0 offsets [4, 7) (lost, no row in"
	s.saysWait(t, roleSettle, says)
	for name, want := range map[string]string{"closing_missing_records": `kind="lost"`,
		"closing_missing_first_offset": "} 4", "closing_missing_end_offset": "} 7"} {
		if line := s.metric(name); !strings.Contains(line, `partition="0"`) ||
			!strings.Contains(line, want) {
			t.Errorf("metrics say %q, want %s", line, want)
		}
	}
	w.stores(t, len(f.records)-3)
	for _, x := range []struct {
		says string
		args []string
	}{
		{"offset 3 of faceid.calls/0 is not lost: the table", acceptGap("faceid.calls", 0, 3, 7)},
		{"offset 7 of faceid.calls/0 is not lost: the table", acceptGap("faceid.calls", 0, 4, 8)},
		{"ends at offset 10", acceptGap("faceid.calls", 0, 10, 11)},
		{"nothing of faceid.calls/7 was ever read", acceptGap("faceid.calls", 7, 0, 1)},
	} {
		w.settle(t, exitFailed, x.says, x.args...)
	}
	w.settle(t, exitUsage, "say which offsets", acceptGap("faceid.calls", 0, 7, 7)...)
	w.settle(t, exitUsage, "--by", acceptGap("faceid.calls", 0, 4, 7)[:11]...)
	w.settle(t, exitDone, "offsets [4, 7) of faceid.calls/0, 3 records, are lost",
		acceptGap("faceid.calls", 0, 4, 7)...)
	w.settle(t, exitFailed, "were accepted as lost already, by li.na: retention was a week",
		acceptGap("faceid.calls", 0, 6, 7)...)
	wait()
	w.settle(t, exitFailed, "the closing of 2023-02-01 and those before it have seen",
		acceptGap("faceid.calls", 0, 1, 2)...)

	w.checkGapShown(t)
	w.auditShows(t, `faceid.calls +0 +\[0, 10\) +10 +7 +0 +0 +0 +3 +7 .* balance`,
		`(?m)^faceid.calls +0 +\[4, 7\) +3 +li.na +x+ +retention was a week$`)
	kept := slices.DeleteFunc(slices.Clone(f.records), func(r batch.Record) bool {
		at := r.Arrival
		return at.Log() == "faceid.calls/0" && 4 <= at.Offset && at.Offset < 7
	})
	w.sameBills(t, kept, f.at(1, 8))
	status, _, stderr := w.rebuild(t, "rebuilt") // what was read before is gone from the log as well
	if status != exitFailed || !strings.Contains(stderr, "fetch faceid.calls/0 at offset 0") {
		t.Errorf("a rebuild of what the log does not have: %d %s", status, stderr)
	}
}

// checkGapShown looks for the gap where people would.
func (w *testWorld) checkGapShown(t *testing.T) {
	t.Helper()
	store := w.openedStore(t)
	done, err := store.ClosedSettlements(t.Context())
	if err != nil || len(done) != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if g := done[0].Gaps; len(g) != 1 || g[0].From != 4 || g[0].To != 7 || g[0].By != "li.na" ||
		time.Since(g[0].AcceptedAt.Time()) > time.Hour {
		t.Errorf("the settlement has the gaps %+v", g)
	}
	var gaps []stored.Gap
	text := w.sql(t, "SELECT gaps FROM settlements")
	if err := json.Unmarshal([]byte(text), &gaps); err != nil || !slices.Equal(gaps, done[0].Gaps) {
		t.Errorf("the view has the gaps %s, %v", text, err)
	}
	for _, b := range w.auditedBooks(t) {
		want := int64(0)
		if b.Topic == "faceid.calls" && b.Partition == 0 {
			want = 3
		}
		if b.Lost != want || b.Fault() != "" {
			t.Errorf("books %+v: %s", b, b.Fault())
		}
	}
}

// createAgain deletes a topic and creates it anew, empty, under the same name.
func (w *testWorld) createAgain(t *testing.T, topic string, partitions int32) {
	t.Helper()
	c := w.kafkaAdmin(t)
	gone := kmsg.NewDeleteTopicsRequest()
	gone.TimeoutMillis, gone.TopicNames = 10_000, []string{topic}
	gone.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &topic}}
	if a, err := gone.RequestWith(t.Context(), c); err != nil || a.Topics[0].ErrorCode != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	again := kmsg.NewCreateTopicsRequest()
	again.TimeoutMillis = 10_000
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, partitions, 1
	again.Topics = []kmsg.CreateTopicsRequestTopic{wanted}
	if a, err := again.RequestWith(t.Context(), c); err != nil || a.Topics[0].ErrorCode != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
}

func newEpoch(topic string) []string {
	return []string{"new-epoch", "--topic", topic, "--reason", "deleted by mistake", "--by", "li.na"}
}

// TestTopicCreatedAgain deletes the call topic under a running pipeline and creates it anew, with
// more records than were read before, so that offsets alone would not show it. Nothing of it is
// read or closed, and a new start is refused, until it is said that this is a new epoch; then it is
// read from its beginning, and what waited of the old one is closed with it.
func TestTopicCreatedAgain(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.open("acme")
	f.tick(f.at(0, 9), "acme")
	s, stop := w.started(t)
	f.tick(f.at(1, 9), "acme") // open at the closing that it lets happen
	w.closed(t, 1)
	w.stores(t, len(f.records))
	w.settle(t, exitFailed, "there is nothing to begin anew", newEpoch("faceid.calls")...)

	w.createAgain(t, "faceid.calls", callPartitions)
	f.epochs["faceid.calls"] = stored.Epoch{Topic: "faceid.calls", Number: 2}
	for i := range 10 {
		f.call(f.at(1, 10), fmt.Sprint("again-", i), "acme", f.at(1, 10))
	}
	f.call(f.at(1, 10), "c", "acme", f.at(1, 10))
	f.tick(f.at(2, 9), "acme")
	const another = "topic faceid.calls is another log than before"
	for _, role := range []string{roleIngest, roleSettle} {
		s.saysWait(t, role, another)
	}
	if _, err := build(t.Context(), w.cfg, w.logger); err == nil ||
		!strings.Contains(err.Error(), another) {
		t.Errorf("a new start with another topic: %v", err)
	}
	n := w.sql(t, "SELECT count() FROM deliveries WHERE topic LIKE '%#%' OR offset > 9")
	if n != "0" {
		t.Errorf("%s records of the other topic are stored", n)
	}
	w.settle(t, exitUsage, "is no input topic", newEpoch("other")...)
	w.settle(t, exitDone, "epoch 2 of faceid.calls began", newEpoch("faceid.calls")...)
	w.closed(t, 2)
	f.tick(f.at(3, 9), "acme")
	w.closed(t, 3)
	stop()
	w.sameBills(t, f.records, f.at(3, 8))
	w.auditShows(t, `2023-02-03 +faceid.calls#2 +0 .* balance`,
		`(?m)^faceid.calls +2 +faceid.calls#2 .* li.na +x+ +deleted by mistake$`)

	status, _, stderr := w.rebuild(t, "rebuilt")
	if status != exitFailed || !strings.Contains(stderr, "is in epoch 2 (deleted by mistake") {
		t.Errorf("a rebuild over two epochs: %d %s", status, stderr)
	}
}

// TestOtherClusterIsRefused points a database at a broker that knows nothing of what it has read.
func TestOtherClusterIsRefused(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	f.open("acme")
	w.ingestAll(t, f)
	other, err := embedded.StartBroker(embedded.BrokerOptions{Listen: "127.0.0.1:0",
		DataDir: t.TempDir(), Topics: embeddedTopics(&w.cfg.Kafka.Topics)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // it dies with the test
	w.cfg.Kafka.Brokers = []string{other.Addr()}
	_, err = build(t.Context(), w.cfg, w.logger)
	if err == nil || !strings.Contains(err.Error(), "database billing has read topic") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("another cluster: %v", err)
	}
}

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// stoppedBroker stops the broker, lets its folder be changed, and starts it again at its address.
func (w *testWorld) stoppedBroker(t *testing.T, change func(folder string)) {
	t.Helper()
	address, folder := w.servers.broker.Addr(), filepath.Join(w.cfg.Embedded.DataDir, "kafka")
	if err := w.servers.broker.Close(); err != nil {
		t.Fatal(err)
	}
	change(folder)
	var err error
	w.servers.broker, err = embedded.StartBroker(embedded.BrokerOptions{Listen: address,
		DataDir: folder, Topics: embeddedTopics(&w.cfg.Kafka.Topics)})
	if err != nil {
		t.Fatal(err)
	}
}

// keepPartition copies a partition's folder, and gives what puts it back.
func (w *testWorld) keepPartition(t *testing.T, partition string) (restore func()) {
	t.Helper()
	kept := t.TempDir()
	var at string
	w.stoppedBroker(t, func(folder string) {
		found, err := filepath.Glob(filepath.Join(folder, "partitions", partition))
		if err != nil || len(found) != 1 {
			t.Fatalf("%d folders of %s in %s, %v", len(found), partition, folder, err)
		}
		at = found[0]
		if err := os.CopyFS(kept, os.DirFS(at)); err != nil {
			t.Fatal(err)
		}
	})
	return func() {
		t.Helper()
		w.stoppedBroker(t, func(string) {
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(at, os.DirFS(kept)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRebuildPassesOverAGap accepts records as lost, and then the topic is restored from a backup
// that has them. A rebuild reads the others, passes over these, and makes the same bills.
func TestRebuildPassesOverAGap(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.open("acme")
	f.someDay(0) // offsets 0 and 1 of partition 0
	w.ingestAll(t, f)
	for day := 1; day < 4; day++ {
		f.someDay(day)
	}
	restore := w.keepPartition(t, "faceid.calls-0")
	w.cutLog(t, "faceid.calls", 0, 5) // a call of the second day, and one of the third, are left

	w.cfg.Settle.Until = f.at(4, 8)
	s, wait := w.running(t)
	s.saysWait(t, roleSettle, "faceid.calls/0 offsets [2, 5) (lost")
	w.settle(t, exitDone, "are lost", acceptGap("faceid.calls", 0, 2, 5)...)
	wait()
	kept := slices.DeleteFunc(slices.Clone(f.records), func(r batch.Record) bool {
		at := r.Arrival
		return at.Log() == "faceid.calls/0" && 2 <= at.Offset && at.Offset < 5
	})
	w.sameBills(t, kept, f.at(4, 8))

	restore()
	if n := w.firstOffset(t, "faceid.calls"); n != 0 {
		t.Fatalf("the restored log begins at %d", n)
	}
	w.checkRebuilt(t)
	w.useDatabase(t, "rebuilt")
	w.auditShows(t, `(?m)^faceid.calls +0 +\[2, 5\) +3 +li.na +x+ +retention was a week$`)
	w.sameBills(t, kept, f.at(4, 8))
}

// firstOffset is where the log of a topic's first partition begins.
func (w *testWorld) firstOffset(t *testing.T, topic string) int64 {
	t.Helper()
	start, _, _, err := w.log(t).Offsets(t.Context(), topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// TestRebuildRepeatsAnEpoch: the call topic was created again before it had a record, so everything
// can still be read, under the name of the second epoch.
func TestRebuildRepeatsAnEpoch(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.open("acme")
	w.ingestAll(t, f)
	w.beginAgain(t, f)
	for day := range 3 {
		f.someDay(day)
	}
	w.runUntil(t, f.at(3, 8))
	w.sameBills(t, f.records, f.at(3, 8))
	w.checkRebuilt(t)
	w.useDatabase(t, "rebuilt")
	w.auditShows(t, `2023-02-03 +faceid.calls#2 +0 .* balance`,
		`(?m)^faceid.calls +2 +faceid.calls#2 .* li.na +x+ +deleted by mistake$`)
}

// beginAgain creates the call topic again and begins its next epoch.
func (w *testWorld) beginAgain(t *testing.T, f *feed) {
	t.Helper()
	w.createAgain(t, "faceid.calls", callPartitions)
	f.epochs["faceid.calls"] = stored.Epoch{Topic: "faceid.calls", Number: 2}
	w.settle(t, exitDone, "epoch 2 of faceid.calls began", newEpoch("faceid.calls")...)
}

// TestRebuildGoesOnOverAnEpoch: records of an epoch that is over are not on the cluster any more. A
// database that has them, closed or open, is made complete; one that does not is refused.
func TestRebuildGoesOnOverAnEpoch(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.open("acme")
	f.someDay(0)
	w.runUntil(t, f.at(1, 8))
	if status, stdout, stderr := w.rebuild(t, "early"); status != exitDone {
		t.Fatalf("%d %s%s", status, stdout, stderr)
	}
	f.someDay(1)
	w.ingestAll(t, f)
	if status, stdout, stderr := w.rebuild(t, "rebuilt"); status != exitDone {
		t.Fatalf("%d %s%s", status, stdout, stderr)
	}
	w.beginAgain(t, f)
	for day := 2; day < 4; day++ {
		f.someDay(day)
	}
	w.runUntil(t, f.at(4, 8))
	w.sameBills(t, f.records, f.at(4, 8))
	w.checkRebuilt(t, "--resume")
	status, _, stderr := w.rebuild(t, "early", "--resume")
	if status != exitFailed || !strings.Contains(stderr, "the closing of 2023-02-02 saw records of "+
		"faceid.calls/0 that the database does not have, from offset 2 on, and the topic is in epoch "+
		"2 (deleted by mistake, said li.na)") {
		t.Errorf("a rebuild that lacks them: %d %s", status, stderr)
	}
}

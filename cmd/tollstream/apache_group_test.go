package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"tollstream/deploy/apachekafka"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
)

// member starts the program with the role ingest only, in a process of its own. Whatever happens to
// the group, the servers are there, so the process may not complain of them.
func (w *apacheWorld) member(t *testing.T) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "member.log"))
	if err != nil {
		t.Fatal(err)
	}
	p := exec.Command(w.cfg.Embedded.executable, "run", "--roles", roleIngest,
		"--kafka.brokers", w.broker.Plaintext(), "--clickhouse.addr", w.cfg.ClickHouse.Addr,
		"--http.listen", "127.0.0.1:0", "--ingest.batch_age_max", "50ms",
		"--kafka.fetch.max_wait", "50ms")
	p.Stderr = log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
		text, err := os.ReadFile(log.Name())
		if err != nil || strings.Contains(string(text), "not reachable") {
			t.Errorf("a member says %v\n%s", err, text)
		}
	})
	return p
}

// owners waits until the ingest group has so many members, which share all partitions.
func (w *apacheWorld) owners(t *testing.T, members int) {
	t.Helper()
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.Groups = []string{w.cfg.Kafka.Group + "-ingest"}
	what := fmt.Sprintf("%d members share the partitions", members)
	eventually(t, what, func() (bool, string) {
		answer, err := request.RequestWith(t.Context(), w.client)
		if err != nil || len(answer.Groups) != 1 {
			return false, errorText(err)
		}
		g := &answer.Groups[0]
		partitions := 0
		for i := range g.Members {
			var a kmsg.ConsumerMemberAssignment
			if err := a.ReadFrom(g.Members[i].MemberAssignment); err != nil {
				return false, g.State // not assigned yet
			}
			for _, topic := range a.Topics {
				partitions += len(topic.Partitions)
			}
		}
		return g.State == "Stable" && len(g.Members) == members && partitions == callPartitions+1,
			fmt.Sprintf("%s, %d members, %d partitions", g.State, len(g.Members), partitions)
	})
}

// playWhile plays records, an hour of them at a time, while something else happens, and gives those
// that are left.
func (w *apacheWorld) playWhile(
	t *testing.T, records []generate.Record, happens func(),
) []generate.Record {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		happens()
	}()
	for {
		select {
		case <-done:
			return records
		case <-time.After(150 * time.Millisecond):
		}
		n := 0
		for n < len(records) && records[n].Arrived/billing.Hour == records[0].Arrived/billing.Hour {
			n++
		}
		w.play(t, records[:n])
		records = records[n:]
	}
}

// TestApacheRebalances lets ingest processes join, leave and be killed while records flow. Every
// call is billed once, and the books say what became of each record.
func TestApacheRebalances(t *testing.T) {
	w := newApacheWorld(t, apachekafka.Options{})
	g, records := w.generatedFor(t, generate.Options{
		Seed: 5, From: billing.DateOf(2023, 1, 16), To: billing.DateOf(2023, 1, 29),
		Accounts: 8, Calls: 6_000,
		Rates: generate.Rates{Duplicates: 0.05, Conflicts: 0.3, Malformed: 0.01, Unknown: 0.01},
	})
	w.setClock(t, records[0].Arrived.Time())
	w.cfg.Roles = []string{roleUsage, roleSettle}
	s := w.stream(t, g.Until())

	a := w.member(t)
	w.owners(t, 1)
	var b *exec.Cmd
	for _, step := range []func(){
		func() { // two more join
			b = w.member(t)
			w.member(t)
			w.owners(t, 3)
		},
		func() { // one leaves
			if err := b.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			w.owners(t, 2)
		},
		func() { // one dies; its partitions wait until its session is over
			if err := a.Process.Kill(); err != nil {
				t.Error(err)
			}
			w.owners(t, 1)
		},
		func() { // and one comes for it
			w.member(t)
			w.owners(t, 2)
		},
	} {
		records = w.playWhile(t, records, step)
		t.Logf("%d records to go", len(records))
	}
	w.play(t, records)
	w.setClock(t, (g.Until() + 2*billing.Minute).Time())
	s.wait()
	w.checkBills(t, g.Until(), g.Ledger())
}

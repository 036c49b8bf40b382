package main

import (
	"strings"
	"testing"

	"tollstream/deploy/apachekafka"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
)

// TestApacheRestarts stops the broker once in order and once by kill -9, each time while records
// flow and closings run. While it is down, readiness says no and names the broker; when it is back,
// the pipeline goes on by itself, to the same bills.
func TestApacheRestarts(t *testing.T) {
	w := newApacheWorld(t, apachekafka.Options{})
	g, records := w.generatedFor(t, generate.Options{
		Seed: 9, From: billing.DateOf(2023, 1, 16), To: billing.DateOf(2023, 1, 29),
		Accounts: 8, Calls: 4_000,
		Rates: generate.Rates{Duplicates: 0.03, Conflicts: 0.3, Malformed: 0.01, Unknown: 0.01},
	})
	w.setClock(t, records[0].Arrived.Time())
	s := w.stream(t, g.Until())
	third := len(records) / 3
	w.play(t, records[:third])
	records = records[third:]
	for _, end := range []func(){w.broker.Stop, w.broker.Kill} {
		records = w.playWhile(t, records, func() {
			end()
			w.checkDown(t, s)
			if err := w.broker.Restart(t.Context()); err != nil {
				t.Error(err)
			}
			eventually(t, "the pipeline is ready again", s.readyz)
		})
		t.Logf("%d records to go", len(records))
		half := len(records) / 2
		w.play(t, records[:half])
		records = records[half:]
	}
	w.play(t, records)
	w.setClock(t, (g.Until() + 2*billing.Minute).Time())
	s.wait()
	w.checkBills(t, g.Until(), g.Ledger())
}

// checkDown waits until readiness says that the broker is away, and where it should be.
func (w *apacheWorld) checkDown(t *testing.T, s *stream) {
	t.Helper()
	eventually(t, "readiness names the broker that is down", func() (bool, string) {
		ready, body := s.readyz()
		return !ready && strings.Contains(body, "no broker reachable at "+w.broker.Plaintext()), body
	})
}

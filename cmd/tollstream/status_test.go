package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
)

// TestStatusBetweenClosings runs the pipeline while account events come in. Each change of status
// is on billing.service-status when its cause arrives, not at the next closing; a later arrival
// corrects it; the closing repeats as final what came true; and after a restart nothing is said
// twice under another id.
func TestStatusBetweenClosings(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	at := f.at
	bought := func(id, price string, acts billing.Instant) string {
		return fmt.Sprintf(`,"package_id":%q,"tag":"身份证信息核验","kind":"paid","quota":1,`+
			`"price":%q,"delivered_at":%q`, id, price, acts)
	}
	w.cfg.Settle.FirstClosing = f.day
	f.event(at(0, 1), "account.opened", "open", "acme",
		fmt.Sprintf(`,"opened_at":%q`, at(0, 0)), at(0, 1))
	f.event(at(0, 1), "balance.topped_up", "pay-1", "acme", `,"amount":"50"`, at(0, 1))
	f.tick(at(1, 9), "acme")

	stop := w.start(t)
	f.event(at(1, 10), "package.delivered", "buy-1", "acme",
		bought("p1", "100", at(1, 10)), at(1, 10))
	w.heard(t, "in_arrears 02-02 10:00 -50.00 provisional purchase buy-1")
	f.event(at(1, 12), "balance.topped_up", "pay-2", "acme", `,"amount":"60"`, at(1, 12))
	w.heard(t, "active 02-02 12:00 10.00 provisional top_up pay-2")
	// Money that was there at 09:00 and comes at 13:00: there were no arrears.
	f.event(at(1, 13), "balance.topped_up", "pay-3", "acme", `,"amount":"100"`, at(1, 9))
	w.heard(t, "active 02-02 10:00 50.00 provisional corrects in_arrears withdrawn: 2023-02-01/pay-3",
		"active 02-02 12:00 110.00 provisional corrects active withdrawn: 2023-02-01/pay-3")
	stop()
	stop = w.start(t)
	f.event(at(1, 15), "package.delivered", "buy-2", "acme",
		bought("p2", "200", at(1, 15)), at(1, 15))
	w.heard(t, "in_arrears 02-02 15:00 -90.00 provisional purchase buy-2")
	f.tick(at(2, 9), "acme")
	w.heard(t, "in_arrears 02-02 15:00 -90.00 final purchase buy-2")
	f.tick(at(2, 16), "acme")
	w.heard(t, "suspended 02-03 15:00 -90.30 provisional 24 h in arrears")
	f.event(at(2, 17), "balance.topped_up", "pay-4", "acme", `,"amount":"500"`, at(2, 17))
	w.heard(t, "active 02-03 17:00 409.70 provisional top_up pay-4")
	stop()
	w.checkRebuilt(t)
	w.sameTables(t, []content{{"service_status", "*", ""}}, w.cfg.ClickHouse.Database, "rebuilt")
}

// start runs the pipeline until the function that it gives is called.
func (w *testWorld) start(t *testing.T) (stop func()) {
	t.Helper()
	_, stop = w.started(t)
	return stop
}

// started is start, with what is running.
func (w *testWorld) started(t *testing.T) (s *system, stop func()) {
	t.Helper()
	s, err := build(t.Context(), w.cfg, w.logger)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Close()
	}
}

// heard waits until the last records of billing.service-status, repeats left out, are these.
func (w *testWorld) heard(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		got := w.statuses(t)
		if n := len(got) - len(want); n >= 0 && slices.Equal(got[n:], want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("said so far:\n%s\nthe last should be\n%s", strings.Join(got, "\n"),
				strings.Join(want, "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *testWorld) statuses(t *testing.T) (lines []string) {
	t.Helper()
	c, err := kafkalog.New(kafkalog.Options{Brokers: w.cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	topic := w.cfg.Kafka.Topics.ServiceStatus
	_, high, _, err := c.Offsets(t.Context(), topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for next := int64(0); next < high; {
		got, err := c.Fetch(t.Context(), topic, 0, next)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got.Records {
			var s struct {
				EventID     string    `json:"event_id"`
				Status      string    `json:"status"`
				EffectiveAt time.Time `json:"effective_at"`
				Balance     string    `json:"balance"`
				Cause       string    `json:"cause"`
				Provisional bool      `json:"provisional"`
				Corrects    string    `json:"corrects"`
			}
			if err := json.Unmarshal(r.Value, &s); err != nil {
				t.Fatal(err)
			}
			if seen[s.EventID] {
				continue
			}
			seen[s.EventID] = true
			text := fmt.Sprint(s.Status, s.EffectiveAt.In(w.cat.Settings.Zone).Format(" 01-02 15:04 "),
				s.Balance, map[bool]string{true: " provisional ", false: " final "}[s.Provisional])
			if s.Corrects != "" {
				id, _, _ := strings.Cut(s.Corrects, "@")
				text += "corrects " + id[strings.LastIndex(id, "/")+1:] + " "
			}
			lines = append(lines, text+s.Cause)
		}
		next = got.Next
	}
	return lines
}

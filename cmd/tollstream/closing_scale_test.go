package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
)

// TestClosingScale closes a day of TOLLSTREAM_CLOSE_ACCOUNTS accounts with calls of three billing
// tags each, and prints what it took: make bench-close. The memory is that of the test, with the
// broker in it. TOLLSTREAM_CLOSE_PROFILE names a file for a CPU profile of the closing.
func TestClosingScale(t *testing.T) {
	var n int
	if _, err := fmt.Sscan(os.Getenv("TOLLSTREAM_CLOSE_ACCOUNTS"), &n); err != nil {
		t.Skip("set TOLLSTREAM_CLOSE_ACCOUNTS, for example to 10000")
	}
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, time.March, 1))
	w.cfg.Settle.FirstClosing = f.day
	f.scale(n)
	start := time.Now()
	w.runUntil(t, f.at(1, 8))
	t.Logf("%d accounts: stored, and the day before closed, in %s", n, rounded(time.Since(start)))
	w.cfg.Roles = []string{roleSettle}
	if profile, err := os.Create(os.Getenv("TOLLSTREAM_CLOSE_PROFILE")); err == nil {
		if err := pprof.StartCPUProfile(profile); err != nil {
			t.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	before := usedBy(t)
	start = time.Now()
	w.runUntil(t, f.at(2, 8))
	took, after := time.Since(start), usedBy(t)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() -
		before.Utime.Nano() - before.Stime.Nano())
	t.Logf("%d accounts: closed in %s, %s an account; CPU %s, %s an account; peak memory %d MiB", n,
		rounded(took), took/time.Duration(n), rounded(cpu), cpu/time.Duration(n), after.Maxrss>>10)
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func usedBy(t *testing.T) (used syscall.Rusage) {
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return used
}

// scale sends accounts that are opened on day 0 and call on day 1, and a last record on day 2.
func (f *feed) scale(accounts int) {
	events, calls := f.w.cfg.Kafka.Topics.AccountEvents, f.w.cfg.Kafka.Topics.Calls[0]
	var list []kafkalog.Outgoing
	flush := func() {
		if err := f.producer.Produce(f.t.Context(), list...); err != nil {
			f.t.Fatal(err)
		}
		list = list[:0]
	}
	send := func(topic string, partition int, at billing.Instant, value string) {
		list = append(list, kafkalog.Outgoing{Topic: topic, Fixed: true, Partition: partition,
			Value: []byte(value), Time: at.Time()})
		if len(list) == 5_000 {
			flush()
		}
	}
	account := func(i int) string { return fmt.Sprint(1_300_000_000 + i) }
	event := func(at billing.Instant, kind string, i int, more string) {
		send(events, 0, at, fmt.Sprintf(`{"event_id":"%s-%d","type":%q,"account_id":%q,`+
			`"effective_at":%q%s}`, kind, i, kind, account(i), at, more))
	}
	call := func(p int, at billing.Instant, id string, i int, action string) {
		send(calls, p, at, fmt.Sprintf(`{"call_id":%q,"account_id":%q,"occurred_at":%q,`+
			`"action":%q,"result_code":"0"}`, id, account(i), at, action))
	}
	everywhere := func(at billing.Instant) {
		for p := range callPartitions {
			call(p, at, fmt.Sprint(at, "-", p), 0, "IdCardVerification")
		}
	}
	for i := range accounts {
		event(f.at(0, 1), "account.opened", i, fmt.Sprintf(`,"opened_at":%q`, f.at(0, 1)))
		event(f.at(0, 1), "balance.topped_up", i, `,"amount":"1000"`)
	}
	everywhere(f.at(0, 1))
	for i := range accounts {
		for _, action := range []string{"IdCardVerification", "BankCardVerification",
			"PhoneVerification"} {
			call(i%callPartitions, f.at(1, 10), fmt.Sprint(action, "-", i), i, action)
		}
	}
	everywhere(f.at(2, 9))
	event(f.at(2, 9), "postpaid.enabled", 0, "")
	flush()
}

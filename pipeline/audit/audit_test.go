package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

var (
	shanghai = time.FixedZone("", 8*3600)
	first    = billing.DateOf(2023, 2, 1)
)

// world has four closings over calls/0, calls/1 and events/0, each of ten offsets; calls/1 ends
// with the second day, and calls#2/0 begins with the third. On the second day [12, 15) of calls/0
// were accepted as lost.
type world struct {
	done []stored.Settlement
	off  []settle.Taken
	gone []settle.Missing
	asks []string // what was asked
}

func newWorld() *world {
	w := &world{}
	logs := []stored.Barrier{{Topic: "calls"}, {Topic: "calls", Partition: 1}, {Topic: "events"}}
	for i := range 4 {
		s := stored.Settlement{Day: first + billing.Day(i),
			ClosedAt: (first + billing.Day(i+1)).At(8*time.Hour, shanghai)}
		if i == 2 {
			logs = append(logs, stored.Barrier{Topic: "calls#2"})
		}
		for k := range logs {
			b := &logs[k]
			if b.Low = b.High; i < 2 || b.Partition == 0 {
				b.High += 10
			}
		}
		s.Barriers = slices.Clone(logs)
		w.done = append(w.done, s)
	}
	w.done[1].Gaps = []stored.Gap{{Topic: "calls", From: 12, To: 15, By: "li", Reason: "disk"}}
	return w
}

func (w *world) ClosedSettlements(context.Context) ([]stored.Settlement, error) {
	return w.done, nil
}

func (w *world) Epochs(context.Context) (stored.Epochs, error) {
	return stored.Epochs{"calls": {{Topic: "calls", Number: 1}, {Topic: "calls", Number: 2}},
		"events": {{Topic: "events", Number: 1}}, "other": {{Topic: "other", Number: 1}}}, nil
}

// CountBooks finds nothing but calls that count.
func (w *world) CountBooks(
	_ context.Context, ranges []stored.Barrier, gaps []stored.Gap, at billing.Instant,
) ([]settle.PartitionBooks, error) {
	if at != w.done[len(w.done)-1].ClosedAt {
		return nil, fmt.Errorf("books as of %s", at)
	}
	var out []settle.PartitionBooks
	for _, r := range ranges {
		b := settle.PartitionBooks{Barrier: r, Lost: stored.LostIn(r, gaps)}
		b.Data = r.High - r.Low - b.Lost
		b.Charged = b.Data
		out = append(out, b)
	}
	return out, nil
}

func (w *world) Gone(_ context.Context, ranges []stored.Barrier) ([]settle.Missing, error) {
	w.note("proof", ranges)
	var out []settle.Missing
	for _, m := range w.gone {
		if slices.ContainsFunc(ranges, func(r stored.Barrier) bool {
			return r.Topic == m.Topic && r.Partition == m.Partition && r.Low <= m.From && m.From < r.High
		}) {
			out = append(out, m)
		}
	}
	return out, nil
}

func (w *world) TakenOff(_ context.Context, from, to billing.Instant) ([]settle.Taken, error) {
	var out []settle.Taken
	for _, t := range w.off {
		if at := (t.Day + 1).At(8*time.Hour, shanghai); from <= at && at <= to {
			out = append(out, t)
		}
	}
	return out, nil
}

func (w *world) Untaken(
	_ context.Context, ranges []stored.Barrier, before, dayEnd billing.Instant,
) ([]settle.Missing, error) {
	w.note(fmt.Sprintf("untaken before %s, days before %s", before.In(shanghai),
		dayEnd.In(shanghai)), ranges)
	return []settle.Missing{{Topic: "calls", From: 3, To: 4, Kind: settle.KindCall,
		Table: "taken_calls"}}, nil
}

func (w *world) note(what string, ranges []stored.Barrier) {
	for _, r := range ranges {
		what += fmt.Sprintf(" %s/%d[%d,%d)", r.Topic, r.Partition, r.Low, r.High)
	}
	w.asks = append(w.asks, what)
}

func (w *world) audit(t *testing.T, c Choice) *Report {
	t.Helper()
	w.asks = nil
	r, err := Run(t.Context(), w.options(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) options() Options {
	return Options{Store: w, Zone: shanghai}
}

// TestChoices: what is chosen is counted, by day, topic and partition, and nothing else is asked.
func TestChoices(t *testing.T) {
	w := newWorld()
	for _, x := range []struct {
		topic     string
		partition int32
		from, to  billing.Day
		lines     int
		gaps      int
		epochs    int
		first     string // of the proofs
	}{
		{"", -1, 0, 0, 12, 1, 3, "proof calls/0[0,10) calls/1[0,10) events/0[0,10)"},
		{"calls", -1, 0, 0, 8, 1, 2, "proof calls/0[0,10) calls/1[0,10)"},
		{"calls#2", -1, 0, 0, 2, 0, 2, "proof calls#2/0[0,10)"},
		{"calls", 1, 0, 0, 2, 0, 2, "proof calls/1[0,10)"},
		{"", 1, 0, 0, 2, 0, 2, "proof calls/1[0,10)"},
		{"events", -1, first + 1, first + 3, 2, 0, 1, "proof events/0[10,20)"},
		{"", 0, first + 1, first + 2, 2, 1, 3,
			"proof calls/0[10,12) calls/0[15,20) events/0[10,20)"},
		{"", -1, first + 3, 0, 3, 0, 3, "proof calls/0[30,40) calls#2/0[10,20) events/0[30,40)"},
	} {
		r := w.audit(t, Choice{x.topic, x.partition, x.from, x.to})
		if len(r.Lines) != x.lines || len(r.Gaps) != x.gaps || len(r.Epochs) != x.epochs ||
			w.asks[0] != x.first || len(r.Faults()) > 0 {
			t.Errorf("%s/%d %s to %s: %d lines, %d gaps, %d epochs, %s; %s", x.topic, x.partition,
				x.from, x.to, len(r.Lines), len(r.Gaps), len(r.Epochs), w.asks[0], r.Faults())
		}
	}
	for _, x := range []struct {
		c    Choice
		want string
	}{
		{Choice{Topic: "faceid", Partition: -1}, "they saw records of calls, calls#2, events"},
		{Choice{Topic: "calls", Partition: 2}, "saw no record of that partition"},
		{Choice{Topic: "calls", Partition: 1, From: first + 2}, "of 2023-02-03 to 2023-02-04 saw no"},
		{Choice{From: first + 4}, "are those of 2023-02-01 to 2023-02-04"},
		{Choice{To: first}, "are those of 2023-02-01 to 2023-02-04"},
	} {
		_, err := Run(t.Context(), w.options(), x.c)
		if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v, want %q", x.c, err, x.want)
		}
	}
	w.done = nil
	if _, err := Run(t.Context(), w.options(), Choice{}); !errors.Is(err, ErrNothing) {
		t.Errorf("before the first closing: %v", err)
	}
}

// TestFaults: each thing that is off is said once, with its day and its place.
func TestFaults(t *testing.T) {
	w := newWorld()
	gone := func(partition int32, from int64) settle.Missing {
		return settle.Missing{Topic: "calls", Partition: partition, From: from, To: from + 1,
			Kind: settle.KindUnknown, Table: "deliveries"}
	}
	w.gone = []settle.Missing{gone(0, 17), gone(0, 16), gone(1, 3), gone(0, 13)} // 13 is accepted
	w.off = []settle.Taken{{Day: first + 3, Took: 9, Stored: 8}}
	w.done[2].Barriers[0].Low, w.done[3].Barriers[2].Low = 22, 29
	var named int
	o := w.options()
	o.Name = func(_ context.Context, list []settle.Missing) []settle.Missing {
		named += len(list)
		for i := range list {
			list[i].Kind = settle.KindMarker
		}
		return list
	}
	r, err := Run(t.Context(), o, Choice{Partition: -1})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"2023-02-01 calls/1 offset 3 (marker, no row in deliveries)",
		"2023-02-02 calls/0 offset 16 (marker, no row in deliveries)",
		"2023-02-02 calls/0 offset 17 (marker, no row in deliveries)",
		"2023-02-04 the closing of 2023-02-04 took 9 calls, and 8 of its calls stand in taken_calls",
		"2023-02-04 calls/0 offset 3 (call, no row in taken_calls)",
		"2023-02-03 calls/0: no closing saw offsets [20, 22), which lie below this one's",
		"2023-02-04 events/0: the closing saw offsets [29, 30), which one before it had seen",
	}
	if have := r.Faults(); !slices.Equal(have, want) || named != 3 || r.MissingRows() != 4 {
		t.Errorf("%d named, %d missing\nhave %s\nwant %s", named, r.MissingRows(),
			strings.Join(have, "\n     "), strings.Join(want, "\n     "))
	}
	// The closing of the fourth day looks back to the day before, over two closings.
	const window = "untaken before 2023-02-05T08:00:01+08:00, " +
		"days before 2023-02-05T00:00:00+08:00 calls/0[10,12) calls/0[15,40) calls/1[10,20) " +
		"events/0[10,40) calls#2/0[0,20)"
	if last := w.asks[len(w.asks)-1]; last != window {
		t.Errorf("have %s\nwant %s", last, window)
	}
	for _, c := range []Choice{{Partition: 0, From: first + 3}, {Topic: "calls", Partition: 1,
		From: first + 1}, {Partition: -1, To: first + 1}} {
		for _, fault := range w.audit(t, c).Faults() {
			if !strings.Contains(fault, "events/0: the closing saw") &&
				!strings.Contains(fault, "calls/1 offset 3") {
				t.Errorf("%+v: %s", c, fault)
			}
		}
	}
}

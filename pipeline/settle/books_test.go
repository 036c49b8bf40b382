package settle

import (
	"slices"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

var shanghai = time.FixedZone("", 8*3600)

// TestBooksFault: each side of the books is compared on its own, and a record that is in no term,
// or in two, is named even if the sums agree.
func TestBooksFault(t *testing.T) {
	good := PartitionBooks{Barrier: stored.Barrier{Topic: "calls", Partition: 2, Low: 10, High: 31},
		Data: 15, Aborted: 1, Control: 1, Compacted: 1, Lost: 3,
		Charged: 5, Free: 4, Duplicate: 3, Quarantined: 1, Waiting: 1, Events: 1}
	const log = "books of calls/2, offsets [10, 31), do not balance: "
	for _, x := range []struct {
		name   string
		change func(*PartitionBooks)
		want   string
	}{
		{"as counted", func(*PartitionBooks) {}, ""},
		{"an offset without a record", func(b *PartitionBooks) { b.Aborted = 0 },
			log + "21 offsets, and 20 in data 15, aborted 0, control 1, compacted 1, lost 3"},
		{"a gap that is stored after all", func(b *PartitionBooks) { b.Data, b.Charged = 18, 8 },
			log + "21 offsets, and 24 in data 18, aborted 1, control 1, compacted 1, lost 3"},
		{"a call in no term", func(b *PartitionBooks) { b.Charged, b.Odd = 4, []int64{12} },
			log + "data 15, and 14 in charged 4, free 4, duplicate 3, quarantined 1, waiting 1, " +
				"events 1; look at offset 12"},
		{"one in no term, one in two", func(b *PartitionBooks) { b.Odd = []int64{12, 13} },
			log + "data 15, and 15 in charged 5, free 4, duplicate 3, quarantined 1, waiting 1, " +
				"events 1; look at offset 12"},
	} {
		p := good
		x.change(&p)
		if have := (&Books{Partitions: []PartitionBooks{good, p}}).Fault(); have != x.want {
			t.Errorf("%s:\nhave %s\nwant %s", x.name, have, x.want)
		}
	}
}

// TestProvable: a closing looks at what was appended in its window, and at every account event.
func TestProvable(t *testing.T) {
	closed := func(day int, calls, events int64) stored.Settlement {
		s := stored.Settlement{Day: billing.DateOf(2023, 2, day),
			ClosedAt: billing.DateOf(2023, 2, day+1).Start(shanghai)}
		s.Barriers = []stored.Barrier{{Topic: "calls", Low: calls - 10, High: calls},
			{Topic: "events", Low: events - 1, High: events}}
		return s
	}
	l := New(Options{Events: "events"})
	for _, x := range []struct {
		day                 int
		calls, events, old2 int64 // the lows that are looked at
	}{
		{1, 90, 10, 0}, {2, 90, 10, 0}, {3, 90, 10, 0},
		{4, 100, 10, 0}, // the barrier of the closing three days before
		{5, 110, 10, 0},
	} {
		s := closed(x.day, 90+10*int64(x.day), 10+int64(x.day))
		s.Barriers = append(s.Barriers, stored.Barrier{Topic: "calls#2", High: 7})
		want := []stored.Barrier{s.Barriers[0], s.Barriers[1], s.Barriers[2]}
		want[0].Low, want[1].Low, want[2].Low = x.calls, x.events, x.old2
		if have := l.provable(&s); !slices.Equal(have, want) {
			t.Errorf("closing of 2023-02-0%d looks at %+v, want %+v", x.day, have, want)
		}
		s.Barriers = s.Barriers[:2] // the new log is seen for the first time by each
		l.history = append(l.history, s)
	}
}

func TestDescribe(t *testing.T) {
	one := Missing{"calls", 1, 7, 8, KindCall, "call_copies"}
	lost := Missing{"calls#2", 0, 10, 15, KindLost, "deliveries"}
	for _, x := range []struct {
		list []Missing
		want string
	}{
		{nil, ""},
		{[]Missing{one}, "1 records are not stored: calls/1 offset 7 (call, no row in call_copies)"},
		{[]Missing{one, lost}, "6 records are not stored: calls/1 offset 7 (call, no row in " +
			"call_copies), calls#2/0 offsets [10, 15) (lost, no row in deliveries); the log does not " +
			"have what is lost any more: tollstream settle accept-gap"},
	} {
		if have := describe(x.list); have != x.want {
			t.Errorf("have %s\nwant %s", have, x.want)
		}
	}
	many := slices.Repeat([]Missing{one}, namedMax+1)
	if have := describe(many); have[len(have)-10:] != ", and more" {
		t.Errorf("%s", have)
	}
}

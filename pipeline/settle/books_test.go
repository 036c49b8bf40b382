package settle

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/stored"
)

var (
	shanghai = time.FixedZone("", 8*3600)
	first    = billing.DateOf(2023, 2, 1)
)

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

// TestBooksBalance: one row one set of books; they balance, or it is the offsets, the data, or both
// that are off. No term makes up for another on the other side of its equation.
func TestBooksBalance(t *testing.T) {
	for row := range strings.Lines(`
		# low high  data abort contr compa lost  charg free dupl quar wait event  odd  off
		    0    0     0     0     0     0    0      0    0    0    0    0     0    0  -
		    0    1     1     0     0     0    0      1    0    0    0    0     0    0  -
		    0    1     1     0     0     0    0      0    0    0    0    0     1    0  -
		    0    1     0     0     0     0    1      0    0    0    0    0     0    0  -
		    7   12     1     1     1     1    1      0    0    0    1    0     0    0  -
		   10   16     6     0     0     0    0      1    1    1    1    1     1    0  -
		    0    1     0     0     0     0    0      0    0    0    0    0     0    0  offsets
		    0    1     2     0     0     0    0      2    0    0    0    0     0    0  offsets
		    0    1     0     1     1     0    0      0    0    0    0    0     0    0  offsets
		    5    4     0     0     0     0    0      0    0    0    0    0     0    0  offsets
		    0    2     2     0     0     0    0      1    0    0    0    0     0    0  data
		    0    2     2     0     0     0    0      2    1    0    0    0     0    0  data
		    0    2     0     2     0     0    0      1    1    0    0    0     0    0  data
		    0    2     1     1     0     0    0      0    0    0    0    0     0    0  data
		    0    2     2     0     0     0    0      1    1    0    0    0     0    1  data
		    0    3     2     0     0     0    0      1    0    0    0    0     0    0  both
		    0    3     2     0     0     0    2      3    0    0    0    0     0    0  both
	`) {
		row = strings.TrimSpace(row)
		if row == "" || strings.HasPrefix(row, "#") {
			continue
		}
		var p PartitionBooks
		var odd int
		var off string
		if _, err := fmt.Sscan(row, &p.Low, &p.High, &p.Data, &p.Aborted, &p.Control, &p.Compacted,
			&p.Lost, &p.Charged, &p.Free, &p.Duplicate, &p.Quarantined, &p.Waiting, &p.Events, &odd,
			&off); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		p.Odd = make([]int64, odd)
		fault := p.Fault()
		have := "-"
		switch offsets, data := strings.Contains(fault, " offsets, and "), strings.Contains(fault,
			"data "+fmt.Sprint(p.Data)+", and "); {
		case offsets && data:
			have = "both"
		case offsets:
			have = "offsets"
		case data:
			have = "data"
		}
		if have != off || (fault == "") != (off == "-") {
			t.Errorf("%s: %s is off: %s", row, have, fault)
		}
	}
}

// TestAddBooks: books of ranges that follow on each other add up term by term.
func TestAddBooks(t *testing.T) {
	of := func(n int64) PartitionBooks {
		return PartitionBooks{Data: n, Aborted: 2 * n, Control: 3 * n, Compacted: 4 * n, Lost: 5 * n,
			Charged: 6 * n, Free: 7 * n, Duplicate: 8 * n, Quarantined: 9 * n, Waiting: 10 * n,
			Events: 11 * n, Odd: []int64{n}}
	}
	sum, two := of(1), of(2)
	sum.Add(&two)
	want := of(3)
	want.Odd = []int64{1, 2}
	if !reflect.DeepEqual(sum, want) {
		t.Errorf("have %+v, want %+v", sum, want)
	}
}

// eventsLoop is a loop that knows the zone and the topic of account events.
func eventsLoop() *Loop {
	return New(Options{Events: "events",
		Catalog: &catalog.Catalog{Settings: catalog.Settings{Zone: shanghai}}})
}

// TestProvable: a closing looks at what was appended in its window, and at every account event.
// There is a closing a day of ten calls and one event, the first from call 80 and event 10 on.
func TestProvable(t *testing.T) {
	for row := range strings.Lines(`
		# closings before  calls from  events from  new log from
		               0          80           10             0
		               1          80           10             0
		               2          80           10             0
		               3          90           10             0  # the first lies 72 hours back
		               4         100           10             0
		              40         460           10             0
	`) {
		row = strings.TrimSpace(row)
		if row == "" || strings.HasPrefix(row, "#") {
			continue
		}
		var before, calls, events, fresh int64
		if _, err := fmt.Sscan(row, &before, &calls, &events, &fresh); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		l := eventsLoop()
		var s stored.Settlement
		for i := range before + 1 {
			s = stored.Settlement{Day: first + billing.Day(i), Barriers: []stored.Barrier{
				{Topic: "calls", Low: 80 + 10*i, High: 90 + 10*i},
				{Topic: "events", Low: 10 + i, High: 11 + i}}}
			s.ClosedAt = (s.Day + 1).At(8*time.Hour, shanghai)
			if i < before {
				l.history = append(l.history, s)
			}
		}
		s.Barriers = append(s.Barriers, stored.Barrier{Topic: "calls#2", High: 7})
		want := slices.Clone(s.Barriers)
		want[0].Low, want[1].Low, want[2].Low = calls, events, fresh
		if have := l.provable(&s); !slices.Equal(have, want) {
			t.Errorf("after %d closings one looks at %+v, want %+v", before, have, want)
		}
		if s.Barriers[0].Low != 80+10*before {
			t.Errorf("the settlement itself was changed: %+v", s.Barriers)
		}
	}
}

// TestProvableWindow: a closing at the very start of the window has seen what is older.
func TestProvableWindow(t *testing.T) {
	barriers := func(low, high int64) []stored.Barrier {
		return []stored.Barrier{{Topic: "calls", Low: low, High: high}}
	}
	start := first.Start(shanghai)
	for _, x := range []struct {
		before billing.Instant // of the closing before, until the window begins
		want   int64
	}{{-1, 10}, {0, 20}, {1, 20}} {
		l := eventsLoop()
		l.history = []stored.Settlement{{ClosedAt: start - x.before, Barriers: barriers(10, 20)}}
		s := stored.Settlement{Day: first + 1, Barriers: barriers(20, 30)}
		if have := l.provable(&s); have[0].Low != x.want {
			t.Errorf("%d us before: from %d, want %d", x.before, have[0].Low, x.want)
		}
	}
}

// TestDescribe: the first records are named one by one, and all of them are counted.
func TestDescribe(t *testing.T) {
	one := Missing{"calls", 1, 7, 8, KindCall, "call_copies"}
	lost := Missing{"calls#2", 0, 10, 15, KindLost, "deliveries"}
	const (
		oneText  = "calls/1 offset 7 (call, no row in call_copies)"
		lostText = "calls#2/0 offsets [10, 15) (lost, no row in deliveries)"
		accept   = "; the log does not have what is lost any more: tollstream settle accept-gap"
	)
	for _, x := range []struct {
		list []Missing
		want string
	}{
		{nil, ""},
		{[]Missing{}, ""},
		{[]Missing{one}, "1 records are not stored: " + oneText},
		{[]Missing{one, one}, "2 records are not stored: " + oneText + ", " + oneText},
		{[]Missing{lost}, "5 records are not stored: " + lostText + accept},
		{[]Missing{one, lost}, "6 records are not stored: " + oneText + ", " + lostText + accept},
		{slices.Repeat([]Missing{one}, namedMax), fmt.Sprint(namedMax, " records are not stored: ",
			strings.Repeat(oneText+", ", namedMax-1)+oneText)},
		{append(slices.Repeat([]Missing{one}, namedMax), lost), fmt.Sprint(namedMax+5,
			" records are not stored: ", strings.Repeat(oneText+", ", namedMax-1)+oneText, ", and more",
			accept)}, // also where what is lost is not among the first
	} {
		if have := describe(x.list); have != x.want {
			t.Errorf("have %s\nwant %s", have, x.want)
		}
	}
}

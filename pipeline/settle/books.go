package settle

import (
	"fmt"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/stored"
)

// Books are what became of the records between a closing's barriers (B21).
type Books struct {
	Partitions []PartitionBooks
	Totals     Totals
}

// PartitionBooks counts one partition's offsets in [Low, High), each term on its own. Its JSON is
// the one of the table of settlements.
type PartitionBooks struct {
	stored.Barrier
	// What stands at the offsets. Lost are those of accepted gaps.
	Data      int64 `json:"data"`
	Aborted   int64 `json:"aborted"`
	Control   int64 `json:"control"`
	Compacted int64 `json:"compacted"`
	Lost      int64 `json:"lost"`
	// What became of the data.
	Charged     int64 `json:"charged"`
	Free        int64 `json:"free"`
	Duplicate   int64 `json:"duplicate"`
	Quarantined int64 `json:"quarantined"`
	Waiting     int64 `json:"waiting"`
	Events      int64 `json:"events"`
	// Odd are the first offsets of data that is in no term, or in more than one.
	Odd []int64 `json:"odd,omitempty"`
}

// count keeps what the metrics show of the closing once it is done.
func (c *closer) count(books *Books) {
	t := &c.totals
	c.made.At, c.made.Bills, c.made.Late = c.moment.At.Time(), t.Bills, t.Late
	c.made.Conflicts = c.conflicts
	c.made.Calls = map[string]int64{"free": t.Free, "covered": t.Covered,
		"postpaid": t.Postpaid, "uncovered": t.Uncovered}
	c.made.Books = nil
	for i := range books.Partitions {
		c.made.Books = append(c.made.Books, books.Partitions[i].terms()...)
	}
}

// Add adds the counts of other books of the partition.
func (p *PartitionBooks) Add(o *PartitionBooks) {
	p.Data += o.Data
	p.Aborted += o.Aborted
	p.Control += o.Control
	p.Compacted += o.Compacted
	p.Lost += o.Lost
	p.Charged += o.Charged
	p.Free += o.Free
	p.Duplicate += o.Duplicate
	p.Quarantined += o.Quarantined
	p.Waiting += o.Waiting
	p.Events += o.Events
	p.Odd = append(p.Odd, o.Odd...)
}

// terms gives the books as the metrics name them.
func (p *PartitionBooks) terms() []observe.BookTerm {
	topic := stored.TopicOf(p.Topic)
	return []observe.BookTerm{
		{Topic: topic, Term: "data", Records: p.Data},
		{Topic: topic, Term: "aborted", Records: p.Aborted},
		{Topic: topic, Term: "control", Records: p.Control},
		{Topic: topic, Term: "compacted", Records: p.Compacted},
		{Topic: topic, Term: "lost", Records: p.Lost},
		{Topic: topic, Term: "charged", Records: p.Charged},
		{Topic: topic, Term: "free", Records: p.Free},
		{Topic: topic, Term: "duplicate", Records: p.Duplicate},
		{Topic: topic, Term: "quarantined", Records: p.Quarantined},
		{Topic: topic, Term: "waiting", Records: p.Waiting},
		{Topic: topic, Term: "events", Records: p.Events},
	}
}

// Fault says in what the books do not balance, "" where they do.
func (p *PartitionBooks) Fault() string {
	var faults []string
	if have, read := p.High-p.Low, p.Data+p.Aborted+p.Control+p.Compacted+p.Lost; have != read {
		faults = append(faults, fmt.Sprintf("%d offsets, and %d in data %d, aborted %d, control %d, "+
			"compacted %d, lost %d", have, read, p.Data, p.Aborted, p.Control, p.Compacted, p.Lost))
	}
	became := p.Charged + p.Free + p.Duplicate + p.Quarantined + p.Waiting + p.Events
	if p.Data != became || len(p.Odd) > 0 {
		faults = append(faults, fmt.Sprintf("data %d, and %d in charged %d, free %d, duplicate %d, "+
			"quarantined %d, waiting %d, events %d", p.Data, became, p.Charged, p.Free, p.Duplicate,
			p.Quarantined, p.Waiting, p.Events))
	}
	if len(p.Odd) > 0 {
		faults = append(faults, fmt.Sprintf("look at offset %d", p.Odd[0]))
	}
	return strings.Join(faults, "; ")
}

// Fault says which books do not balance and in what, "" where all do.
func (b *Books) Fault() string {
	var faults []string
	for i := range b.Partitions {
		p := &b.Partitions[i]
		if fault := p.Fault(); fault != "" {
			faults = append(faults, fmt.Sprintf("books of %s/%d, offsets [%d, %d), do not balance: %s",
				p.Topic, p.Partition, p.Low, p.High, fault))
		}
	}
	return strings.Join(faults, "; ")
}

// Taken says how many calls a closing took, and how many of them stand.
type Taken struct {
	Day          billing.Day
	Took, Stored int64
}

func (t Taken) String() string {
	return fmt.Sprintf("the closing of %s took %d calls, and %d of its calls stand in taken_calls",
		t.Day, t.Took, t.Stored)
}

// Kind is what a record is, or would be, in the books.
type Kind string

// The kinds of records.
const (
	KindUnknown     Kind = "unknown" // the record was not looked at
	KindLost        Kind = "lost"    // the log begins above it
	KindCall        Kind = "call"
	KindDuplicate   Kind = "duplicate"
	KindQuarantined Kind = "quarantined"
	KindEvent       Kind = "event"
	KindMarker      Kind = "marker" // aborted, control or compacted
)

// MissingMax bounds how many entries a list of what is missing has.
const MissingMax = 100

// Missing says that something of the records at the offsets [From, To) is not stored.
type Missing struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Kind      Kind   `json:"kind"`
	// Table is where the row is missing.
	Table string `json:"table"`
}

func (m *Missing) String() string {
	at := fmt.Sprintf("offset %d", m.From)
	if m.To-m.From > 1 {
		at = fmt.Sprintf("offsets [%d, %d)", m.From, m.To)
	}
	return fmt.Sprintf("%s/%d %s (%s, no row in %s)", m.Topic, m.Partition, at, m.Kind, m.Table)
}

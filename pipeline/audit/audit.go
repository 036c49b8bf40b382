// Package audit counts the books of closings that are done anew, by partition and day, and proves
// each record in them against the rows that stand now (B21). It owns what is chosen and what is
// found wrong; how records are counted and proven is that of a closing, and the store's. It writes
// nothing.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// Store is what an audit asks of ClickHouse.
type Store interface {
	// ClosedSettlements gives the closings that are done, in order.
	ClosedSettlements(ctx context.Context) ([]stored.Settlement, error)
	Epochs(ctx context.Context) (stored.Epochs, error)
	// CountBooks counts what became of ranges of offsets, at most one of each partition, as of a
	// closing.
	CountBooks(ctx context.Context, ranges []stored.Barrier, gaps []stored.Gap,
		at billing.Instant) ([]settle.PartitionBooks, error)
	// Gone gives offsets of which no delivery is stored, and delivered records of which a row is
	// missing, at most settle.MissingMax of each.
	Gone(ctx context.Context, ranges []stored.Barrier) ([]settle.Missing, error)
	// TakenOff gives the closings of [from, to] of which not exactly the calls stand that they took.
	TakenOff(ctx context.Context, from, to billing.Instant) ([]settle.Taken, error)
	// Untaken gives the calls of days before dayEnd that no closing before a time, in whole seconds,
	// took and that have no reason to wait.
	Untaken(ctx context.Context, ranges []stored.Barrier, before, dayEnd billing.Instant) (
		[]settle.Missing, error)
}

// Options connect an audit.
type Options struct {
	Store Store
	Zone  *time.Location // of the catalogue's days
	// Name, if not nil, looks in the log at records of which no delivery is stored.
	Name func(ctx context.Context, missing []settle.Missing) []settle.Missing
}

// Choice says what is audited.
type Choice struct {
	Topic     string      // by its name in Kafka, with all epochs, or one log of it; "" is all
	Partition int32       // negative is all
	From, To  billing.Day // days that closings closed, in [From, To); 0 is open
}

// has tells whether a partition is chosen.
func (c *Choice) has(topic string, partition int32) bool {
	return (c.Topic == "" || c.Topic == topic || c.Topic == stored.TopicOf(topic)) &&
		(c.Partition < 0 || c.Partition == partition)
}

// whole tells whether every partition is chosen.
func (c *Choice) whole() bool { return c.Topic == "" && c.Partition < 0 }

// Report is what an audit found.
type Report struct {
	First, Last billing.Day     // that were audited
	AsOf        billing.Instant // the last closing that is done; what became of records is as of it
	Lines       []Line          // by day, topic, partition; ranges without an offset are left out
	Taken       []Taken         // closings whose calls do not all stand; of a whole audit only
	Skipped     []Skipped       // offsets between closings
	Gaps        []stored.Gap    // accepted ones in the ranges
	Epochs      []stored.Epoch  // of the topics
}

// Line is what became of one partition's records between the barriers of one closing.
type Line struct {
	Day billing.Day
	settle.PartitionBooks
	Missing []settle.Missing
}

// Balances tells whether the books of the range balance and all its rows stand.
func (l *Line) Balances() bool { return l.Fault() == "" && len(l.Missing) == 0 }

// ByPartition adds up the books of each partition, in the order of their first lines.
func (r *Report) ByPartition() []settle.PartitionBooks {
	var sums []settle.PartitionBooks
	for i := range r.Lines {
		b := &r.Lines[i].PartitionBooks
		at := slices.IndexFunc(sums, func(s settle.PartitionBooks) bool {
			return s.Topic == b.Topic && s.Partition == b.Partition
		})
		if at < 0 {
			sums = append(sums, *b)
			continue
		}
		sums[at].High = b.High
		sums[at].Add(b)
	}
	return sums
}

// Taken is a closing of which not exactly the calls stand that it took.
type Taken struct {
	settle.Taken
	Missing []settle.Missing // that are probably these
}

// Skipped are offsets of a partition that lie between two closings and in neither, or in both
// where To is below From.
type Skipped struct {
	Topic     string
	Partition int32
	From, To  int64
	Day       billing.Day // of the later closing
}

// ErrNothing says that nothing is chosen.
var ErrNothing = errors.New("there is nothing to audit")

// Run audits what is chosen. Its error is that of the world, or ErrNothing; what is wrong with the
// books is in the report.
func Run(ctx context.Context, o Options, c Choice) (*Report, error) {
	done, err := o.Store.ClosedSettlements(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := c.closings(done)
	if err != nil {
		return nil, err
	}
	a := auditor{Options: o, choice: c, done: done, last: &done[len(done)-1],
		report: &Report{First: chosen[0].Day, Last: chosen[len(chosen)-1].Day}}
	a.report.AsOf = a.last.ClosedAt
	for i := range done {
		for _, g := range done[i].Gaps {
			a.gaps = stored.AddGap(a.gaps, g)
		}
	}
	for i := range chosen {
		if err := a.closing(ctx, &chosen[i]); err != nil {
			return nil, err
		}
	}
	if len(a.report.Lines) == 0 {
		return nil, fmt.Errorf("%w: closings of %s to %s saw no record of that partition; they saw "+
			"records of %s", ErrNothing, a.report.First, a.report.Last, topicsOf(chosen))
	}
	a.report.Skipped = skipped(done, &c)
	if err := a.taken(ctx, chosen); err != nil {
		return nil, err
	}
	return a.report, a.epochs(ctx)
}

// closings are those that are chosen.
func (c *Choice) closings(done []stored.Settlement) ([]stored.Settlement, error) {
	if len(done) == 0 {
		return nil, fmt.Errorf("%w: no closing is done yet", ErrNothing)
	}
	var chosen []stored.Settlement
	for i := range done {
		if day := done[i].Day; day >= c.From && (c.To == 0 || day < c.To) {
			chosen = append(chosen, done[i])
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: the closings that are done are those of %s to %s", ErrNothing,
			done[0].Day, done[len(done)-1].Day)
	}
	return chosen, nil
}

func topicsOf(list []stored.Settlement) string {
	var names []string
	for i := range list {
		for _, b := range list[i].Barriers {
			if b.Low < b.High && !slices.Contains(names, b.Topic) {
				names = append(names, b.Topic)
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// skipped looks for offsets that lie between a closing and the next one. A partition's first
// closing begins where it begins.
func skipped(done []stored.Settlement, c *Choice) []Skipped {
	var out []Skipped
	type log struct {
		topic     string
		partition int32
	}
	ends := map[log]int64{}
	for i := range done {
		s := &done[i]
		for _, b := range s.Barriers {
			of := log{b.Topic, b.Partition}
			end, known := ends[of]
			ends[of] = b.High
			if known && end != b.Low && c.has(b.Topic, b.Partition) && s.Day >= c.From &&
				(c.To == 0 || s.Day < c.To) {
				out = append(out, Skipped{b.Topic, b.Partition, end, b.Low, s.Day})
			}
		}
	}
	return out
}

// auditor is an audit under way.
type auditor struct {
	Options
	choice Choice
	done   []stored.Settlement
	last   *stored.Settlement
	gaps   []stored.Gap // accepted ones
	report *Report
}

// closing adds the lines of one closing.
func (a *auditor) closing(ctx context.Context, s *stored.Settlement) error {
	ranges := slices.DeleteFunc(slices.Clone(s.Barriers), func(b stored.Barrier) bool {
		return b.Low >= b.High || !a.choice.has(b.Topic, b.Partition)
	})
	if len(ranges) == 0 {
		return nil
	}
	slices.SortFunc(ranges, func(x, y stored.Barrier) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})
	books, err := a.Store.CountBooks(ctx, ranges, a.gaps, a.last.ClosedAt)
	if err != nil {
		return fmt.Errorf("closing of %s: %w", s.Day, err)
	}
	missing, err := a.Store.Gone(ctx, stored.Without(ranges, a.gaps))
	if err != nil {
		return fmt.Errorf("closing of %s: %w", s.Day, err)
	}
	if a.Name != nil {
		missing = a.Name(ctx, missing)
	}
	for i := range books {
		a.report.Lines = append(a.report.Lines, Line{Day: s.Day, PartitionBooks: books[i],
			Missing: missingIn(&books[i].Barrier, missing)})
		for _, g := range a.gaps {
			if stored.LostIn(books[i].Barrier, []stored.Gap{g}) > 0 {
				a.report.Gaps = stored.AddGap(a.report.Gaps, g)
			}
		}
	}
	return nil
}

// missingIn are what is missing of a range, in the order of the offsets.
func missingIn(b *stored.Barrier, all []settle.Missing) []settle.Missing {
	var out []settle.Missing
	for _, m := range all {
		if m.Topic == b.Topic && m.Partition == b.Partition {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(x, y settle.Missing) int { return cmp.Compare(x.From, y.From) })
	return out
}

// taken looks whether the calls stand that the closings took, and which do not: calls that no
// closing took now, though they lie where that closing looked.
func (a *auditor) taken(ctx context.Context, chosen []stored.Settlement) error {
	if !a.choice.whole() {
		return nil
	}
	off, err := a.Store.TakenOff(ctx, chosen[0].ClosedAt, chosen[len(chosen)-1].ClosedAt)
	if err != nil {
		return err
	}
	for _, taken := range off {
		t := Taken{Taken: taken}
		at := slices.IndexFunc(a.done, func(s stored.Settlement) bool { return s.Day == t.Day })
		t.Missing, err = a.Store.Untaken(ctx, stored.Without(a.window(at), a.gaps),
			a.last.ClosedAt+billing.Second, (t.Day + 1).Start(a.Zone))
		if err != nil {
			return err
		}
		a.report.Taken = append(a.report.Taken, t)
	}
	return nil
}

// window are the ranges in which a closing takes calls, those of accounts apart that it has just
// learnt of.
func (a *auditor) window(at int) []stored.Barrier {
	ranges := slices.Clone(a.done[at].Barriers)
	since := closing.WindowStart(a.done[at].Day, a.Zone)
	for i := at - 1; i >= 0 && a.done[i].ClosedAt > since; i-- {
		for _, b := range a.done[i].Barriers {
			for k := range ranges {
				if ranges[k].Topic == b.Topic && ranges[k].Partition == b.Partition {
					ranges[k].Low = min(ranges[k].Low, b.Low)
				}
			}
		}
	}
	return ranges
}

// epochs lists those of the topics in the report.
func (a *auditor) epochs(ctx context.Context) error {
	all, err := a.Store.Epochs(ctx)
	if err != nil {
		return err
	}
	var topics []string
	for i := range a.report.Lines {
		topics = append(topics, stored.TopicOf(a.report.Lines[i].Topic))
	}
	slices.Sort(topics)
	for _, topic := range slices.Compact(topics) {
		a.report.Epochs = append(a.report.Epochs, all[topic]...)
	}
	return nil
}

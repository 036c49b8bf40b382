package stories

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

type storyKey struct{}

// story gathers the records that a script tells of; `close` runs the pipeline over all of them.
type story struct {
	loads    []load // catalogues, in the order in which they are loaded; the first from the start
	records  []batch.Record
	clock    billing.Instant // nothing that is told from here on arrives before
	events   int
	calls    int
	requeued map[string]bool // records that were sent again, by their key
	out      *batch.Output
}

// load is a catalogue and since when closings judge by it.
type load struct {
	at  billing.Instant
	cat *catalog.Catalog
}

func newStory(cat *catalog.Catalog) *story {
	return &story{loads: []load{{cat: cat}}, requeued: map[string]bool{}}
}

// cat is the catalogue that was told of last.
func (s *story) cat() *catalog.Catalog { return s.loads[len(s.loads)-1].cat }

func (s *story) catalogAt(at billing.Instant) *catalog.Catalog {
	cat := s.loads[0].cat
	for _, l := range s.loads {
		if l.at <= at {
			cat = l.cat
		}
	}
	return cat
}

var topics = [...]string{
	batch.EventRecord: "billing.account-events", batch.CallRecord: "faceid.calls",
}

func (s *story) add(kind batch.Kind, arrives billing.Instant, value []byte) {
	s.records = append(s.records, batch.Record{Kind: kind, Value: value,
		Arrival: billing.Arrival{Appended: arrives, Topic: topics[kind]}})
}

// run makes every closing up to and including an instant.
func (s *story) run(until billing.Instant) (*batch.Output, error) {
	slices.SortStableFunc(s.records, func(a, b batch.Record) int {
		return cmp.Or(cmp.Compare(a.Arrival.Appended, b.Arrival.Appended), cmp.Compare(a.Kind, b.Kind))
	})
	for i := range s.records {
		s.records[i].Arrival.Offset = int64(i)
	}
	out, err := batch.RunChanging(s.catalogAt, s.records, until, nil)
	if err != nil {
		return nil, err
	}
	return out, balance(out)
}

// balance checks that nothing was lost: each log's books account for every record that was read.
func balance(out *batch.Output) error {
	for log, b := range out.Books { // any imbalance will do
		sum := b.Charged + b.Free + b.Duplicate + b.Quarantined + b.Waiting + b.Events
		if b.Read != sum {
			return fmt.Errorf("the books of %s lose records: %+v", log, *b)
		}
	}
	return nil
}

// key tells a record from others wherever sorting has put it.
func key(at billing.Arrival, value []byte) string {
	return fmt.Sprint(at.Appended, at.Topic, string(value))
}

// loadCatalog lets closings from an instant on judge by a catalogue in which one text is another.
func (s *story) loadCatalog(at billing.Instant, was, is []byte) error {
	was, is = bytes.TrimRight(was, "\n"), bytes.TrimRight(is, "\n")
	file := s.cat().File
	if n := bytes.Count(file, was); n != 1 {
		return fmt.Errorf("the catalogue has this text %d times, not once:\n%s", n, was)
	}
	cat, err := catalog.Parse("catalog.yaml", bytes.Replace(file, was, is, 1))
	if err != nil {
		return err
	}
	if last := s.loads[len(s.loads)-1]; at < last.at {
		return fmt.Errorf("a catalogue was loaded after %s already", at)
	}
	s.loads = append(s.loads, load{at, cat})
	return nil
}

// requeue sends again what is in quarantine for a reason, as new records.
func (s *story) requeue(at billing.Instant, reason billing.Reason) (int, error) {
	out, err := s.run(at)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, q := range out.Quarantined {
		if k := key(q.Arrival, q.Value); q.Refusal.Reason == reason && !s.requeued[k] {
			s.requeued[k] = true
			s.add(batch.Kind(slices.Index(topics[:], q.Arrival.Topic)), at, q.Value)
			n++
		}
	}
	return n, nil
}

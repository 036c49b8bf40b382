package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// fakeLog has topics of one partition.
type fakeLog map[string][]string

func (l fakeLog) Topic(_ context.Context, name string) (kafkalog.TopicInfo, error) {
	return kafkalog.TopicInfo{Name: name, Partitions: []int{0}}, nil
}

func (l fakeLog) Offsets(_ context.Context, topic string, _ int) (int64, int64, int64, error) {
	return 0, int64(len(l[topic])), int64(len(l[topic])), nil
}

func (l fakeLog) OffsetAt(context.Context, string, int, time.Time) (int64, bool, error) {
	return 0, false, errors.New("not asked for")
}

func (l fakeLog) Fetch(
	_ context.Context, topic string, _ int, offset int64,
) (kafkalog.Fetched, error) {
	f := kafkalog.Fetched{Topic: topic, Next: int64(len(l[topic]))}
	for ; offset < f.Next; offset++ {
		f.Records = append(f.Records,
			kafkalog.Record{Offset: offset, Value: []byte(l[topic][offset])})
	}
	return f, nil
}

// closings of three days, at 8:00 of the days after.
func closings() []stored.Settlement {
	var out []stored.Settlement
	for day := billing.DateOf(2023, 1, 1); day <= billing.DateOf(2023, 1, 3); day++ {
		out = append(out, stored.Settlement{Day: day, ClosedAt: (day + 1).At(8*time.Hour, time.UTC)})
	}
	return out
}

func bill(account string, s *stored.Settlement, total int64) *billing.Bill {
	period := billing.PeriodOf(billing.Daily, s.Day)
	return &billing.Bill{BillID: account + "/" + period.String(), AccountID: account, Period: period,
		ClosedAt: s.ClosedAt, Total: decimal.New(total, 0)}
}

func status(id string, at billing.Instant, provisional bool) *billing.StatusChange {
	return &billing.StatusChange{EventID: id, AccountID: "a", Status: billing.InArrears,
		EffectiveAt: at, Provisional: provisional}
}

// hearing is a run that has read what the topics say, and notes what differs.
func hearing(t *testing.T, bills []*billing.Bill, changes []*billing.StatusChange) (
	*run, *publisher, *[]string) {
	t.Helper()
	log, heard := fakeLog{}, []string{}
	for _, b := range bills {
		log["bills"] = append(log["bills"], string(canonical.Bill(b, time.UTC)))
	}
	for _, c := range changes {
		log["status"] = append(log["status"], string(canonical.Status(c, time.UTC)))
	}
	cat := &catalog.Catalog{}
	cat.Settings.Zone = time.UTC
	p := &Plan{recorded: closings(), Options: Options{Log: log, Catalog: cat, Bills: "bills",
		Status: "status", Differs: func(d Difference) {
			heard = append(heard, fmt.Sprintf("%s %s %s %s: %s, %s", d.AccountID, d.Period, d.Name,
				d.Place, d.Have, d.Want))
		}}}
	r := &run{Plan: p, result: &Result{}, last: &p.recorded[2]}
	if err := r.listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r, &publisher{run: r, current: &p.recorded[0], stop: func() {}}, &heard
}

func texts(bills ...*billing.Bill) (list []stored.BillText) {
	for _, b := range bills {
		list = append(list, stored.BillText{BillID: b.BillID, AccountID: b.AccountID,
			Period: b.Period.String(), JSON: canonical.Bill(b, time.UTC)})
	}
	return list
}

// TestCompareOnce: the settle loop publishes again after an error of the world; each bill counts
// and is told once, and each record on its topic that says something else is told.
func TestCompareOnce(t *testing.T) {
	s := closings()
	right, wrong := bill("a", &s[0], 1), bill("a", &s[0], 2)
	r, p, heard := hearing(t, []*billing.Bill{right, wrong, right, wrong}, nil)
	for range 2 {
		err := p.PublishBills(t.Context(), texts(right, bill("b", &s[0], 1)))
		if err != nil {
			t.Fatal(err)
		}
	}
	r.compareLeft()
	want := []string{`a 2023-01-01 total bills/0/1: "2.00", "1.00"`,
		`b 2023-01-01 record bills: nothing, b/2023-01-01`}
	if !slices.Equal(*heard, want) || r.result.Bills != 2 || r.result.Differences != 2 {
		t.Errorf("%+v, %q\nwant %q", r.result, *heard, want)
	}
}

// TestLastClosingMayBeUnpublished: what is absent ends a rebuild before the closing recorded last.
func TestLastClosingMayBeUnpublished(t *testing.T) {
	s := closings()
	r, p, heard := hearing(t, []*billing.Bill{bill("a", &s[2], 1)}, nil)
	stopped := false
	p.current, p.stop = r.last, func() { stopped = true }
	err := p.PublishBills(t.Context(), texts(bill("a", &s[2], 1), bill("b", &s[2], 1)))
	if !errors.Is(err, errUnpublished) || !stopped {
		t.Errorf("%v, stopped: %t", err, stopped)
	}
	r.result.Open = r.last
	if r.compareLeft(); len(*heard) > 0 {
		t.Errorf("%q", *heard)
	}
}

// TestCompareLeft: what the topics say of closings that are done and nobody made is told; what
// belongs to the closings after them is not.
func TestCompareLeft(t *testing.T) {
	s := closings()
	last := s[2].ClosedAt
	later := stored.Settlement{Day: s[2].Day + 1, ClosedAt: last + 24*billing.Hour}
	r, _, heard := hearing(t, []*billing.Bill{bill("c", &later, 1), bill("a", &s[2], 1)},
		[]*billing.StatusChange{status("early", last-1, false), status("late", last, false),
			status("said", last-1, true), status("open", last+1, true)})
	r.compareLeft()
	want := []string{"a 2023-01-03 record bills/0/1: a/2023-01-03, nothing",
		"a " + r.timeOf(last-1) + " record status/0/0: early, nothing"}
	if !slices.Equal(*heard, want) {
		t.Errorf("%q\nwant %q", *heard, want)
	}
	r, p, heard := hearing(t, nil, []*billing.StatusChange{status("early", last-1, false)})
	err := p.PublishStatus(t.Context(), []billing.StatusChange{*status("early", last-1, false),
		*status("said", last-1, true)})
	if r.compareLeft(); err != nil || len(*heard) > 0 || r.result.Statuses != 1 {
		t.Errorf("%v, %q, %+v", err, *heard, r.result)
	}
}

// TestRecordsThatCannotBeRead differ from what stood there, and end nothing.
func TestRecordsThatCannotBeRead(t *testing.T) {
	r, _, heard := hearing(t, nil, nil)
	r.Log = fakeLog{"bills": {"{", `{"bill_id":"a/2023-01-01"}`}, "status": {`{"event_id":"x"}`}}
	if err := r.listen(t.Context()); err != nil || len(*heard) != 3 {
		t.Errorf("%v, %q", err, *heard)
	}
}

// fakeSettled and fakeStore say which closings are recorded, and which are done.
type fakeSettled struct {
	recorded []stored.Settlement
	gaps     []stored.Gap
	epochs   stored.Epochs
}

func (f fakeSettled) Settlements(context.Context) (map[billing.Day]*stored.Settlement, error) {
	all := map[billing.Day]*stored.Settlement{}
	for i := range f.recorded {
		all[f.recorded[i].Day] = &f.recorded[i]
	}
	return all, nil
}

func (f fakeSettled) Gaps(context.Context) ([]stored.Gap, error) { return f.gaps, nil }

func (f fakeSettled) Epochs(context.Context) (stored.Epochs, error) { return f.epochs, nil }

func (f fakeSettled) CatalogFile(context.Context, string) ([]byte, error) { return nil, nil }

type fakeStore struct {
	Store
	done []stored.Settlement
	has  int64 // offsets below it are stored
}

func (f fakeStore) Missing(
	_ context.Context, ranges []stored.Barrier,
) (missing []settle.Missing, err error) {
	for _, r := range ranges {
		if r.High > f.has {
			missing = append(missing, settle.Missing{Topic: r.Topic, From: max(r.Low, f.has), To: r.High})
		}
	}
	return missing, nil
}

func (f fakeStore) ClosedSettlements(context.Context) ([]stored.Settlement, error) {
	return f.done, nil
}

// TestNew: what is left to do, and what no rebuild can be.
func TestNew(t *testing.T) {
	plan := func(recorded, done []stored.Settlement) (*Plan, error) {
		return New(t.Context(), Options{Log: fakeLog{"events": {"a", "b", "c", "d"}}, Events: "events",
			Settled: fakeSettled{recorded: recorded}, Store: fakeStore{done: done}})
	}
	recorded := closings()
	for i := range recorded { // each sees one record, and one is beyond them
		recorded[i].Barriers = []stored.Barrier{
			{Topic: "events", Low: int64(i), High: int64(i + 1)}}
	}
	p, err := plan(recorded, recorded[:1])
	if err != nil || p.Closings() != 2 || p.Offsets != 3 || p.tail[0].Low != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = plan(nil, nil); err != nil || p.Closings() != 0 || p.Offsets != 4 {
		t.Errorf("nothing closed: %+v, %v", p, err)
	}
	if _, err = plan([]stored.Settlement{recorded[0], recorded[2]}, nil); err == nil {
		t.Error("a closing is not recorded")
	}
	other := slices.Clone(recorded)
	other[1].CatalogDigest = "other"
	for _, done := range [][]stored.Settlement{other, append(slices.Clone(recorded), other[0])} {
		if _, err = plan(recorded, done); err == nil {
			t.Error("the database is of another deployment")
		}
	}
}

// readRanges keeps which stretches are read.
type readRanges struct{ list *[]stored.Barrier }

func (r readRanges) Stretches(
	_ context.Context, list []stored.Barrier, _ func(int64),
) ([]stored.Requeued, error) {
	*r.list = append(*r.list, list...)
	return nil, nil
}

// TestGapsAreReadOver: what was accepted as lost is not read, even if the log has it again.
func TestGapsAreReadOver(t *testing.T) {
	var read []stored.Barrier
	p, err := New(t.Context(), Options{Log: fakeLog{"events": {}}, Events: "events",
		Store: fakeStore{}, Settled: fakeSettled{recorded: closings()[:1],
			gaps: []stored.Gap{{Topic: "calls", Partition: 1, From: 3, To: 5}}}})
	if err != nil {
		t.Fatal(err)
	}
	r := run{Plan: p, result: &Result{}, reader: readRanges{&read}}
	list := []stored.Barrier{{Topic: "calls", Partition: 1, Low: 2, High: 9},
		{Topic: "events", High: 1}}
	if _, err := r.stretches(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	want := []stored.Barrier{{Topic: "events", High: 1},
		{Topic: "calls", Partition: 1, Low: 2, High: 3},
		{Topic: "calls", Partition: 1, Low: 5, High: 9}}
	if !slices.Equal(read, want) {
		t.Errorf("read %+v, want %+v", read, want)
	}
}

// TestEpochsThatAreOver cannot be read again: what closings saw of them has to be stored, or to be
// accepted as lost. What is asked for, and read, is of the epoch that the topic is in.
func TestEpochsThatAreOver(t *testing.T) {
	over := func(low, high int64) []stored.Barrier {
		return []stored.Barrier{{Topic: "events", Low: low, High: high},
			{Topic: "events#2", Low: 0, High: 2}}
	}
	has, lacks := fakeStore{has: 7}, fakeStore{has: 6}
	const refused = "from offset 6 on, and the topic is in epoch 2 (made again, said li)"
	for _, x := range []struct {
		name     string
		store    fakeStore
		barriers []stored.Barrier
		gap      stored.Gap
		want     string
	}{
		{"no record was seen", lacks, over(7, 7), stored.Gap{}, ""},
		{"all are stored", has, over(3, 7), stored.Gap{}, ""},
		{"one is not", lacks, over(3, 7), stored.Gap{}, refused},
		{"it is accepted as lost", lacks, over(3, 7), stored.Gap{From: 6, To: 7}, ""},
		{"another one is", lacks, over(3, 7), stored.Gap{From: 4, To: 6}, refused},
	} {
		recorded := closings()[:1]
		recorded[0].Barriers = x.barriers
		x.gap.Topic = "events"
		settled := fakeSettled{recorded: recorded, gaps: []stored.Gap{x.gap},
			epochs: stored.Epochs{"events": {{Topic: "events", Number: 1},
				{Topic: "events", Number: 2, Reason: "made again", By: "li"}}}}
		p, err := New(t.Context(), Options{Log: fakeLog{"events": {"a", "b"}}, Events: "events",
			Store: x.store, Settled: settled})
		if x.want != "" {
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s: %v", x.name, err)
			}
			continue
		}
		if err != nil || p.Offsets != 2 || !slices.Equal(p.toRead(x.barriers), x.barriers[1:]) {
			t.Errorf("%s: %+v, %v", x.name, p, err)
		}
	}
}

package verify

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/remake"
	"tollstream/pipeline/stored"
	"tollstream/schemas"
)

// memory is a source of records that a test makes up.
type memory struct {
	closings []stored.Settlement
	events   []remake.Event
	calls    []remake.Call
	bills    []*stored.Bill
	asked    [][]string // the ids that events were asked for
}

func (m *memory) ClosedSettlements(context.Context) ([]stored.Settlement, error) {
	return m.closings, nil
}

func (m *memory) CatalogFile(context.Context, string) ([]byte, error) {
	return nil, fmt.Errorf("no other catalogue")
}

func (m *memory) EventsAbout(_ context.Context, ids []string) ([]remake.Event, error) {
	m.asked = append(m.asked, ids)
	var out []remake.Event
	for _, e := range m.events {
		for _, id := range ids {
			if e.AccountID == id || e.SubAccountID == id {
				out = append(out, e)
				break
			}
		}
	}
	return out, nil
}

func (m *memory) CopiesOf(_ context.Context, ids []string, each func(*remake.Call)) error {
	mine := map[string]bool{}
	for i := range m.calls {
		for _, id := range ids {
			if m.calls[i].AccountID == id {
				mine[m.calls[i].CallID] = true
			}
		}
	}
	for _, c := range m.calls {
		if mine[c.CallID] {
			each(&c)
		}
	}
	return nil
}

func (m *memory) StoredBills(context.Context, []string) ([]*stored.Bill, error) {
	return m.bills, nil
}

// at is a time of 2023-02 in Shanghai.
func at(day, hour int) billing.Instant {
	return billing.InstantOf(time.Date(2023, 2, day, hour-8, 0, 0, 0, time.UTC))
}

func (m *memory) open(id string, offset int64) {
	m.events = append(m.events, remake.Event{AccountID: id,
		Arrival: billing.Arrival{Topic: "events", Offset: offset, Appended: at(1, 0)},
		Value: []byte(`{"event_id":"open-` + id + `","type":"account.opened","account_id":"` + id +
			`","effective_at":"2023-02-01T00:00:00+08:00","opened_at":"2023-02-01T00:00:00+08:00"}`)})
}

func (m *memory) call(id, account string, offset int64, appended billing.Instant) {
	m.calls = append(m.calls, remake.Call{
		CallRecord: billing.CallRecord{CallID: id, AccountID: account, OccurredAt: at(1, 9),
			ResultCode: "0", Arrival: billing.Arrival{Topic: "calls", Offset: offset,
				Appended: appended}},
		Dimensions: map[string]string{"action": "IdCardVerification"},
	})
}

func (m *memory) close(cat *catalog.Catalog, day int, events, calls int64) {
	m.closings = append(m.closings, stored.Settlement{Day: billing.DateOf(2023, 2, day),
		ClosedAt: at(day+1, 8), CatalogDigest: cat.Digest, Barriers: []stored.Barrier{
			{Topic: "events", High: events}, {Topic: "calls", High: calls}}})
}

// TestRecordsAreSeenByBarriers has a call that was appended in time and stands beyond the barrier,
// as after a broker's clock stepped back: it is late. And it has a call that a stranger's copy
// claimed first, whose account nothing else connects with.
func TestRecordsAreSeenByBarriers(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	m.open("1001", 0)
	m.open("2002", 1)
	m.call("a", "1001", 0, at(1, 10))
	m.call("b", "2002", 1, at(1, 11)) // claims b
	m.call("b", "1001", 2, at(1, 12))
	m.call("c", "1001", 3, at(1, 13)) // beyond the first barrier
	m.call("d", "2002", 4, at(1, 14)) // no business of 1001
	m.close(cat, 1, 2, 3)
	m.close(cat, 2, 2, 5)
	verify := func(s Selection) []Result {
		t.Helper()
		v, err := New(t.Context(), m, cat, 60*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		made, err := v.closings.Make(t.Context(), []string{"1001"}, s.Until)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.bills) == 0 {
			for _, id := range []string{"1001/2023-02-01", "1001/2023-02-02"} {
				b := made[id]
				if b.Bill == nil || len(b.Lines) != 1 || b.Lines[0].Quantity != 1 {
					t.Fatalf("%s: %+v", id, b.Bill)
				}
				m.bills = append(m.bills, &stored.Bill{JSON: canonical.Bill(b.Bill, cat.Settings.Zone),
					Row: b.Bill, Lines: 1})
			}
		}
		results, err := v.Accounts(t.Context(), []string{"1001"}, s)
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	for _, r := range verify(Selection{}) {
		if r.Differs != "" {
			t.Errorf("%s: %s", r.BillID, r.Differs)
		}
	}
	if kind := m.bills[1].Row.Lines[0].Kind; kind != billing.LateUsageLine {
		t.Errorf("the call beyond the barrier is on a line %s", kind)
	}
	if last := strings.Join(m.asked[len(m.asked)-1], " "); last != "1001 2002" {
		t.Errorf("events were asked for of %s", last)
	}
	if one := verify(Selection{ID: "1001/2023-02-01", Until: at(2, 8)}); len(one) != 1 {
		t.Errorf("one bill: %+v", one)
	}
	m.calls[0].ResultCode = "-99" // nobody is charged for that code
	differ := verify(Selection{})
	if len(differ) != 2 || !strings.Contains(differ[0].Differs, "the records make no such bill") {
		t.Errorf("after a call was changed: %+v", differ)
	}
	m.bills = m.bills[:1]
	differ = verify(Selection{})
	if len(differ) != 2 || !strings.Contains(differ[1].Differs, "it is not stored") {
		t.Errorf("after a bill was removed: %+v", differ)
	}
}

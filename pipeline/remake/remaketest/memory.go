// Package remaketest is a store in memory for tests of what makes closings again: records that a
// test makes up, closings with their barriers, and the bills and states of those closings.
package remaketest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/remake"
	"tollstream/pipeline/stored"
)

// Topics of the records; each has one partition.
const (
	EventsTopic = "events"
	CallsTopic  = "calls"
)

// Memory is a source of records, closings, bills and states. Its fields may be changed between
// uses.
type Memory struct {
	Closings []stored.Settlement
	Catalogs []*catalog.Catalog
	Events   []remake.Event
	Calls    []remake.Call
	Bills    []*stored.Bill
	Kept     map[string][]byte // states of accounts as the last closing left them
	Asked    [][]string        // the ids that events were asked for
}

// At is an hour of a day of February 2023 in Shanghai; days beyond the month count on.
func At(day, hour int) billing.Instant {
	return billing.InstantOf(time.Date(2023, 2, day, hour-8, 0, 0, 0, time.UTC))
}

// Event appends an account event; fields is JSON of what its type needs further, as in
// `"amount":"1"`.
func (m *Memory) Event(account, kind string, at billing.Instant, fields string) {
	if fields != "" {
		fields = "," + fields
	}
	m.Events = append(m.Events, remake.Event{AccountID: account,
		Arrival: billing.Arrival{Topic: EventsTopic, Offset: int64(len(m.Events)), Appended: at},
		Value: fmt.Appendf(nil, `{"event_id":"%s-%d","type":"%s","account_id":"%s",`+
			`"effective_at":"%s"%s}`, kind, len(m.Events), kind, account, at, fields)})
}

// Open appends the opening of an account.
func (m *Memory) Open(account string, at billing.Instant) {
	m.Event(account, "account.opened", at, fmt.Sprintf(`"opened_at":"%s"`, at))
}

// Call appends a call of an action.
func (m *Memory) Call(id, account, action, code string, occurred, appended billing.Instant) {
	m.Calls = append(m.Calls, remake.Call{
		CallRecord: billing.CallRecord{CallID: id, AccountID: account, OccurredAt: occurred,
			ResultCode: code, Arrival: billing.Arrival{Topic: CallsTopic,
				Offset: int64(len(m.Calls)), Appended: appended}},
		Dimensions: map[string]string{"action": action},
	})
}

// Close records the closing of a day of February 2023, which sees the first so many events and
// calls.
func (m *Memory) Close(cat *catalog.Catalog, day, events, calls int) {
	m.Catalogs = append(m.Catalogs, cat)
	m.Closings = append(m.Closings, stored.Settlement{Day: billing.DateOf(2023, 2, day),
		ClosedAt: At(day+1, 8), CatalogDigest: cat.Digest, Barriers: []stored.Barrier{
			{Topic: EventsTopic, High: int64(events)}, {Topic: CallsTopic, High: int64(calls)}}})
}

// CloseDays records the closings of days of February 2023, first and last included, each with the
// barriers that a clock would give it.
func (m *Memory) CloseDays(cat *catalog.Catalog, first, last int) {
	for day := first; day <= last; day++ {
		events, calls := 0, 0
		for events < len(m.Events) && m.Events[events].Arrival.Appended < At(day+1, 8) {
			events++
		}
		for calls < len(m.Calls) && m.Calls[calls].Arrival.Appended < At(day+1, 8) {
			calls++
		}
		m.Close(cat, day, events, calls)
	}
}

// Keep makes the closings for some accounts and keeps their bills and states as stored ones.
func (m *Memory) Keep(ctx context.Context, accounts ...string) error {
	closings, err := remake.Open(ctx, m, m.Catalogs[0])
	if err != nil {
		return err
	}
	made, err := closings.Make(ctx, accounts, remake.Plan{})
	if err != nil {
		return err
	}
	m.Bills, m.Kept = nil, map[string][]byte{}
	for _, b := range made.Bills { // sorted below
		m.Bills = append(m.Bills, &stored.Bill{JSON: canonical.Bill(b.Bill, b.Zone), Row: b.Bill,
			Lines: len(b.Lines)})
	}
	slices.SortFunc(m.Bills, func(a, b *stored.Bill) int {
		return int(a.Row.ClosedAt - b.Row.ClosedAt)
	})
	for id, account := range made.Accounts { // into a map; the order does not matter
		if m.Kept[id], err = json.Marshal(account); err != nil {
			return err
		}
	}
	return nil
}

// ClosedSettlements implements remake.Source.
func (m *Memory) ClosedSettlements(context.Context) ([]stored.Settlement, error) {
	return m.Closings, nil
}

// CatalogFile implements remake.Source.
func (m *Memory) CatalogFile(_ context.Context, digest string) ([]byte, error) {
	for _, cat := range m.Catalogs {
		if cat.Digest == digest {
			return cat.File, nil
		}
	}
	return nil, fmt.Errorf("no catalogue %s", digest)
}

// EventsAbout implements remake.Source.
func (m *Memory) EventsAbout(_ context.Context, ids []string) ([]remake.Event, error) {
	m.Asked = append(m.Asked, ids)
	var out []remake.Event
	for _, e := range m.Events {
		if slices.Contains(ids, e.AccountID) || slices.Contains(ids, e.SubAccountID) {
			out = append(out, e)
		}
	}
	return out, nil
}

// CopiesOf implements remake.Source.
func (m *Memory) CopiesOf(_ context.Context, ids []string, each func(*remake.Call)) error {
	mine := map[string]bool{}
	for i := range m.Calls {
		if slices.Contains(ids, m.Calls[i].AccountID) {
			mine[m.Calls[i].CallID] = true
		}
	}
	for _, c := range m.Calls {
		if mine[c.CallID] {
			each(&c)
		}
	}
	return nil
}

// StoredBills implements verify.Source and simulate.Source.
func (m *Memory) StoredBills(
	_ context.Context, accounts []string, from, to billing.Instant,
) ([]*stored.Bill, error) {
	var out []*stored.Bill
	for _, b := range m.Bills {
		if slices.Contains(accounts, b.Row.AccountID) && b.Row.ClosedAt >= from &&
			(to == 0 || b.Row.ClosedAt <= to) {
			out = append(out, b)
		}
	}
	return out, nil
}

// States implements simulate.Source.
func (m *Memory) States(
	context.Context, []string, billing.Instant,
) (map[string][]byte, error) {
	return m.Kept, nil
}

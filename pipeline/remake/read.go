package remake

import (
	"context"
	"slices"
	"sort"

	"tollstream/pipeline/billing"
)

// seen are the records that one closing was the first to see.
type seen struct {
	events []Event // in arrival order
	calls  []*Call
}

// read collects what the first n closings saw that can move the bills of some accounts. Beyond
// their own events and calls that is: every other copy of their calls, because a copy of another
// account can have claimed a call first (B4); and the events of every account that such a copy, a
// shared sub-account or a shared event id brings in, because they decide who is who (B2).
func (c *Closings) read(ctx context.Context, accounts []string, n int) ([]seen, error) {
	about := map[string]bool{}
	for _, id := range accounts {
		about[id] = true
	}
	events, err := c.source.EventsAbout(ctx, accounts)
	if err != nil {
		return nil, err
	}
	callers := slices.Clone(accounts)
	for i := range events {
		if e := &events[i]; e.SubAccountID != "" && slices.Contains(accounts, e.AccountID) {
			callers = append(callers, e.SubAccountID)
		}
	}
	slices.Sort(callers)
	records := make([]seen, n)
	index := c.index()
	err = c.source.CopiesOf(ctx, slices.Compact(callers), func(call *Call) {
		if k := index.first(call.Arrival); k < len(records) {
			about[call.AccountID] = true
			records[k].calls = append(records[k].calls, call)
		}
	})
	if err != nil {
		return nil, err
	}
	if events, err = c.eventsAbout(ctx, about); err != nil {
		return nil, err
	}
	slices.SortFunc(events, byArrival)
	for _, e := range events {
		if k := index.first(e.Arrival); k < len(records) {
			records[k].events = append(records[k].events, e)
		}
	}
	return records, nil
}

// eventsAbout follows the events of the ids to every id that they bring in, until nothing is new.
func (c *Closings) eventsAbout(ctx context.Context, about map[string]bool) ([]Event, error) {
	for {
		events, err := c.source.EventsAbout(ctx, sortedIDs(about))
		if err != nil {
			return nil, err
		}
		known := len(about)
		for i := range events {
			about[events[i].AccountID] = true
			if sub := events[i].SubAccountID; sub != "" {
				about[sub] = true
			}
		}
		if len(about) == known {
			return events, nil
		}
	}
}

// barriers has, for each partition, how far each closing saw it. Barriers never go back, and a
// closing that did not know the partition saw nothing of it.
type barriers map[string][]int64

func (c *Closings) index() barriers {
	all := barriers{}
	for k := range c.done {
		for _, b := range c.done[k].Barriers {
			log := billing.Arrival{Topic: b.Topic, Partition: b.Partition}.Log()
			if all[log] == nil {
				all[log] = make([]int64, len(c.done))
			}
			all[log][k] = b.High
		}
	}
	return all
}

// first is the first closing that saw a record, the number of closings where none did.
func (b barriers) first(at billing.Arrival) int {
	highs := b[at.Log()]
	if highs == nil {
		return int(^uint(0) >> 1)
	}
	return sort.Search(len(highs), func(k int) bool { return highs[k] > at.Offset })
}

package settle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/stored"
)

// chunkAccountsMax and chunkCallsMax bound how much of a closing is in memory at once: a chunk that
// is closed, one that was read and waits, and one that is read.
const (
	chunkAccountsMax = 2_000
	chunkCallsMax    = 100_000
)

// walk goes through accounts and calls side by side, both in the order of the main account.
type walk struct {
	active []string // accounts that are closed even without calls
	calls  Calls
	next   stored.Call
	begun  bool
	ended  bool // there are no more calls
	last   string
}

// known is what is stored of an account, and its calls.
type known struct {
	id    string
	state []byte
	said  []billing.StatusChange
	calls []stored.Call
}

// advance reads the next call.
func (w *walk) advance() error {
	w.begun = true
	next, err := w.calls.Next()
	if errors.Is(err, io.EOF) {
		w.ended = true
		return nil
	}
	if err == nil && next.Main < w.last {
		return fmt.Errorf("%w: a call of account %s came after those of %s", errHalt, next.Main, w.last)
	}
	w.next, w.last = next, next.Main
	return err
}

// some gives the next accounts with their calls, none where there are no more.
func (w *walk) some() (list []known, err error) {
	for calls := 0; len(list) < chunkAccountsMax && calls < chunkCallsMax; {
		if !w.begun {
			if err := w.advance(); err != nil {
				return nil, err
			}
		}
		var of known
		switch {
		case len(w.active) > 0 && (w.ended || w.active[0] <= w.next.Main):
			of.id, w.active = w.active[0], w.active[1:]
		case !w.ended:
			of.id = w.next.Main
		default:
			return list, nil
		}
		for !w.ended && w.next.Main == of.id {
			of.calls = append(of.calls, w.next)
			if err := w.advance(); err != nil {
				return nil, err
			}
		}
		calls += len(of.calls)
		list = append(list, of)
	}
	return list, nil
}

// closeAll closes account after account, a chunk at a time. While a chunk is closed, which asks
// nobody for anything, what the store knows of the next is read, and what became of those before
// is stored.
func (c *closer) closeAll(ctx context.Context, w *walk) error {
	group, ctx := errgroup.WithContext(ctx)
	lists, full, empty := make(chan []known), make(chan ChunkRows), make(chan ChunkRows, 1)
	empty <- c.loop.Store.ChunkRows()
	group.Go(func() error { defer close(lists); return c.gatherAll(ctx, w, lists) })
	group.Go(func() error { defer close(full); return c.closeLists(ctx, lists, full, empty) })
	group.Go(func() error {
		for rows := range full {
			if err := rows.Store(ctx); err != nil {
				return err
			}
			c.loop.Progress.Moved()
			empty <- rows
		}
		return nil
	})
	return group.Wait()
}

// closeLists closes accounts and hands on what became of them.
func (c *closer) closeLists(
	ctx context.Context, lists <-chan []known, full chan<- ChunkRows, empty <-chan ChunkRows,
) error {
	var rows ChunkRows // nil while they are stored
	for list := range lists {
		chunk, err := c.closeSome(list)
		if err != nil {
			return err
		}
		if rows == nil {
			select {
			case rows = <-empty:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := rows.Add(ctx, chunk); err != nil {
			return err
		}
		c.loop.Progress.Moved()
		if rows.Full() {
			if err := hand(ctx, full, rows); err != nil {
				return err
			}
			rows = nil
		}
	}
	if rows == nil || ctx.Err() != nil { // the lists end where something failed, too
		return ctx.Err()
	}
	return hand(ctx, full, rows)
}

// hand gives something to who waits for it.
func hand[T any](ctx context.Context, to chan<- T, what T) error {
	select {
	case to <- what:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gatherAll reads what is stored of all accounts, some at a time.
func (c *closer) gatherAll(ctx context.Context, w *walk, lists chan<- []known) error {
	for {
		list, err := c.gather(ctx, w)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := hand(ctx, lists, list); err != nil {
			return err
		}
	}
}

// gather reads what is stored of the next accounts.
func (c *closer) gather(ctx context.Context, w *walk) ([]known, error) {
	list, err := w.some()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].id
	}
	states, err := c.loop.Store.States(ctx, ids, c.moment.At)
	if err != nil {
		return nil, err
	}
	var said map[string][]billing.StatusChange
	ids = slices.DeleteFunc(ids, func(id string) bool { return !c.saidOf[id] })
	if len(ids) > 0 { // of most accounts nothing was said
		said, err = c.loop.Store.Said(ctx, ids, c.loop.closedAt(), c.loop.closedAt())
	}
	for i := range list {
		list[i].state, list[i].said = states[list[i].id], said[list[i].id]
	}
	return list, err
}

// closeTogether is how many accounts one goroutine closes before it takes others.
const closeTogether = 100

// closeSome closes accounts, several at a time, and puts what came of them into a chunk in their
// order.
func (c *closer) closeSome(list []known) (*Chunk, error) {
	all := make([]made, len(list))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(list); from += closeTogether {
		group.Go(func() error {
			for i := from; i < min(from+closeTogether, len(list)); i++ {
				if err := c.closeOne(&all[i], &list[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	chunk := &Chunk{Moment: c.moment, Zone: c.loop.cat.Settings.Zone}
	for i := range all {
		m := &all[i]
		for _, e := range m.result.Refused {
			c.refused[e.Event.Arrival] = true
		}
		c.totals.add(&m.result)
		c.totals.Late += m.late
		chunk.add(list[i].id, m)
	}
	return chunk, nil
}

// made is what came of closing one account.
type made struct {
	result      closing.Result
	bill        BillText
	said        []billing.StatusChange
	state       State
	days        []billing.Day // of the calls taken
	late        int64
	voided      []*billing.CallRecord
	requalified []Requalified
}

// closeOne closes one account. It changes nothing but what it makes, since others are closed beside
// it.
func (c *closer) closeOne(m *made, of *known) error {
	cat, id := c.loop.cat, of.id
	account, err := c.loop.account(cat, id, of.state, c.accepted[id])
	if err != nil {
		return fmt.Errorf("%w: %w", errHalt, err)
	}
	corrections := c.corrections(account, of.said)
	m.result, err = closing.Close(cat, account, c.moment, c.take(m, of.calls), c.reversed[id])
	if err != nil {
		return fmt.Errorf("%w: %w", errHalt, err)
	}
	const growth = 1 << 10 // what a day adds, mostly
	saved, err := account.AppendJSON(make([]byte, 0, len(of.state)+growth))
	if err != nil {
		return fmt.Errorf("%w: account %s: %w", errHalt, id, err)
	}
	at := c.moment.At
	fresh, due := account.Restate(of.said, at, at, cat.Settings.SuspendAfter, c.trigger())
	m.said = basedOn(at, append(corrections, fresh...))
	m.state = State{AccountID: id, JSON: saved, Cohort: account.Cohort, Packages: account.Packages,
		InArrears: account.Status == billing.InArrears, Pending: account.HasPending(),
		DueAt: account.DueAt(cat, c.moment), StatusDue: due}
	m.days = make([]billing.Day, len(m.result.Taken))
	for i := range m.result.Taken {
		m.days[i] = billing.DayOf(m.result.Taken[i].Call.OccurredAt, cat.Settings.Zone)
		if m.days[i] < c.moment.Day {
			m.late++
		}
	}
	if b := m.result.Bill; b != nil {
		m.bill.JSON, m.bill.Explain = canonical.Explained(b, cat.Settings.Zone)
	}
	for _, e := range m.result.Refused {
		m.requalified = append(m.requalified,
			Requalified{Arrival: e.Event.Arrival, Event: &e.Event, Refusal: &e.Refusal})
	}
	return nil
}

func (c *Chunk) add(id string, m *made) {
	r := &m.result
	c.Taken = slices.Grow(c.Taken, len(r.Taken))
	for i := range r.Taken {
		c.Taken = append(c.Taken, TakenCall{Main: id, Day: m.days[i], Taken: r.Taken[i]})
	}
	if r.Bill != nil {
		c.Bills, c.BillTexts = append(c.Bills, r.Bill), append(c.BillTexts, m.bill)
	}
	c.Ledger = append(c.Ledger, r.Ledger...)
	c.Status = append(c.Status, r.Status...)
	c.Voided = append(c.Voided, m.voided...)
	c.Said = append(c.Said, m.said...)
	c.States = append(c.States, m.state)
	c.Requalified = append(c.Requalified, m.requalified...)
}

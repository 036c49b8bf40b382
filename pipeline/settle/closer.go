package settle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/stored"
)

// chunkAccountsMax and chunkCallsMax bound how much of a closing is in memory at once.
const (
	chunkAccountsMax = 5_000
	chunkCallsMax    = 200_000
)

// closer runs one closing. Its run may be called again after an error of the world.
type closer struct {
	loop       *Loop
	moment     closing.Moment
	settlement *stored.Settlement
	decisions  []accounts.Decision
	accepted   map[string][]*accounts.Decision // those that take effect, by main account
	losers     map[billing.Arrival]bool
	reversed   map[string][]closing.Reversed // by main account (B27)
	refused    map[billing.Arrival]bool      // events that were accepted, and are refused now
	totals     Totals
	conflicts  int64
	made       observe.Closing // what is shown of it once it is done
}

// Totals counts what a closing did.
type Totals struct {
	Accounts, Bills, Calls, Free, Covered, Postpaid, Uncovered, UnknownCodes int64
	Late                                                                     int64
}

// fold takes in the account events below a closing's barriers, in arrival order, by that closing's
// catalogue. It gives back the decisions, and the events that are beyond the barriers.
func (l *Loop) fold(
	cat *catalog.Catalog, s *stored.Settlement, events []stored.Event,
) (decisions []accounts.Decision, rest []stored.Event) {
	for _, b := range s.Barriers {
		l.folded[billing.Arrival{Topic: b.Topic, Partition: b.Partition}.Log()] = b.High
	}
	for i := range events {
		ev := &events[i]
		if ev.Arrival.Offset >= l.folded[ev.Arrival.Log()] {
			rest = append(rest, *ev)
			continue
		}
		decisions = append(decisions, l.registry.Admit(cat, ev.AccountEvent)...)
	}
	return decisions, rest
}

// run is effects 4 to 7 of the package comment. Books that do not balance are what it waits for.
func (c *closer) run(ctx context.Context) (waitsFor string, err error) {
	w := c.window()
	if err := c.closeAccounts(ctx, w); err != nil { // 4
		return "", err
	}
	books, err := c.loop.Store.FinishClosing(ctx, w) // 5
	if err != nil {
		return "", err
	}
	c.loop.Metrics.Balanced()
	for i := range books.Partitions {
		if p := &books.Partitions[i]; p.Fault() != "" {
			c.loop.Metrics.Unbalanced(p.Topic, p.Partition)
		}
	}
	if fault := books.Fault(); fault != "" {
		return fault, nil
	}
	if err := c.loop.leads(); err != nil {
		return "", err
	}
	if err := c.publish(ctx); err != nil { // 6
		return "", err
	}
	books.Totals = c.totals
	c.settlement.Gaps = slices.DeleteFunc(slices.Clone(w.Gaps), func(g stored.Gap) bool {
		return !slices.ContainsFunc(c.settlement.Barriers, func(b stored.Barrier) bool {
			return stored.LostIn(b, []stored.Gap{g}) > 0
		})
	})
	c.count(books)
	return "", c.loop.Store.WriteSettlement(ctx, c.settlement, books) // 7
}

func (c *closer) window() Window {
	return Window{Settlement: c.settlement, Moment: c.moment,
		DayEnd: (c.moment.Day + 1).Start(c.loop.cat.Settings.Zone), NewAccounts: c.newAccounts(),
		First: len(c.loop.history) == 0, Gaps: c.loop.gaps}
}

// closeAccounts closes every account concerned. Its rows are seen once the closing is done.
func (c *closer) closeAccounts(ctx context.Context, w Window) error {
	c.totals, c.refused = Totals{}, map[billing.Arrival]bool{}
	c.accepted = map[string][]*accounts.Decision{}
	for i := range c.decisions {
		if d := &c.decisions[i]; d.Verdict == accounts.Accepted {
			c.accepted[d.Event.AccountID] = append(c.accepted[d.Event.AccountID], d)
		}
	}
	if err := c.loop.Store.SaveRoutes(ctx, c.moment.At, c.routes()); err != nil {
		return err
	}
	if err := c.findLosers(ctx, w); err != nil {
		return err
	}
	if err := c.findReversed(ctx); err != nil {
		return err
	}
	active, err := c.activeAccounts(ctx, w)
	if err != nil {
		return err
	}
	calls, err := c.loop.Store.Candidates(ctx, w)
	if err != nil {
		return err
	}
	defer calls.Close() //nolint:errcheck // only read
	if err := c.closeAll(ctx, active, calls); err != nil {
		return err
	}
	return c.quarantineEvents(ctx)
}

// publish writes the closing's bills and status changes to their topics, from what is stored.
func (c *closer) publish(ctx context.Context) error {
	const together = 1_000
	c.made.Billed, c.made.Statuses = nil, nil
	err := c.loop.Store.BillsOf(ctx, c.moment.At, together, func(bills []stored.BillText) error {
		for i := range bills {
			c.made.Billed = append(c.made.Billed,
				observe.Amount{Currency: bills[i].Currency, Value: bills[i].Total.InexactFloat64()})
		}
		return c.loop.Publisher.PublishBills(ctx, bills)
	})
	if err != nil {
		return err
	}
	err = c.loop.Store.StatusOf(ctx, c.moment.At, together, func(s []billing.StatusChange) error {
		for i := range s {
			if !s[i].Provisional {
				c.made.Statuses = append(c.made.Statuses, string(s[i].Status))
			}
		}
		return c.loop.Publisher.PublishStatus(ctx, s)
	})
	if err != nil {
		return err
	}
	return c.loop.Store.MarkSaid(ctx, c.moment.At)
}

// newAccounts are the ids, of main accounts and sub-accounts, that this closing learnt of. Calls of
// theirs may have waited for long (B2, "unknown accounts").
func (c *closer) newAccounts() []string {
	var ids []string
	for _, r := range c.routes() {
		ids = append(ids, r.AccountID)
	}
	return ids
}

func (c *closer) routes() []Route {
	var routes []Route
	for i := range c.decisions {
		d := &c.decisions[i]
		if d.Verdict != accounts.Accepted {
			continue
		}
		switch d.Event.Type {
		case billing.AccountOpened:
			routes = append(routes, Route{AccountID: d.Event.AccountID, Main: d.Event.AccountID})
		case billing.SubAccountAdded:
			routes = append(routes,
				Route{AccountID: d.Event.SubAccountID, Main: d.Event.AccountID})
		}
	}
	return routes
}

// activeAccounts are those that a closing concerns: with new events, with calls, or with something
// that is due without either.
func (c *closer) activeAccounts(ctx context.Context, w Window) ([]string, error) {
	withCalls, err := c.loop.Store.AccountsWithCandidates(ctx, w)
	if err != nil {
		return nil, err
	}
	due, err := c.loop.Store.AccountsDue(ctx, c.moment.At)
	if err != nil {
		return nil, err
	}
	ids := append(withCalls, due...)
	for id := range c.accepted { // sorted below
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// closeAll walks accounts and calls side by side, both in the order of the main account.
func (c *closer) closeAll(ctx context.Context, active []string, calls Calls) error {
	next, err := calls.Next()
	for len(active) > 0 {
		n := min(len(active), chunkAccountsMax)
		chunk := Chunk{Moment: c.moment, Zone: c.loop.cat.Settings.Zone}
		states, loadErr := c.loop.Store.States(ctx, active[:n], c.moment.At)
		if loadErr != nil {
			return loadErr
		}
		said, loadErr := c.loop.Store.Said(ctx, active[:n], c.loop.closedAt(), c.loop.closedAt())
		if loadErr != nil {
			return loadErr
		}
		done := 0
		for ; done < n && len(chunk.Taken) < chunkCallsMax; done++ {
			id := active[done]
			var mine []stored.Call
			for err == nil && next.Main == id {
				mine = append(mine, next)
				next, err = calls.Next()
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if err := c.closeOne(&chunk, known{id, states[id], said[id]}, mine); err != nil {
				return err
			}
		}
		if err := c.loop.Store.WriteChunk(ctx, &chunk); err != nil {
			return err
		}
		c.loop.Progress.Moved()
		active = active[done:]
	}
	if err == nil {
		return fmt.Errorf("%w: calls of account %s were left over", errHalt, next.Main)
	}
	return nil
}

// known is what is stored of an account.
type known struct {
	id    string
	state []byte
	said  []billing.StatusChange
}

// closeOne closes one account and adds what came of it to the chunk.
func (c *closer) closeOne(chunk *Chunk, of known, calls []stored.Call) error {
	cat, id := c.loop.cat, of.id
	account, err := c.loop.account(cat, id, of.state, c.accepted[id])
	if err != nil {
		return fmt.Errorf("%w: %w", errHalt, err)
	}
	corrections := c.corrections(account, of.said)
	r, err := closing.Close(cat, account, c.moment, c.take(chunk, calls), c.reversed[id])
	if err != nil {
		return fmt.Errorf("%w: %w", errHalt, err)
	}
	saved, err := json.Marshal(account)
	if err != nil {
		return fmt.Errorf("%w: account %s: %w", errHalt, id, err)
	}
	at := c.moment.At
	fresh, due := account.Restate(of.said, at, at, cat.Settings.SuspendAfter, c.trigger())
	chunk.Said = append(chunk.Said, basedOn(at, append(corrections, fresh...))...)
	chunk.States = append(chunk.States, State{AccountID: id, JSON: saved,
		Cohort: account.Cohort, Packages: account.Packages,
		InArrears: account.Status == billing.InArrears, Pending: account.HasPending(),
		DueAt: account.DueAt(cat, c.moment), StatusDue: due})
	for i := range r.Taken {
		if billing.DayOf(r.Taken[i].Call.OccurredAt, chunk.Zone) < c.moment.Day {
			c.totals.Late++
		}
	}
	chunk.add(id, &r)
	for _, e := range r.Refused {
		c.refused[e.Event.Arrival] = true
		chunk.Requalified = append(chunk.Requalified,
			Requalified{Arrival: e.Event.Arrival, Event: &e.Event, Refusal: &e.Refusal})
	}
	c.totals.add(&r)
	return nil
}

// corrections replace what was said since the last closing and does not come true. What does is
// published as final.
func (c *closer) corrections(
	account *closing.Account, said []billing.StatusChange,
) []billing.StatusChange {
	if len(said) == 0 {
		return nil
	}
	records, _ := account.Restate(said, c.loop.closedAt(), c.moment.At-1,
		c.loop.cat.Settings.SuspendAfter, c.trigger())
	return slices.DeleteFunc(records,
		func(r billing.StatusChange) bool { return r.Corrects == "" })
}

// trigger names the closing as what brought news of a status.
func (c *closer) trigger() string { return c.moment.Day.String() + "/closing" }

// quarantineEvents records which events were refused, which wait, and which waited and act now. Of
// an event that waited and was decided in one closing the last decision counts; what closing an
// account refused is recorded with it.
func (c *closer) quarantineEvents(ctx context.Context) error {
	last := map[billing.Arrival]int{}
	for i := range c.decisions {
		last[c.decisions[i].Event.Arrival] = i
	}
	var list []Requalified
	for i := range c.decisions {
		d := &c.decisions[i]
		q := Requalified{Arrival: d.Event.Arrival, Event: &d.Event, Refusal: d.Refusal}
		switch {
		case last[q.Arrival] != i || c.refused[q.Arrival]:
			continue
		case d.Verdict == accounts.Refused:
		case d.Verdict == accounts.Waiting:
			q.Refusal = billing.NotOpen(d.Event.AccountID)
		case d.Released:
			q.Resolved = string(d.Verdict)
		default:
			continue
		}
		list = append(list, q)
	}
	return c.loop.Store.Requalify(ctx, c.moment.At, list)
}

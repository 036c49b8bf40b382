package settle

import (
	"context"
	"errors"
	"maps"
	"slices"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
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
	saidOf     map[string]bool               // of whom something was said since the last closing
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
	cat *catalog.Catalog, s *stored.Settlement, events []*billing.AccountEvent,
) (decisions []accounts.Decision, rest []*billing.AccountEvent) {
	maps.Copy(l.folded, ends(*s))
	for _, ev := range events {
		if ev.Arrival.Offset >= l.folded[ev.Arrival.Log()] {
			rest = append(rest, ev)
			continue
		}
		decisions = append(decisions, l.registry.Admit(cat, ev)...)
	}
	return decisions, rest
}

// ends are the positions of closings' barriers, of each log the last.
func ends(of ...stored.Settlement) roster.Position {
	at := roster.Position{}
	for i := range of {
		for _, b := range of[i].Barriers {
			log := billing.Arrival{Topic: b.Topic, Partition: b.Partition}.Log()
			at[log] = max(at[log], b.High)
		}
	}
	return at
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
	zone := c.loop.cat.Settings.Zone
	return Window{Settlement: c.settlement, Moment: c.moment,
		Since: closing.WindowStart(c.moment.Day, zone), DayEnd: (c.moment.Day + 1).Start(zone),
		NewAccounts: c.newAccounts(), First: len(c.loop.history) == 0, Gaps: c.loop.gaps}
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
	active, err := c.activeAccounts(ctx)
	if err != nil {
		return err
	}
	said, err := c.loop.Store.SaidOf(ctx, c.loop.closedAt(), c.loop.closedAt())
	if err != nil {
		return err
	}
	c.saidOf = map[string]bool{}
	for _, id := range said {
		c.saidOf[id] = true
	}
	calls, err := c.loop.Store.Candidates(ctx, w)
	if err != nil {
		return err
	}
	defer calls.Close() //nolint:errcheck // only read
	if err := c.closeAll(ctx, &walk{active: active, calls: calls}); err != nil {
		return err
	}
	return c.quarantineEvents(ctx)
}

// publish writes the closing's bills and status changes to their topics, from what is stored.
func (c *closer) publish(ctx context.Context) error {
	// The producer waits some milliseconds for more before it sends what is no full batch.
	const together = 5_000
	c.made.Billed, c.made.Statuses = nil, nil
	sent := make(chan error, 1) // what is read goes out while the next is read
	sent <- nil
	err := c.loop.Store.BillsOf(ctx, c.moment.At, together, func(bills []stored.BillText) error {
		for i := range bills {
			c.made.Billed = append(c.made.Billed,
				observe.Amount{Currency: bills[i].Currency, Value: bills[i].Total.InexactFloat64()})
		}
		if err := <-sent; err != nil {
			sent <- nil
			return err
		}
		go func() { sent <- c.loop.Publisher.PublishBills(ctx, bills) }()
		return nil
	})
	if err := errors.Join(err, <-sent); err != nil {
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

// activeAccounts are those that a closing concerns even without calls: with new events, or with
// something that is due.
func (c *closer) activeAccounts(ctx context.Context) ([]string, error) {
	ids, err := c.loop.Store.AccountsDue(ctx, c.moment.At)
	if err != nil {
		return nil, err
	}
	for id := range c.accepted { // sorted below
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
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
		q := Requalified{Arrival: d.Event.Arrival, Event: d.Event, Refusal: d.Refusal}
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

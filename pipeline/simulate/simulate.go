// Package simulate says what closed bills would have been under another catalogue: shadow pricing.
// The closings of a range of days are made again by remake, with the other catalogue judging and
// pricing, from the accounts as the closing before left them; what they make is compared with the
// stored bills. It reads only, and owns no rule of billing.
package simulate

import (
	"context"
	"encoding/json"
	"fmt"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/remake"
	"tollstream/pipeline/stored"
)

// Source is what simulating asks of a store.
type Source interface {
	remake.Source
	// StoredBills gives the bills of main accounts, of closings that are done and whose times lie in
	// [from, to].
	StoredBills(ctx context.Context, accounts []string, from, to billing.Instant) (
		[]*stored.Bill, error)
	// States gives the snapshots of accounts as the last closing before an instant left them.
	States(ctx context.Context, accounts []string, before billing.Instant) (map[string][]byte, error)
}

// Simulation compares the closings of a range of days. It is not safe for concurrent use.
type Simulation struct {
	source   Source
	closings *remake.Closings
	other    *catalog.Catalog
	replaced []*catalog.Catalog // that made the closings of the range, in their order
	from, to billing.Day
	first    billing.Instant // times of the first closing of the range and of the last
	last     billing.Instant
}

// New prepares a simulation of the closings of the days [from, to) with another catalogue. It
// refuses days that are not closed, and a catalogue whose periods, money
// or calls could not be compared with theirs.
func New(
	ctx context.Context, source Source, other *catalog.Catalog, from, to billing.Day,
) (*Simulation, error) {
	closings, err := remake.Open(ctx, source, other)
	if err != nil {
		return nil, err
	}
	s := &Simulation{source: source, closings: closings, other: other, from: from, to: to}
	if err := s.findRange(); err != nil {
		return nil, err
	}
	return s, s.findReplaced(ctx)
}

// findRange looks up the closings of the range; a closing is done only after all before it.
func (s *Simulation) findRange() error {
	done := s.closings.Done()
	if len(done) == 0 {
		return fmt.Errorf("no day is closed yet; wait for the first closing")
	}
	first, last := done[0].Day, done[len(done)-1].Day
	switch {
	case s.from < first:
		return fmt.Errorf("the range begins on %s, and the first day that was closed is %s; "+
			"begin it there or later", s.from, first)
	case s.to-1 > last:
		return fmt.Errorf("the range ends before %s, and the last day that is closed is %s; let it "+
			"end before %s at the latest, or wait for the closings", s.to, last, last+1)
	}
	for i := range done {
		if done[i].Day == s.from {
			s.first = done[i].ClosedAt
		}
		if done[i].Day == s.to-1 {
			s.last = done[i].ClosedAt
		}
	}
	return nil
}

// findReplaced reads the catalogues of the range's closings and holds the other one against them.
func (s *Simulation) findReplaced(ctx context.Context) error {
	for _, done := range s.closings.Done() {
		n := len(s.replaced)
		if done.Day < s.from || done.Day >= s.to ||
			(n > 0 && s.replaced[n-1].Digest == done.CatalogDigest) {
			continue
		}
		own, err := s.closings.Catalog(ctx, done.CatalogDigest)
		if err != nil {
			return err
		}
		if err := fits(s.other, own, s.last); err != nil {
			return fmt.Errorf("closing of %s: %w", done.Day, err)
		}
		s.replaced = append(s.replaced, own)
	}
	return nil
}

// Replaced gives the catalogues that made the closings of the range, in their order.
func (s *Simulation) Replaced() []*catalog.Catalog { return s.replaced }

// Partial tells whether closings before the range took calls of the bill's period. They keep tag,
// charge and package; only their price is the other catalogue's.
func (s *Simulation) Partial(b *Bill) bool {
	return b.Period.First < s.from && s.closings.Done()[0].Day < s.from
}

// Accounts simulates some main accounts and gives one comparison for each that is open, in the
// order given. All records of these accounts are in memory meanwhile.
func (s *Simulation) Accounts(ctx context.Context, ids []string) ([]Account, error) {
	kept, err := s.source.StoredBills(ctx, ids, s.first, s.last)
	if err != nil {
		return nil, err
	}
	states, err := s.source.States(ctx, ids, closing.MomentOf(s.other, s.to).At)
	if err != nil {
		return nil, err
	}
	made, err := s.closings.Make(ctx, ids, remake.Plan{Until: s.last, Other: s.other, From: s.from})
	if err != nil {
		return nil, err
	}
	bills := pairs{}
	for _, b := range kept {
		bills.of(b.Row).stored = b.Row
	}
	for _, b := range made.Bills { // compare sorts them
		if b.ClosedAt >= s.first {
			bills.of(b.Bill).made = b.Bill
		}
	}
	var out []Account
	for _, id := range ids {
		account := made.Accounts[id]
		if account == nil {
			continue
		}
		a := bills.compare(id)
		if a.OldStatus, err = s.oldStatus(id, states[id]); err != nil {
			return nil, err
		}
		a.NewStatus = s.statusOf(account, s.other)
		out = append(out, a)
	}
	return out, nil
}

// oldStatus is the status that an account had after the range's last closing, as far as that
// closing could know.
func (s *Simulation) oldStatus(id string, state []byte) (billing.Status, error) {
	account := &closing.Account{}
	if err := json.Unmarshal(state, account); err != nil {
		return "", fmt.Errorf("stored state of account %s at %s: %w", id, s.last, err)
	}
	return s.statusOf(account, s.replaced[len(s.replaced)-1]), nil
}

// statusOf is the status after the range's last closing, its own bill included.
func (s *Simulation) statusOf(a *closing.Account, cat *catalog.Catalog) billing.Status {
	status, _ := a.Standing(s.last, cat.Settings.SuspendAfter)
	return status
}

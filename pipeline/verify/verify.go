// Package verify compares the bills that are stored with those that the stored records make. How
// they are made again is the business of remake; verify says which field differs first.
package verify

import (
	"context"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/remake"
	"tollstream/pipeline/stored"
)

// Source is what verifying asks of a store.
type Source interface {
	remake.Source
	// StoredBills gives the bills of main accounts, of closings that are done and whose times lie in
	// [from, to]; 0 is open.
	StoredBills(ctx context.Context, accounts []string, from, to billing.Instant) (
		[]*stored.Bill, error)
}

// Verifier verifies bills of one store. It is not safe for concurrent use.
type Verifier struct {
	source   Source
	closings *remake.Closings
}

// New reads which closings are done; remake.Open has the meaning of loaded.
func New(ctx context.Context, source Source, loaded *catalog.Catalog) (*Verifier, error) {
	closings, err := remake.Open(ctx, source, loaded)
	if err != nil {
		return nil, err
	}
	return &Verifier{source: source, closings: closings}, nil
}

// Selection chooses among the bills of the accounts that are verified; zero fields choose all.
type Selection struct {
	ID       string
	From, To billing.Day     // periods that lie in [From, To); 0 is open
	Until    billing.Instant // closings after it are not made again
}

// holds compares days, as the list of bills does, so that both choose the same bills.
func (s *Selection) holds(b *billing.Bill) bool {
	return (s.ID == "" || s.ID == b.BillID) &&
		(s.From == 0 || b.Period.First >= s.From) && (s.To == 0 || b.Period.End <= s.To) &&
		(s.Until == 0 || b.ClosedAt <= s.Until)
}

// Accounts verifies the bills of some main accounts, in the order (account, closing, bill). All
// records of these accounts are in memory meanwhile.
func (v *Verifier) Accounts(
	ctx context.Context, accounts []string, selection Selection,
) ([]Result, error) {
	kept, err := v.source.StoredBills(ctx, accounts, 0, selection.Until)
	if err != nil {
		return nil, err
	}
	made, err := v.closings.Make(ctx, accounts, remake.Plan{Until: selection.Until})
	if err != nil {
		return nil, err
	}
	return compareAll(made.Bills, kept, &selection), nil
}

package rebuild

import (
	"context"
	"fmt"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/stored"
)

// publisher is what the settle loop publishes to: nothing is published, all is compared. A closing
// counts as decided once its records are stored.
type publisher struct {
	run     *run
	read    <-chan stretch
	pending *stretch // handed over, and not taken in yet
	known   map[billing.Day]*stored.Settlement
	current *stored.Settlement // the closing under way
	stop    func()             // leaves it undone
}

// Settlements waits until the next closing's records are stored. The loop asks once for each
// closing, when the one before it is done: only then is every record in quarantine that was sent
// again by a record of the next.
func (p *publisher) Settlements(
	ctx context.Context,
) (map[billing.Day]*stored.Settlement, error) {
	if p.pending == nil {
		select {
		case s, open := <-p.read:
			if !open {
				return p.known, nil
			}
			p.pending = &s
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := p.run.Store.ResolveRequeued(ctx, p.pending.requeued); err != nil {
		return nil, err
	}
	p.current, p.pending = p.pending.settlement, nil
	p.known[p.current.Day] = p.current
	return p.known, nil
}

// Decide is never called: every closing up to the last one is recorded.
func (p *publisher) Decide(
	_ context.Context, s *stored.Settlement,
) (*stored.Settlement, error) {
	return nil, fmt.Errorf("a rebuild decides no closing, and that of %s is not recorded", s.Day)
}

// KeepCatalog is never called, for the same reason.
func (p *publisher) KeepCatalog(context.Context, *catalog.Catalog) error { return nil }

// CatalogFile gives what the settlements topic keeps.
func (p *publisher) CatalogFile(ctx context.Context, digest string) ([]byte, error) {
	return p.run.Settled.CatalogFile(ctx, digest)
}

// Gaps gives what the settlements topic keeps.
func (p *publisher) Gaps(context.Context) ([]stored.Gap, error) { return p.run.gaps, nil }

// Epochs gives what the settlements topic keeps.
func (p *publisher) Epochs(context.Context) (stored.Epochs, error) { return p.run.epochs, nil }

// PublishBills compares.
func (p *publisher) PublishBills(ctx context.Context, bills []stored.BillText) error {
	return p.run.compareBills(ctx, bills, p.absent)
}

// PublishStatus compares.
func (p *publisher) PublishStatus(ctx context.Context, list []billing.StatusChange) error {
	return p.run.compareStatus(ctx, list, p.absent)
}

// absent tells the closing that is recorded last from those before it: what its topic does not have
// may be yet to come.
func (p *publisher) absent(s *said, m made) error {
	if p.current != p.run.last {
		return p.run.absent(s, m)
	}
	p.stop()
	return errUnpublished
}

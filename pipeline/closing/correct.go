package closing

import (
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// corrects tells whether a correction concerns units of a tag and month that were billed before.
func (a *Account) corrects(m *MonthUsage) bool {
	for i := range a.Pending.Corrected {
		for j := range m.Units {
			if a.Pending.Corrected[i].concerns(m.Tag, m.Units[j].Day) {
				return true
			}
		}
	}
	return false
}

// correct gives the first before units of a month, those of earlier bills, the price lists of the
// catalogue that makes this bill where a correction concerns them (B26), and tells what it changed.
// What that moves is an adjustment like any other (B19). Units that the catalogue has no price for
// any more keep theirs.
func (a *Account) correct(cat *catalog.Catalog, m *MonthUsage, before int) []billing.Step {
	var changed []billing.Step
	for _, c := range a.Pending.Corrected {
		for i := range m.Units[:before] {
			u := &m.Units[i]
			if !c.concerns(m.Tag, u.Day) {
				continue
			}
			prices, ok := a.pricesFor(cat, m.Tag, u.Day)
			if !ok || prices.Same(&u.Prices) {
				continue
			}
			changed = append(changed, step("B26",
				"catalog.corrected %s: %d %s of %s take price list %s of catalogue %s",
				c.EventID, u.Quantity, calls(u.Quantity), u.Day, prices.ID, cat.Version))
			u.Prices = prices
		}
	}
	return changed
}

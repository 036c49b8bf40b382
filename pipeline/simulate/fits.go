package simulate

import (
	"fmt"
	"slices"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// fits refuses a catalogue that could not have made the same periods, for the same accounts,
// in the same money, from the calls as they are stored. Last is the time of the last closing.
func fits(other, own *catalog.Catalog, last billing.Instant) error {
	is, was := &other.Settings, &own.Settings
	for _, same := range []struct{ what, other, own string }{
		{"product", other.Product, own.Product},
		{"currency", other.Currency, own.Currency},
		{"settings.zone", is.Zone.String(), was.Zone.String()},
		{"settings.close_clock", clockText(is.CloseClock), clockText(was.CloseClock)},
	} {
		if same.other != same.own {
			return fmt.Errorf("it was made with %s %s, and catalogue %s (%.12s) has %s: the periods or "+
				"the money would be others; set it to %s", same.what, same.own, other.Version,
				other.Digest, same.other, same.own)
		}
	}
	for i := range other.Dimensions {
		if name := other.Dimensions[i].Name; own.DimensionIndex(name) < 0 {
			return fmt.Errorf("its catalogue has no dimension %s, so the stored calls do not say it; "+
				"take it out of catalogue %s (%.12s), or begin the range later", name, other.Version,
				other.Digest)
		}
	}
	return sameCohorts(other, own, last)
}

// sameCohorts refuses a catalogue that puts an account opened by an instant in another cohort. Both
// are steps over the time of opening, so they are the same if they are so where either steps.
func sameCohorts(other, own *catalog.Catalog, by billing.Instant) error {
	for _, at := range slices.Concat(steps(other), steps(own)) {
		is, was := other.CohortOf(at), own.CohortOf(at)
		if at <= by && (is.Name != was.Name || is.Cycle != was.Cycle) {
			return fmt.Errorf("its catalogue has cohort %s (%s) where catalogue %s (%.12s) has %s (%s); "+
				"a cohort never changes (B3): put the cohorts back", was.Name, was.Cycle, other.Version,
				other.Digest, is.Name, is.Cycle)
		}
	}
	return nil
}

func steps(cat *catalog.Catalog) []billing.Instant {
	at := make([]billing.Instant, len(cat.Cohorts))
	for i := range cat.Cohorts {
		at[i] = cat.Cohorts[i].OpenedFrom
	}
	return at
}

// clockText is a time of day as the catalogue writes it.
func clockText(c time.Duration) string { return time.Time{}.Add(c).Format("15:04") }

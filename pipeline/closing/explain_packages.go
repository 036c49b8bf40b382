package closing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// Tried counts calls of a day for which the same packages were tried before something else paid.
// It is noted when the calls are taken, since packages change afterwards, and only explains.
type Tried struct {
	Outcome   Outcome
	Postpaid  catalog.TagID
	Prepaid   catalog.TagID
	Legacy    catalog.TagID `json:",omitempty"`
	Day       billing.Day
	PackageID string   `json:",omitempty"` // that paid
	Passed    []Passed `json:",omitempty"` // in the order of B10
	Quantity  int64
}

// Passed is a package that reaches a call and did not pay it.
type Passed struct {
	PackageID string
	Why       WhyNot
}

// WhyNot says why a package did not pay.
type WhyNot string

// The reasons why a package did not pay.
const (
	ended    WhyNot = "ended"
	refunded WhyNot = "refunded"
	usedUp   WhyNot = "used"
	paused   WhyNot = "paused"
)

// whyNot says why a package does not pay a call of the day. It is "" for one that does, and for
// one that nobody would expect to: bought later, or over with nothing left in it.
func (p *Package) whyNot(day billing.Day, suspended bool) WhyNot {
	switch {
	case day < p.First, day >= p.End && (p.Refunded || p.Used == p.Quota):
		return ""
	case day >= p.End:
		return ended
	case p.Refunded:
		return refunded
	case p.Used == p.Quota:
		return usedUp
	case suspended:
		return paused
	}
	return ""
}

// noteTried notes which packages came before what paid a call.
func (w *walker) noteTried(t *Taken, day billing.Day, suspended bool) {
	a, c := w.account, t.Call
	w.passed = w.passed[:0]
	for i := range a.Packages {
		p := &a.Packages[i]
		if p.ID == t.PackageID {
			break
		}
		if why := p.whyNot(day, suspended); why != "" && w.cat.Reaches(p.Tag, c.Prepaid, c.Legacy) {
			w.passed = append(w.passed, Passed{p.ID, why})
		}
	}
	if t.Outcome != Covered && len(w.passed) == 0 {
		return
	}
	list := &a.Pending.Tried
	for i := len(*list) - 1; i >= w.triedFrom; i-- {
		x := &(*list)[i]
		if x.Day == day && x.Outcome == t.Outcome && x.PackageID == t.PackageID &&
			x.Postpaid == c.Postpaid && x.Prepaid == c.Prepaid && x.Legacy == c.Legacy &&
			slices.Equal(x.Passed, w.passed) {
			x.Quantity++
			return
		}
	}
	*list = append(*list, Tried{Outcome: t.Outcome, Postpaid: c.Postpaid, Prepaid: c.Prepaid,
		Legacy: c.Legacy, Day: day, PackageID: t.PackageID, Passed: slices.Clone(w.passed),
		Quantity: 1})
}

// stretch is days on which the same can be said of a line's calls.
type stretch struct {
	first, last billing.Day
	quantity    int64
	text        string
}

// stretches puts what was tried for some calls into words, days of which the same is said together.
func (a *Account) stretches(of func(*Tried) bool) []stretch {
	var tried []Tried
	for i := range a.Pending.Tried {
		if t := &a.Pending.Tried[i]; of(t) {
			tried = append(tried, *t)
		}
	}
	slices.SortStableFunc(tried, func(x, y Tried) int { return cmp.Compare(x.Day, y.Day) })
	var out []stretch
	for i := range tried {
		t := &tried[i]
		text := a.passedText(t.Passed)
		if n := len(out); n > 0 && out[n-1].text == text {
			out[n-1].last, out[n-1].quantity = t.Day, out[n-1].quantity+t.Quantity
			continue
		}
		out = append(out, stretch{first: t.Day, last: t.Day, quantity: t.Quantity, text: text})
	}
	return out
}

func (a *Account) passedText(passed []Passed) string {
	parts := make([]string, len(passed))
	for i, x := range passed {
		p := a.packageByID(x.PackageID)
		why := string(x.Why)
		switch x.Why {
		case ended:
			why = "ended with " + (p.End - 1).String()
		case usedUp:
			why = fmt.Sprintf("all %d used", p.Quota)
		case paused:
			why = "paused, the account being suspended, B12"
		}
		parts[i] = x.PackageID + " (" + why + ")"
	}
	return strings.Join(parts, ", ")
}

// packageByID finds a package that was delivered.
func (a *Account) packageByID(id string) *Package {
	i := slices.IndexFunc(a.Packages, func(p Package) bool { return p.ID == id })
	return &a.Packages[i]
}

// explainCovered tells what the package is that paid, and which were tried before it.
func (a *Account) explainCovered(cat *catalog.Catalog, l *billing.BillLine) {
	p := a.packageByID(l.PackageID)
	l.Explain = append(l.Explain, packageStep(cat, p))
	if p.OffList {
		l.Flags = append(l.Flags, billing.FlagOffList)
		l.Explain = append(l.Explain, offListStep(cat, p))
	}
	if string(p.Tag) != l.Tag {
		by := "calls of " + l.TagName
		if !cat.Reaches(p.Tag, catalog.TagID(l.Tag), "") {
			by += ", by their legacy tag"
		}
		l.Explain = append(l.Explain, step("B9", "a package of %s also reaches %s",
			cat.TagName(p.Tag), by))
	}
	ordered := false
	for _, s := range a.stretches(func(t *Tried) bool {
		return t.Outcome == Covered && string(t.Prepaid) == l.Tag && t.PackageID == p.ID &&
			billing.PeriodOf(a.Cycle, t.Day).String() == l.Period
	}) {
		before := "no other package came before it"
		if s.text != "" {
			before, ordered = "tried before it: "+s.text, true
		}
		l.Explain = append(l.Explain, step("B10", "%s: %d x 0 = 0; %s", daysText(s.first, s.last),
			s.quantity, before))
	}
	if ordered {
		order := strings.Join(cat.Settings.PackageOrder, ", then ")
		l.Explain = append(l.Explain, step("B10", "packages are tried in this order: %s",
			strings.ReplaceAll(order, "_", " ")))
	}
	l.Explain = append(l.Explain, a.lateSteps(cat, l, func(q *Package) bool {
		return packageOrder(cat.Settings.PackageOrder)(*q, *p) < 0
	})...)
}

func packageStep(cat *catalog.Catalog, p *Package) billing.Step {
	kind := "paid"
	if p.Free {
		kind = "free"
	}
	return step("B8", "%s package %s: %d calls of %s at %s %s, for %s; %d used after this bill",
		kind, p.ID, p.Quota, cat.TagName(p.Tag), p.Price, cat.Currency, daysText(p.First, p.End-1),
		p.Used)
}

// offListStep tells what the published list says instead.
func offListStep(cat *catalog.Catalog, p *Package) billing.Step {
	offer := cat.Packages[p.Tag]
	if offer == nil {
		return step("B8", "%s: no package of this tag is published", billing.FlagOffList)
	}
	says := fmt.Sprintf("has no package of %d calls", p.Quota)
	if price, listed := cat.ListedPackagePrice(p.Tag, p.Quota, p.First); listed {
		says = fmt.Sprintf("has %d calls for %s %s", p.Quota, price, cat.Currency)
	}
	return step("B8", "%s: the list of %s %s, by %s", billing.FlagOffList, p.First, says,
		documents(cat, offer.Source))
}

// unpaidSteps tell why no package paid a line's calls.
func (a *Account) unpaidSteps(cat *catalog.Catalog, l *billing.BillLine) []billing.Step {
	outcome := Postpaid
	if l.Kind == billing.UncoveredLine {
		outcome = Uncovered
	}
	var steps []billing.Step
	for _, s := range a.stretches(func(t *Tried) bool {
		return t.Outcome == outcome && string(t.Postpaid) == l.Tag &&
			billing.PeriodOf(a.Cycle, t.Day).String() == l.Period
	}) {
		steps = append(steps, step("B10", "%s: %d %s that no package paid: %s",
			daysText(s.first, s.last), s.quantity, calls(s.quantity), s.text))
	}
	return append(steps, a.lateSteps(cat, l, func(*Package) bool { return true })...)
}

// lateSteps name the packages that cover days of a line's period and arrived when calls of these
// days had been taken already (B11).
func (a *Account) lateSteps(
	cat *catalog.Catalog, l *billing.BillLine, of func(*Package) bool,
) []billing.Step {
	var steps []billing.Step
	for i := range a.Packages {
		p := &a.Packages[i]
		if !of(p) || !cat.Reaches(p.Tag, catalog.TagID(l.Tag), "") {
			continue
		}
		late := func(day billing.Day) bool { return p.First <= day && day < min(p.End, p.Since) }
		if slices.ContainsFunc(a.pendingDays(l), late) {
			steps = append(steps, step("B11", "%s (for %s) arrived when %s was closed: it pays nothing "+
				"that was taken by then", p.ID, daysText(p.First, p.End-1), p.Since-1))
		}
	}
	return steps
}

// pendingDays lists the days of the calls that a line is made of, in their order.
func (a *Account) pendingDays(l *billing.BillLine) []billing.Day {
	var out []billing.Day
	note := func(tag catalog.TagID, day billing.Day) {
		if string(tag) == l.Tag && billing.PeriodOf(a.Cycle, day).String() == l.Period {
			out = append(out, day)
		}
	}
	counts := a.Pending.Postpaid
	switch l.Kind {
	case billing.CoveredLine:
		for _, c := range a.Pending.Covered {
			if c.PackageID == l.PackageID {
				note(c.Tag, c.Day)
			}
		}
		return out
	case billing.UncoveredLine:
		counts = a.Pending.Uncovered
	}
	for _, c := range counts {
		note(c.Tag, c.Day)
	}
	return out
}

// explainUncovered tells when postpaid was off, how many calls were made then, and why no package
// paid them.
func (a *Account) explainUncovered(cat *catalog.Catalog, l *billing.BillLine) {
	days := a.pendingDays(l)
	first, last := days[0], days[len(days)-1]
	l.Explain = append(l.Explain, step("B13", "%s: %d x 0 = 0; postpaid was off %s",
		daysText(first, last), l.Quantity, a.offText(cat, first, last)))
	l.Explain = append(l.Explain, a.unpaidSteps(cat, l)...)
}

// offText lists when postpaid was off during some days.
func (a *Account) offText(cat *catalog.Catalog, first, last billing.Day) string {
	zone := cat.Settings.Zone
	start, end := first.Start(zone), (last + 1).Start(zone)
	var spans []string
	text, on := "", true
	for _, s := range a.Switches {
		switch {
		case s.At >= end || s.On == on:
			continue
		case !s.On:
			text = fmt.Sprintf("from %s (event %s)", s.At.In(zone), s.EventID)
		case s.At > start:
			spans = append(spans, fmt.Sprintf("%s to %s (event %s)", text, s.At.In(zone), s.EventID))
		}
		on = s.On
	}
	if !on {
		spans = append(spans, text)
	}
	return strings.Join(spans, ", ")
}

// returnedSteps explain a voided line of calls that cost nothing.
func (a *Account) returnedSteps(v *VoidedCount) []billing.Step {
	steps := voidSteps([]VoidedCount{*v}, func(*VoidedCount) bool { return true })
	if v.Outcome != Covered {
		return append(steps, step("B27", "%s, uncovered: %d x 0 = 0", v.Day, v.Quantity))
	}
	p := a.packageByID(v.PackageID)
	return append(steps, step("B27", "%s, covered: %d x 0 = 0; returned to package %s, %d of %d "+
		"used after this bill", v.Day, v.Quantity, p.ID, p.Used, p.Quota))
}

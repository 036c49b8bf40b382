package generate

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// dice are the only source of chance: PCG, seeded by the options' seed and a number that says what
// is decided, so that one decision more does not change all the others.
type dice struct{ *rand.Rand }

// What dice decide; the low bits number accounts or slots.
const (
	accountDice = 1 << 56
	eventDice   = 2 << 56
	slotDice    = 3 << 56
	brokenDice  = 4 << 56
)

func newDice(seed uint64, what uint64) dice { return dice{rand.New(rand.NewPCG(seed, what))} }

// chance is true for a share of the throws.
func (d dice) chance(share float64) bool {
	return d.Uint64N(1_000_000) < uint64(math.Round(share*1_000_000))
}

// between is an instant in [from, to).
func (d dice) between(from, to billing.Instant) billing.Instant {
	if to <= from {
		return from
	}
	return from + billing.Instant(d.Int64N(int64(to-from)))
}

func pick[T any](d dice, list []T) T { return list[d.IntN(len(list))] }

// account is a main account of the story.
type account struct {
	id         string
	cohort     *catalog.Cohort
	opened     billing.Instant
	start      billing.Instant // no calls before
	closed     billing.Instant // no calls from then on
	subs       []subAccount
	favourites []int // shapes
	weight     uint64
	// through is the sum of the weights of all accounts up to this one.
	through uint64
	thrifty bool // tops up too little, and comes into arrears
	wrong   bool // makes corrections and contradictions
}

type subAccount struct {
	id   string
	from billing.Instant // known from then on
}

const never = billing.Instant(math.MaxInt64)

// planAccounts makes the main accounts, each cohort in turn.
func (g *Generator) planAccounts() error {
	var windows []window
	for i := range g.opts.Catalog.Cohorts {
		if w := g.window(i); w.first < w.end {
			windows = append(windows, w)
		}
	}
	if len(windows) == 0 {
		return errors.New("no account can have opened before the last day")
	}
	for i := range g.opts.Accounts {
		d := newDice(g.opts.Seed, accountDice|uint64(i))
		a := &account{id: strconv.Itoa(1_300_000_001 + i), closed: never,
			weight: uint64(1+d.IntN(3)) << d.IntN(6), thrifty: d.chance(0.25),
			wrong: d.chance(g.opts.Rates.Corrections)}
		g.open(d, a, windows[i%len(windows)])
		g.chooseShapes(d, a)
		for n := range max(0, d.IntN(5)-1) {
			s := subAccount{id: strconv.Itoa(2_000_000_001 + 4*i + n), from: a.start}
			if d.chance(0.3) {
				s.from = d.between(a.start, g.end())
			}
			a.subs = append(a.subs, s)
		}
		if i >= len(windows) && d.chance(0.03) {
			a.closed = d.between(a.start+billing.Hour*24, g.end())
		}
		g.accounts = append(g.accounts, a)
	}
	slices.SortStableFunc(g.accounts, func(a, b *account) int {
		return cmp.Compare(a.start, b.start)
	})
	through := uint64(0)
	for _, a := range g.accounts {
		through += a.weight
		a.through = through
	}
	return nil
}

// window is when accounts of a cohort open in the story.
type window struct {
	cohort     *catalog.Cohort
	first, end billing.Instant
}

func (g *Generator) window(i int) window {
	cat := g.opts.Catalog
	w := window{cohort: &cat.Cohorts[i], first: cat.Settings.Earliest + 24*billing.Hour,
		end: g.end() - 12*billing.Hour}
	w.first = max(w.first, w.cohort.OpenedFrom)
	if i+1 < len(cat.Cohorts) {
		w.end = min(w.end, cat.Cohorts[i+1].OpenedFrom)
	}
	return w
}

// open decides when an account opens: most exist when the story begins.
func (g *Generator) open(d dice, a *account, w window) {
	a.cohort = w.cohort
	begin := g.begin()
	last := w.first + (w.end-w.first)*7/10 // leaves them some days to make calls
	if w.first < begin && (w.end <= begin || d.chance(0.7)) {
		last = min(w.end, begin)
	} else {
		w.first = max(w.first, begin)
		last = max(last, w.first+1)
	}
	a.opened = d.between(w.first, last) / billing.Second * billing.Second
	a.opened = max(a.opened, w.first)
	a.start = max(a.opened, begin)
}

// chooseShapes gives an account its ways to call: some of those that have a tag when it begins.
func (g *Generator) chooseShapes(d dice, a *account) {
	day := billing.DayOf(a.start, g.opts.Catalog.Settings.Zone)
	day = max(day, g.opts.Spans[0].First)
	valid := g.shapes.valid[a.cohort.Name][g.shapes.epoch(day)]
	total := 0
	for _, i := range valid {
		total += g.shapes.all[i].weight
	}
	for range 1 + d.IntN(4) {
		at := d.IntN(total)
		for _, i := range valid {
			if at -= g.shapes.all[i].weight; at < 0 {
				a.favourites = append(a.favourites, i)
				break
			}
		}
	}
}

// shapeOn is one of the account's ways to call that has a tag on that day.
func (g *Generator) shapeOn(d dice, a *account, epoch int) int {
	i := pick(d, a.favourites)
	if g.shapes.rulings[a.cohort.Name][epoch][i].ok {
		return i
	}
	return pick(d, g.shapes.valid[a.cohort.Name][epoch])
}

// callers are how many of the accounts, in their order, have begun by then.
func (g *Generator) callers(at billing.Instant) int {
	n, _ := slices.BinarySearchFunc(g.accounts, at, func(a *account, at billing.Instant) int {
		if a.start <= at {
			return -1
		}
		return 1
	})
	return n
}

// caller picks one of the first n accounts by weight; one that is closed passes the call on.
func (g *Generator) caller(d dice, n int, at billing.Instant) *account {
	for range 50 {
		throw := d.Uint64N(g.accounts[n-1].through)
		i, _ := slices.BinarySearchFunc(g.accounts[:n], throw, func(a *account, v uint64) int {
			if a.through <= v {
				return -1
			}
			return 1
		})
		if g.accounts[i].closed > at {
			return g.accounts[i]
		}
	}
	for _, a := range g.accounts[:n] {
		if a.closed > at {
			return a
		}
	}
	return g.accounts[0] // the first accounts never close
}

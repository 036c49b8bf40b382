// Package generate makes call records and account events that look like a product's traffic, from
// a seed: accounts of every cohort that a catalogue has, with top-ups, packages and contracts, busy
// hours, several channels per account, and chosen rates of duplicates, late, malformed and unknown
// records. What there is to call, buy and get wrong is read from the catalogue, so a second
// product needs no code here.
//
// Invariants: the same options give the same bytes; records come in the order of their arrival, so
// also in order within each partition; memory is bounded by the accounts and by what is delayed,
// not by the number of calls; arrival times are whole milliseconds, as Kafka keeps them. The
// package does no I/O and knows no clock.
//
// A record's partition is the one of Kafka's own rule for keys, murmur2 over the key (see
// PartitionOf). Whoever writes the records to Kafka must use it too.
package generate

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// Record is one record of an input topic.
type Record struct {
	Topic      string
	Partition  int32
	Key, Value []byte
	Arrived    billing.Instant // whole milliseconds
	Copy       bool            // of a call that arrived before, the same or with another payload
	// Expect is why decoding must refuse the record, "" where it is well-formed.
	Expect billing.Reason
}

// Span is a run of days with calls, First included, End not.
type Span struct{ First, End billing.Day }

// Options say what to make. Zero values take the defaults named here.
type Options struct {
	Seed    uint64
	Catalog *catalog.Catalog // required
	// From and To bound the days with calls, To not included. Spans, in order and apart from each
	// other, go before them; RegimeSpans makes those that see every rule of a catalogue.
	From, To billing.Day
	Spans    []Span
	Accounts int // main accounts; default 20
	Calls    int // distinct, well-formed, taggable calls; default 10,000

	CallsTopic      string // default "faceid.calls"
	EventsTopic     string // default "billing.account-events"
	CallPartitions  int32  // default 4
	EventPartitions int32  // default 1
	Rates           Rates
}

// Rates are shares of the calls (and, for Duplicates and Malformed, also of the events), 0 to 0.5.
type Rates struct {
	Duplicates   float64 // calls delivered again, at once or days later
	Conflicts    float64 // of the duplicates: those that differ in a billing field
	Late         float64 // delivered minutes to days after they were made
	Malformed    float64 // further records that cannot be decoded
	Unknown      float64 // further records of unknown accounts, and without a billing tag
	UnknownCodes float64 // calls with a result code that the catalogue has never heard of
	FreeActions  float64 // further calls of actions that are never charged by themselves
	// Corrections is the share of accounts that void calls, adjust balances, claim other's
	// sub-accounts and say other contradictory things; it is meant for accounts, not calls.
	Corrections float64
}

// DefaultRates are those of an ordinary day, with enough trouble to see it.
func DefaultRates() Rates {
	return Rates{Duplicates: 0.02, Conflicts: 0.1, Late: 0.01, Malformed: 0.002, Unknown: 0.002,
		UnknownCodes: 0.001, FreeActions: 0.01, Corrections: 0.1}
}

// Limits, so that a slip of the hand is an error and not an hour of work.
const (
	accountsMax   = 1_000_000
	callsMax      = 2_000_000_000
	daysMax       = 5000
	partitionsMax = 10_000
	rateMax       = 0.5
)

func (o Options) withDefaults() Options {
	if len(o.Spans) == 0 {
		o.Spans = []Span{{o.From, o.To}}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Accounts, 20}, {&o.Calls, 10_000}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.CallsTopic == "" {
		o.CallsTopic = "faceid.calls"
	}
	if o.EventsTopic == "" {
		o.EventsTopic = "billing.account-events"
	}
	if o.CallPartitions == 0 {
		o.CallPartitions = 4
	}
	if o.EventPartitions == 0 {
		o.EventPartitions = 1
	}
	return o
}

func (o *Options) validate() error {
	if o.Catalog == nil {
		return errors.New("a catalogue is needed")
	}
	var faults []error
	before, days := billing.Day(math.MinInt32), billing.Day(0)
	earliest := billing.DayOf(o.Catalog.Settings.Earliest, o.Catalog.Settings.Zone)
	for _, s := range o.Spans {
		if s.First >= s.End || s.First <= before || s.First <= earliest {
			faults = append(faults, fmt.Errorf("days %s to %s: they begin after %s, rise, and the "+
				"last is not included", s.First, s.End, max(earliest, before)))
		}
		before, days = s.End, days+s.End-s.First
	}
	if days > daysMax {
		faults = append(faults, fmt.Errorf("%d days; at most %d", days, daysMax))
	}
	for _, n := range []struct {
		name        string
		value, most int
	}{
		{"accounts", o.Accounts, accountsMax}, {"calls", o.Calls, callsMax},
		{"call partitions", int(o.CallPartitions), partitionsMax},
		{"event partitions", int(o.EventPartitions), partitionsMax},
	} {
		if n.value < 1 || n.value > n.most {
			faults = append(faults, fmt.Errorf("%d %s; 1 to %d are possible", n.value, n.name,
				n.most))
		}
	}
	for _, r := range o.Rates.all() {
		if !(*r.rate >= 0 && *r.rate <= rateMax) && !(r.name == "conflicts" && *r.rate == 1) {
			faults = append(faults, fmt.Errorf("rate of %s is %v; 0 to %v is possible", r.name,
				*r.rate, rateMax))
		}
	}
	return errors.Join(faults...)
}

type namedRate struct {
	name string
	rate *float64
}

func (r *Rates) all() []namedRate {
	return []namedRate{
		{"duplicates", &r.Duplicates}, {"conflicts", &r.Conflicts}, {"late", &r.Late},
		{"malformed", &r.Malformed}, {"unknown", &r.Unknown}, {"unknown codes", &r.UnknownCodes},
		{"free actions", &r.FreeActions}, {"corrections", &r.Corrections},
	}
}

// Generator makes one stream of records, any number of times.
type Generator struct {
	opts     Options
	shapes   *shapes
	accounts []*account // by the moment of their first call
	events   []pending  // by arrival
	planned  Ledger     // what the events alone contribute
	ledger   Ledger
}

// New plans accounts and their events. The calls are made while they are read.
func New(o Options) (*Generator, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	g := &Generator{opts: o, planned: newLedger()}
	var err error
	if g.shapes, err = findShapes(o.Catalog, o.Spans); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	if err := g.planAccounts(); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	g.planEvents()
	return g, nil
}

// Records gives the records in the order of their arrival. Each range over it begins anew and
// gives the same records; only one may run at a time.
func (g *Generator) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		s := newStream(g, yield)
		s.run()
	}
}

// Ledger says what the records of the last complete range over Records contained.
func (g *Generator) Ledger() *Ledger { return &g.ledger }

// FirstClosing is the first day that a closing can close: the one before the first calls.
func (g *Generator) FirstClosing() billing.Day { return g.opts.Spans[0].First - 1 }

// Until is the close time of the month in which the last record arrived: by then everything is on
// a bill. It is known after a complete range over Records.
func (g *Generator) Until() billing.Instant {
	set := &g.opts.Catalog.Settings
	month := billing.DayOf(g.ledger.Last, set.Zone).Month()
	return (month + 1).FirstDay().At(set.CloseClock, set.Zone)
}

// begin is when the story begins: the evening before the first calls, when accounts that exist
// already tell about themselves.
func (g *Generator) begin() billing.Instant {
	return g.opts.Spans[0].First.Start(g.opts.Catalog.Settings.Zone) - 4*billing.Hour
}

func (g *Generator) end() billing.Instant {
	return g.opts.Spans[len(g.opts.Spans)-1].End.Start(g.opts.Catalog.Settings.Zone)
}

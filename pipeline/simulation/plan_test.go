package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// plan is how a world is run: what of the deployment and of its troubles is drawn beside the
// records.
type plan struct {
	seed         uint64
	simulated    bool  // record times are the producers', and all records are there at the start
	calls        int   // partitions
	events       int   // partitions
	logStart     int64 // the first offset of the input logs
	roles        []string
	firstClosing bool // is configured
	recordsMax   int
	ageMax       time.Duration
	rewind       int64
	poll, sweep  time.Duration
	skew         time.Duration // how far the brokers' clocks are apart
	transactions bool
	holes        bool
	repeats      uint64 // one record of so many is sent twice, 0 for none
	toTheEnd     bool   // closings go on until they have seen every record
	onTheHour    bool   // the loops look at the world right after every full hour
	rebalances   int
	stops        int // orderly ones
	faults       Faults
	storms       int
}

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 20261122))
	p := plan{
		seed: seed, simulated: r.IntN(6) == 0, calls: 1 + r.IntN(3), events: 1 + r.IntN(2),
		logStart: pick(r, int64(0), 1, 1000), roles: []string{"ius"},
		firstClosing: r.IntN(2) == 0, recordsMax: pick(r, 1, 5, 1000),
		ageMax: pick(r, 100*time.Millisecond, 10*time.Second, 10*time.Minute),
		rewind: pick(r, int64(0), 2, 1000), poll: pick(r, time.Hour, 4*time.Hour, 11*time.Hour),
		sweep: pick(r, 7*time.Hour, 25*time.Hour), transactions: r.IntN(3) == 0,
		holes: r.IntN(3) == 0, repeats: pick(r, uint64(0), 3, 20),
		toTheEnd: r.IntN(2) == 0, onTheHour: r.IntN(3) == 0,
	}
	if p.onTheHour {
		p.poll = time.Hour
	}
	// All else takes whole milliseconds: a batch is never of age just when something else happens to
	// it, and a world is a function of its seed.
	p.ageMax++
	for range r.IntN(3) {
		p.roles = append(p.roles, pick(r, "i", "ius", "is", "s"))
	}
	if r.IntN(2) == 0 {
		p.skew = time.Duration(r.IntN(25)) * time.Second
	}
	if r.IntN(8) > 0 {
		p.faults.PerMillion = pick(r, uint64(1_000), 5_000, 20_000)
		if r.IntN(4) == 0 { // while it decides, so that another one decides meanwhile
			p.faults.Freezes = "produce 1 on " + settlementsTopic
		}
		p.storms, p.rebalances, p.stops = r.IntN(4), r.IntN(6), r.IntN(3)
	}
	return p
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func (p *plan) String() string {
	return fmt.Sprintf("simulated_time %t, partitions %d+%d, processes %q, poll %v, batches of %d "+
		"or %v, rewind %d, first_closing %t, transactions %t, holes %t, skew %v, faults %d per "+
		"million, %d storms, freezes %q", p.simulated, p.calls, p.events, p.roles, p.poll,
		p.recordsMax, p.ageMax, p.rewind, p.firstClosing, p.transactions, p.holes, p.skew,
		p.faults.PerMillion, p.storms, p.faults.Freezes)
}

package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/ingest"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/props"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/usage"
	"tollstream/sinks/kafka"
)

const (
	clockMargin = time.Minute
	aliveMax    = 4 // processes at once, zombies included
	// spanMax is how long a world lasts at most; records of before are left out.
	spanMax          = 100 * 24 * billing.Hour
	quarantineTopic  = "billing.quarantine"
	billsTopic       = "billing.bills"
	statusTopic      = "billing.service-status"
	settlementsTopic = "billing.settlements"
)

// metrics are shared by all worlds: nothing is decided by them.
var metrics = observe.NewMetrics(observe.Build{}, time.Now)

// deployment is a world under way: the models, the processes of the program, and who restarts them.
type deployment struct {
	plan  plan
	cat   *catalog.Catalog
	first billing.Day     // of the first closing
	until billing.Instant // the last closing
	rand  *rand.Rand      // used in turns only

	schedule *Schedule
	log      *Log
	readers  *Group // who reads which input partition
	closers  *Group // who closes
	store    *Store

	sent      []batch.Record // the producer's own record
	running   []*run         // by slot, the current one; nil while none runs
	zombies   []*run
	runs      int
	replaced  int             // processes that became zombies
	calmSince billing.Instant // 0 while there are troubles
	finished  bool
	faults    []string // what must not happen and did
}

// run is a process with its loops.
type run struct {
	process *Process
	slot    int
	roles   string
	health  *observe.Health
	stop    context.CancelFunc
	settled bool // its settle loop closed everything
}

func newDeployment(cat *catalog.Catalog, w props.World, p plan) *deployment {
	until := w.Until
	for _, r := range w.Records() {
		if p.toTheEnd { // repeats arrive up to 26 hours later
			until = max(until, r.Arrival.Appended+75*billing.Hour)
		}
	}
	d := &deployment{plan: p, cat: cat, until: closing.LastMomentBy(cat, until).At,
		rand: rand.New(rand.NewPCG(p.seed, 7)), schedule: NewSchedule(p.seed),
		running: make([]*run, len(p.roles))}
	d.schedule.Faults = p.faults
	d.log = NewLog(d.schedule, map[string]int{props.CallTopic: p.calls, props.EventTopic: p.events},
		p.logStart)
	for _, topic := range []string{quarantineTopic, billsTopic, statusTopic, settlementsTopic} {
		d.log.topics[topic] = []*partition{{}}
	}
	d.readers = NewGroup(d.schedule, d.log, []string{props.EventTopic, props.CallTopic})
	d.readers.Committed = d.checkCommit
	d.closers = NewGroup(d.schedule, d.log, []string{settlementsTopic})
	d.store = NewStore(d.schedule, cat)
	return d
}

// begin puts into the schedule what happens in the world, from the first record to the calm at its
// end. False means that nothing does.
func (d *deployment) begin(records []batch.Record) bool {
	records = slices.DeleteFunc(records, func(r batch.Record) bool {
		return r.Arrival.Appended < d.until-spanMax
	})
	if len(records) == 0 {
		return false
	}
	first, last := d.span(records)
	d.first = closing.LastMomentBy(d.cat, records[0].Arrival.Appended).Day + 1
	time.Sleep(time.Until(first))
	d.produce(records, first)
	for slot := range d.running {
		at := first.Add(time.Duration(1+d.rand.IntN(100)) * time.Minute)
		if d.plan.onTheHour {
			at = at.Truncate(time.Hour).Add(time.Hour + time.Second)
		}
		d.schedule.At(at, "start", func() { d.launch(slot) })
	}
	moment := func() time.Time {
		return first.Add(time.Duration(d.rand.Int64N(int64(last.Sub(first)))))
	}
	for range d.plan.storms {
		from := moment()
		to := from.Add(time.Duration(1+d.rand.IntN(600)) * time.Minute)
		d.schedule.Faults.Storms = append(d.schedule.Faults.Storms, Storm{from, to, 5})
	}
	for range d.plan.rebalances {
		d.schedule.At(moment(), "rebalance", d.readers.Rebalance)
		d.schedule.At(moment(), "rebalance of closers", d.closers.Rebalance)
	}
	for range d.plan.stops {
		d.schedule.At(moment(), "stop a process", d.stopOne)
	}
	d.schedule.At(last, "calm", d.becomeCalm)
	return true
}

// span is when the world begins and when its troubles end.
func (d *deployment) span(records []batch.Record) (first, last time.Time) {
	end := d.until
	start := d.until
	for i := range records {
		start, end = min(start, records[i].Arrival.Appended), max(end, records[i].Arrival.Appended)
	}
	if d.plan.simulated {
		return end.Time(), end.Time().Add(72 * time.Hour)
	}
	return start.Time().Add(-24 * time.Hour), end.Time().Add(3 * time.Hour)
}

// becomeCalm ends all troubles: what is asleep wakes, what is down starts, zombies end.
func (d *deployment) becomeCalm() {
	d.calmSince, d.schedule.Faults.Off = billing.InstantOf(time.Now()), true
	for _, z := range slices.Clone(d.zombies) {
		z.process.Kill()
	}
	for slot, r := range d.running {
		if r == nil {
			d.launch(slot)
			continue
		}
		r.process.Wake()
	}
	d.look()
}

// look asks every hour whether everything is drained.
func (d *deployment) look() {
	d.finished = d.drained()
	if !d.finished {
		d.schedule.In(time.Hour, "look", d.look)
	}
}

func (d *deployment) drained() bool {
	for _, r := range d.running {
		if r == nil || strings.Contains(r.roles, "s") && !r.settled {
			return false
		}
	}
	if d.store.sweep.asOf < d.calmSince {
		return false
	}
	for _, topic := range d.readers.topics {
		for p := range d.log.Partitions(topic) {
			at, committed := d.readers.Offset(topic, p)
			if high := d.log.High(topic, p); high > d.plan.logStart && (!committed || at < high) {
				return false
			}
		}
	}
	return true
}

// stopOne stops a process in good order, as a supervisor does that upgrades it.
func (d *deployment) stopOne() {
	if r := d.running[d.rand.IntN(len(d.running))]; r != nil {
		r.stop()
	}
}

// launch starts a slot's process.
func (d *deployment) launch(slot int) {
	if d.running[slot] != nil {
		return
	}
	d.runs++
	r := &run{process: d.schedule.NewProcess(fmt.Sprintf("p%d.%d", slot+1, d.runs)), slot: slot,
		roles: d.plan.roles[slot], health: observe.NewHealth(time.Now)}
	r.process.Died = func() { d.gone(r) }
	r.process.Slept = func(length time.Duration) { d.slept(r, length) }
	d.running[slot] = r
	outer, stop := context.WithCancel(r.process.Context)
	r.stop = stop
	var loops []func(context.Context) error
	for _, role := range r.roles {
		loops = append(loops, map[rune]func(*run) func(context.Context) error{
			'i': d.ingest, 'u': d.usage, 's': d.settle}[role](r))
	}
	supervisor := r.process.Hand("supervisor")
	group, ctx := errgroup.WithContext(outer)
	for _, loop := range loops {
		group.Go(func() error { return loop(ctx) })
	}
	go func() {
		err := group.Wait()
		supervisor.Report("ended", func() {
			if err != nil && outer.Err() == nil {
				d.fault("process %s ended: %v", r.process.Name, err)
			}
			r.process.Kill()
		})
	}()
}

// gone starts a process again whose run is over.
func (d *deployment) gone(r *run) {
	d.zombies = slices.DeleteFunc(d.zombies, func(z *run) bool { return z == r })
	if d.running[r.slot] != r {
		return
	}
	d.running[r.slot] = nil
	wait := time.Minute
	if d.calmSince == 0 {
		wait *= time.Duration(pick(d.rand, 1, 30, 600))
	}
	d.schedule.In(wait, "restart", func() { d.launch(r.slot) })
}

// slept sometimes replaces a process that stands still. It goes on when it wakes, and is found and
// ended later.
func (d *deployment) slept(r *run, length time.Duration) {
	if d.running[r.slot] != r || length < time.Minute || len(d.zombies)+len(d.running) >= aliveMax ||
		d.rand.IntN(3) == 0 {
		return
	}
	d.running[r.slot] = nil
	d.zombies = append(d.zombies, r)
	d.replaced++
	d.launch(r.slot)
	d.schedule.In(length+time.Duration(1+d.rand.IntN(48*60))*time.Minute, "end a zombie",
		r.process.Kill)
}

func (d *deployment) fault(format string, args ...any) {
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

// The loops, as cmd/tollstream wires them. What they are made of is made in the turn that starts
// the process; the functions that come back run them.

func (d *deployment) ingest(r *run) func(context.Context) error {
	store := d.store.In(r.process.Hand("ingest store"))
	loop := ingest.New(ingest.Options{
		Log: d.log.In(r.process.Hand("ingest log")), Group: d.readers.In(r.process.Hand("readers")),
		Store: store, Quarantine: d.publisher(r.process.Hand("ingest")),
		Settled: kafka.NewSettled(d.log.In(r.process.Hand("ingest settled")), settlementsTopic),
		Roster:  roster.New(d.cat, store), Catalog: d.cat, Events: props.EventTopic,
		RecordsMax: d.plan.recordsMax, AgeMax: d.plan.ageMax, Rewind: d.plan.rewind,
		Backoff: func() backoff.BackOff {
			return &backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 4,
				MaxInterval: time.Hour}
		},
		Metrics: metrics, Progress: r.health.Loop("ingest", time.Hour), Logger: silent,
	})
	return func(ctx context.Context) error {
		err := loop.Run(ctx)
		if err == nil && ctx.Err() == nil {
			err = errors.New("ingest ended by itself")
		}
		return err
	}
}

func (d *deployment) usage(r *run) func(context.Context) error {
	store := d.store.In(r.process.Hand("usage store"))
	o := usage.Options{
		Store: store, Roster: roster.New(d.cat, store), Interval: d.plan.sweep,
		Now: time.Now, Metrics: metrics, Progress: r.health.Loop("usage", time.Hour), Logger: silent,
	}
	return func(ctx context.Context) error { return usage.Run(ctx, o) }
}

func (d *deployment) settle(r *run) func(context.Context) error {
	hand, closers := r.process.Hand("settle"), d.closers.In(r.process.Hand("closers"))
	o := settle.Options{
		Log: d.log.In(hand), Publisher: d.publisher(hand), Store: d.store.In(hand),
		Catalog: d.cat, Calls: []string{props.CallTopic}, Events: props.EventTopic,
		Simulated: d.plan.simulated, Until: d.until, Margin: clockMargin, Poll: d.plan.poll,
		RetryMin: time.Minute, RetryMax: time.Hour,
		Now: time.Now, Metrics: metrics, Progress: r.health.Loop("settle", time.Hour), Logger: silent,
	}
	o.Look = ingest.NewLooker(d.log.In(r.process.Hand("looker")), d.cat, props.EventTopic).Look
	if d.plan.firstClosing {
		o.First = &d.first
	}
	return func(ctx context.Context) error {
		err := settle.Lead(ctx, closers, settlementsTopic, o)
		if err == nil && ctx.Err() == nil {
			hand.Report("settled", func() { r.settled = true })
			<-ctx.Done() // the process goes on serving
		}
		return err
	}
}

func (d *deployment) publisher(h *Hand) *kafka.Publisher {
	log := d.log.In(h)
	return kafka.New(log, log, kafka.Topics{Bills: billsTopic, Settlements: settlementsTopic,
		ServiceStatus: statusTopic, Quarantine: quarantineTopic}, d.cat.Settings.Zone)
}

var silent = slog.New(slog.DiscardHandler)

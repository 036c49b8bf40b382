package simulation

import (
	"flag"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/props"
)

var (
	worlds = flag.Int("worlds", 500/slowdown, "how many worlds are simulated")
	first  = flag.Uint64("seed", 1, "the first world; a failure names its own")
	brief  = flag.Bool("brief", false, "tell of a failure only what it is")
)

// outcome is what came of a world.
type outcome struct {
	fault  string // "" if everything is right
	struck []Struck
	trace  Trace
	span   time.Duration

	runs, zombies, generations int
}

// simulate runs one world to its end. It is a function of its arguments.
func simulate(t *testing.T, cat *catalog.Catalog, w props.World, p plan) outcome {
	t.Helper()
	var o outcome
	synctest.Test(t, func(*testing.T) {
		d := newDeployment(cat, w, p)
		if !d.begin(w.Records()) {
			return
		}
		started := time.Now()
		limit := started.AddDate(1, 0, 0)
		err := d.schedule.Run(limit, func() bool { return d.finished || len(d.faults) > 0 })
		if err != nil {
			d.fault("%v: %s", err, d.waits())
		}
		o.span = time.Since(started)
		for _, r := range append(d.running, d.zombies...) {
			if r != nil {
				r.process.Kill()
			}
		}
		synctest.Wait()
		o.fault, o.struck, o.trace = d.check(), d.schedule.Faults.Struck, d.schedule.Trace
		o.runs, o.zombies, o.generations = d.runs, d.replaced, int(d.readers.generation)
	})
	return o
}

// waits tells what the processes wait for.
func (d *deployment) waits() string {
	var text []string
	for _, r := range d.running {
		if r == nil {
			continue
		}
		for _, l := range r.health.Report().Loops {
			if l.WaitsFor != "" {
				text = append(text, r.process.Name+" "+l.Loop+" waits for "+l.WaitsFor)
			}
		}
	}
	return strings.Join(text, "; ")
}

// eachWorld runs a check over worlds on all cores; the first failure ends it.
func eachWorld(t *testing.T, n int, check func(t *testing.T, seed uint64) string) {
	t.Helper()
	var next atomic.Int64
	var failed atomic.Bool
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("worker", worker), func(t *testing.T) {
			t.Parallel()
			for i := next.Add(1) - 1; i < int64(n) && !failed.Load(); i = next.Add(1) - 1 {
				seed := *first + uint64(i)
				if text := check(t, seed); text != "" && !failed.Swap(true) {
					t.Errorf("world %d (-seed=%d -worlds=1) at commit %s:\n%s", seed, seed, commit(), text)
				}
			}
		})
	}
}

// commit names the source that was tested.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// TestWorlds: whatever goes wrong on the way, what comes out is what the definition says.
func TestWorlds(t *testing.T) {
	cat := mustCatalog(t)
	sum := summary{started: time.Now()}
	eachWorld(t, *worlds, func(t *testing.T, seed uint64) string {
		o := simulate(t, cat, props.NewWorld(cat, seed), newPlan(seed))
		sum.add(&o)
		if o.fault == "" || *brief {
			return o.fault
		}
		return report(t, cat, seed)
	})
	t.Cleanup(func() { t.Log(sum.String()) })
}

func mustCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	cat, err := props.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// summary counts what happened in many worlds.
type summary struct {
	started              time.Time
	mu                   sync.Mutex
	worlds, turns, runs  int
	zombies, generations int
	days                 float64
	kinds                map[fault]int
}

func (s *summary) add(o *outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds == nil {
		s.kinds = map[fault]int{}
	}
	s.worlds, s.turns, s.days = s.worlds+1, s.turns+o.trace.Turns, s.days+o.span.Hours()/24
	s.runs, s.zombies, s.generations = s.runs+o.runs, s.zombies+o.zombies, s.generations+o.generations
	for _, x := range o.struck {
		s.kinds[x.Kind]++
	}
}

func (s *summary) String() string {
	took := time.Since(s.started).Seconds()
	text := fmt.Sprintf("%d worlds, %.0f days in %.0f s, %.1f months a second, %d turns, %d "+
		"processes started, %d zombies, %d generations of readers; faults:", s.worlds, s.days, took,
		s.days/30/took, s.turns, s.runs, s.zombies, s.generations)
	for kind := range faultNames {
		if n := s.kinds[fault(kind)]; n > 0 {
			text += fmt.Sprintf(" %s %d,", fault(kind), n)
		}
	}
	return strings.TrimSuffix(text, ",")
}

// TestFaultsHappen: worlds in which nothing goes wrong prove little.
func TestFaultsHappen(t *testing.T) {
	cat := mustCatalog(t)
	var sum summary
	eachWorld(t, 60/slowdown, func(t *testing.T, seed uint64) string {
		o := simulate(t, cat, props.NewWorld(cat, seed), newPlan(seed))
		sum.add(&o)
		return ""
	})
	t.Cleanup(func() {
		for kind := refused; kind <= asleep; kind++ {
			if sum.kinds[kind] < 5/slowdown {
				t.Errorf("%s comes up %d times", kind, sum.kinds[kind])
			}
		}
		if sum.zombies == 0 || sum.generations < sum.worlds {
			t.Errorf("too little happens to processes: %s", sum.String())
		}
	})
}

// TestTheSameAgain: a world is a function of its seed, turn by turn.
func TestTheSameAgain(t *testing.T) {
	cat := mustCatalog(t)
	eachWorld(t, max(10, *worlds/10), func(t *testing.T, seed uint64) string {
		run := func() outcome { return simulate(t, cat, props.NewWorld(cat, seed), newPlan(seed)) }
		once, again := run(), run()
		if once.trace.Hash() == again.trace.Hash() {
			return ""
		}
		return fmt.Sprintf("%d turns with hash %x, then %d with %x", once.trace.Turns,
			once.trace.Hash(), again.trace.Turns, again.trace.Hash())
	})
}

// triesMax bounds how often a failing world is run again to find out what it takes.
const triesMax = 400

// report runs a failing world again, with fewer troubles and fewer records, and tells the least
// that still fails.
func report(t *testing.T, cat *catalog.Catalog, seed uint64) string {
	t.Helper()
	p, w := newPlan(seed), props.NewWorld(cat, seed)
	tries := 0
	fails := func(w props.World, p plan) bool {
		tries++
		return tries < triesMax && simulate(t, cat, w, p).fault != ""
	}
	p = calmer(t, cat, w, p, fails)
	w = props.Shrink(w, func(w props.World) bool { return fails(w, p) })
	p = calmer(t, cat, w, p, fails)
	o := simulate(t, cat, w, p)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n%s\nfaults:\n", o.fault, p.String(), props.Story(cat, w))
	for _, s := range o.struck {
		fmt.Fprintln(&b, s)
	}
	fmt.Fprintf(&b, "\nlast of %d turns:\n%s", o.trace.Turns, o.trace.Tail())
	return b.String()
}

// calmer takes out of a plan what a world needs not to fail.
func calmer(
	t *testing.T, cat *catalog.Catalog, w props.World, p plan, fails func(props.World, plan) bool,
) plan {
	t.Helper()
	for _, less := range []func(*plan){
		func(p *plan) { p.faults, p.storms = Faults{}, 0 },
		func(p *plan) { p.faults.Freezes = "" },
		func(p *plan) { p.storms = 0 },
		func(p *plan) { p.rebalances = 0 },
		func(p *plan) { p.stops = 0 },
		func(p *plan) { p.roles = p.roles[:1] },
		func(p *plan) { p.transactions = false },
		func(p *plan) { p.holes = false },
		func(p *plan) { p.repeats = 0 },
		func(p *plan) { p.skew = 0 },
	} {
		try := p
		if less(&try); fails(w, try) {
			p = try
		}
	}
	for _, s := range simulate(t, cat, w, p).struck {
		try := p
		try.faults.Skip = append(slices.Clone(p.faults.Skip), s.Turn)
		if fails(w, try) {
			p = try
		}
	}
	return p
}

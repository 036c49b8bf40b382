package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// fault is one thing that is done to the world. It ends what it began before it returns.
type fault struct {
	kind, detail string
	do           func(ctx context.Context, w *world) (done bool)
}

// step is a pause and what is done after it: the kill is waited for, the other fault goes on beside
// what follows.
type step struct {
	pause  time.Duration
	kill   fault
	beside *fault
}

// plan draws the steps of a round with so many kills of each kind. The same seed gives the same.
func plan(seed uint64, each int, pause [2]time.Duration) []step {
	random := rand.New(rand.NewPCG(seed, 0))
	var kills []fault
	for range each {
		for _, victim := range []string{"ingest", "settle", "broker", "clickhouse"} {
			kills = append(kills, killOf(victim, random))
		}
	}
	random.Shuffle(len(kills), func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
	steps := make([]step, len(kills))
	for i := range kills {
		steps[i] = step{pause: between(random, pause[0], pause[1]), kill: kills[i]}
		if random.IntN(4) == 0 {
			steps[i].pause *= restFactor
		}
		if random.IntN(10) < 7 {
			beside := besides[random.IntN(len(besides))](random)
			steps[i].beside = &beside
		}
	}
	return steps
}

// restFactor makes some pauses so long that the pipeline gets back to work before the next fault;
// else everything would happen to programs that have just started.
const restFactor = 4

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)))
}

// named finds one of the processes of a name: the only one, or the n-th.
func (w *world) named(name string, n int) *process {
	switch name {
	case "ingest":
		return w.ingest[n]
	case "settle":
		return w.settle[n]
	case "broker":
		return w.broker
	}
	return w.clickhouse
}

func killOf(name string, random *rand.Rand) fault {
	n := random.IntN(2)
	return fault{kind: "kill of " + name, detail: fmt.Sprint(n + 1),
		do: func(ctx context.Context, w *world) bool {
			return w.named(name, n).end(ctx, syscall.SIGKILL, 0)
		}}
}

// besides are the faults other than kills; those that stand here twice are drawn twice as often.
var besides = []func(*rand.Rand) fault{
	stop, stop, stop, leave,
	lost("insert", clickHouse, beforeAnswer, insert),
	lost("insert", clickHouse, beforeAnswer, insert),
	lost("query", clickHouse, beforeAnswer, anyRequest),
	lost("insert", clickHouse, inRequest, insert),
	lost("query", clickHouse, inAnswer, anyRequest),
	lost("produce", kafka, beforeAnswer, kafkaRequest(produceRequest)),
	lost("commit", kafka, beforeAnswer, kafkaRequest(commitRequest)),
	lost("join", kafka, beforeAnswer, kafkaRequest(joinRequest)),
	lost("request", kafka, beforeAnswer, anyRequest),
	lost("produce", kafka, inRequest, kafkaRequest(produceRequest)),
	lost("request", kafka, inAnswer, anyRequest),
	slow("clickhouse", clickHouse), slow("clickhouse", clickHouse), slow("kafka", kafka),
	severed("clickhouse", clickHouse), severed("kafka", kafka),
	fullClickHouse, fullBroker,
}

func clickHouse(w *world) *proxy { return w.database }
func kafka(w *world) *proxy      { return w.kafka }

// hold waits out the length of a fault.
func hold(ctx context.Context, length time.Duration) {
	select {
	case <-time.After(length):
	case <-ctx.Done():
	}
}

// stop has a process stand still for longer than its membership lasts, or only for a moment.
func stop(random *rand.Rand) fault {
	name := []string{"ingest", "ingest", "settle", "settle", "broker", "clickhouse"}[random.IntN(6)]
	n, length := random.IntN(2), between(random, 200*time.Millisecond, 5*time.Second)
	return fault{kind: "stop of " + name, detail: fmt.Sprintf("%d for %s", n+1, length),
		do: func(ctx context.Context, w *world) bool {
			p := w.named(name, n)
			done := p.signal(syscall.SIGSTOP)
			hold(ctx, length)
			p.signal(syscall.SIGCONT)
			return done
		}}
}

// leave has a process of the pipeline end in order and come back later.
func leave(random *rand.Rand) fault {
	name := []string{"ingest", "settle"}[random.IntN(2)]
	n, rest := random.IntN(2), between(random, 500*time.Millisecond, 4*time.Second)
	return fault{kind: "leave of " + name, detail: fmt.Sprintf("%d for %s", n+1, rest),
		do: func(ctx context.Context, w *world) bool {
			return w.named(name, n).end(ctx, syscall.SIGTERM, rest)
		}}
}

// lost cuts one or a few connections at a point of an exchange.
func lost(
	what string, on func(*world) *proxy, at point, match func([]byte) bool,
) func(*rand.Rand) fault {
	return func(random *rand.Rand) fault {
		n := 1 + random.IntN(3)
		where := map[point]string{inRequest: "cut in a ", beforeAnswer: "lost answer to a ",
			inAnswer: "cut in the answer to a "}[at]
		return fault{kind: where + what, detail: fmt.Sprintf("the next %d", n),
			do: func(_ context.Context, w *world) bool {
				for range n {
					on(w).add(cut{at, match})
				}
				return true
			}}
	}
}

func slow(name string, on func(*world) *proxy) func(*rand.Rand) fault {
	return func(random *rand.Rand) fault {
		delay := between(random, 10*time.Millisecond, 400*time.Millisecond)
		length := between(random, 500*time.Millisecond, 4*time.Second)
		return fault{kind: "slow " + name, detail: fmt.Sprintf("by %s for %s", delay, length),
			do: func(ctx context.Context, w *world) bool {
				on(w).slow(delay)
				hold(ctx, length)
				on(w).slow(0)
				return true
			}}
	}
}

func severed(name string, on func(*world) *proxy) func(*rand.Rand) fault {
	return func(*rand.Rand) fault {
		return fault{kind: "connections cut to " + name,
			do: func(_ context.Context, w *world) bool {
				on(w).sever()
				return true
			}}
	}
}

// fullBroker lets no file of the broker grow for a while.
func fullBroker(random *rand.Rand) fault {
	length := between(random, 300*time.Millisecond, 3*time.Second)
	return fault{kind: "failing writes of broker", detail: "for " + length.String(),
		do: func(ctx context.Context, w *world) bool {
			done := w.broker.fullDisk(true)
			hold(ctx, length)
			w.broker.fullDisk(false)
			return done
		}}
}

// fullClickHouse has the proxy answer every INSERT as ClickHouse does when its disk is full. Writes
// that fail cannot be tried: the embedded engine takes no notice of them (see deploy/embedded).
func fullClickHouse(random *rand.Rand) fault {
	length := between(random, 300*time.Millisecond, 3*time.Second)
	return fault{kind: "answer of a full disk by clickhouse", detail: "for " + length.String(),
		do: func(ctx context.Context, w *world) bool {
			w.database.refuse(&refusal{insert, noSpace})
			hold(ctx, length)
			w.database.refuse(nil)
			return true
		}}
}

// hurt does the steps of a plan, tells after each how many are done, and heals the world.
func (w *world) hurt(ctx context.Context, steps []step, done func(int)) {
	var beside sync.WaitGroup
	for i, s := range steps {
		hold(ctx, s.pause)
		if ctx.Err() != nil {
			break
		}
		if s.beside != nil {
			w.line.note("begins: %s %s", s.beside.kind, s.beside.detail)
			beside.Go(func() { w.do(ctx, *s.beside) })
		}
		w.do(ctx, s.kill)
		done(i + 1)
	}
	beside.Wait()
	for _, p := range w.all() {
		p.signal(syscall.SIGCONT)
		p.fullDisk(false)
	}
	w.kafka.heal()
	w.database.heal()
	w.line.note("no more faults")
}

// do does one fault and writes it down.
func (w *world) do(ctx context.Context, f fault) {
	if f.do(ctx, w) {
		w.line.did(f.kind, f.detail)
	} else {
		w.line.note("no %s: there was nothing to do it to", f.kind)
	}
}

// hurtWorkers kills one process of each role of the pipeline again and again until everything is
// read: a pause after something was committed since the last time, so that they are at work, and
// on a busy machine get anywhere. Without any progress it does not wait for ever.
func (w *world) hurtWorkers(ctx context.Context, seed uint64, pause [2]time.Duration, f *feed) {
	const patience = 2 * time.Minute
	random := rand.New(rand.NewPCG(seed, 0))
	for before := int64(0); ctx.Err() == nil; {
		over := false
		err := eventually(ctx, patience, func() error {
			n, all, err := w.committed(ctx, f)
			if err == nil && n == before && !all {
				err = fmt.Errorf("nothing was committed since there were %d", n)
			}
			if err == nil {
				before, over = n, all
			}
			return err
		})
		if over {
			break
		}
		if err != nil {
			w.line.note("no progress: %v", err)
		}
		hold(ctx, between(random, pause[0], pause[1]))
		w.do(ctx, killOf("ingest", random))
		w.do(ctx, killOf("settle", random))
	}
	w.line.note("no more faults")
}

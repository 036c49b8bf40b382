package simulation

import (
	"context"
	"errors"
	"time"
)

// Process is one run of the program, from its start until it ends or is killed.
type Process struct {
	Name string
	// Context is that of the process; it ends with it.
	Context context.Context
	// Died and Slept hear in the turn that kills the process or lets it sleep; they may be nil.
	Died  func()
	Slept func(length time.Duration)

	schedule    *Schedule
	cancel      context.CancelFunc
	dead        bool      // nothing it asks for happens any more; guarded by Schedule.mu
	asleepUntil time.Time // it stands still, as a frozen machine does; changed in turns only
	groups      []*Group  // whose member it is
}

// NewProcess makes a process. What it runs gets Hands.
func (s *Schedule) NewProcess(name string) *Process {
	p := &Process{Name: name, schedule: s}
	p.Context, p.cancel = context.WithCancel(context.Background())
	return p
}

// Kill ends a process at once. What it asked for and did not get an answer to may still happen.
// Only turns may call it.
func (p *Process) Kill() {
	s := p.schedule
	s.mu.Lock()
	dead := p.dead
	p.dead = true
	s.mu.Unlock()
	if dead {
		return
	}
	for _, t := range s.queue {
		if t.hand != nil && t.hand.process == p {
			s.leave(t)
		}
	}
	p.cancel()
	for _, g := range p.groups {
		g.lost(p)
	}
	if p.Died != nil {
		p.Died()
	}
}

// Alive tells whether the process runs, asleep or not.
func (p *Process) Alive() bool {
	p.schedule.mu.Lock()
	defer p.schedule.mu.Unlock()
	return !p.dead
}

// Sleep lets the process stand still for a while: it gets no answers and knows nothing of it. The
// world goes on without it. Only turns may call it.
func (p *Process) Sleep(d time.Duration) {
	p.asleepUntil = time.Now().Add(d)
	for _, g := range p.groups {
		g.silent(p)
	}
	if p.Slept != nil {
		p.Slept(d)
	}
}

// Wake ends a sleep. Only turns may call it.
func (p *Process) Wake() { p.asleepUntil = time.Time{} }

// asleep tells whether the process stands still now.
func (p *Process) asleep() bool { return p.asleepUntil.After(time.Now()) }

// Hand is how a loop of a process acts on the world. A loop has one for each model that it uses;
// through a nil Hand things happen at once and without faults.
type Hand struct {
	process *Process
	name    string
	id      int
}

// Hand gives a process a hand by the name of its loop.
func (p *Process) Hand(loop string) *Hand {
	p.schedule.hands++
	return &Hand{process: p, name: p.Name + " " + loop, id: p.schedule.hands}
}

var errDead = errors.New("the process is dead")

// read waits for a turn that changes nothing.
func (h *Hand) read(ctx context.Context, what string, do func()) error {
	return h.wait(ctx, &turn{what: what, do: func() error { do(); return nil }})
}

// write waits for a turn that changes the world, which may happen in part.
func (h *Hand) write(ctx context.Context, what string, do func() error) error {
	return h.wait(ctx, &turn{what: what, write: true, do: do})
}

// Report lets a loop say something to who runs the world, in a turn that no fault falls on.
func (h *Hand) Report(what string, do func()) {
	_ = h.wait(h.process.Context, &turn{what: what, write: true, struck: true,
		do: func() error { do(); return nil }}) // a dead process has nothing to say
}

func (h *Hand) wait(ctx context.Context, t *turn) error {
	if h == nil {
		return t.do()
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s := h.process.schedule
	t.hand, t.answer = h, make(chan error, 1)
	if !s.ask(t) {
		return errDead
	}
	select {
	case err := <-t.answer:
		return err
	case <-ctx.Done():
		s.leave(t)
		return context.Cause(ctx)
	}
}

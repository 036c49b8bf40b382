package observe

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Health knows the loops of a process and tells whether it is ready.
type Health struct {
	now     func() time.Time
	mu      sync.Mutex
	loops   []*Progress
	stopped bool
}

// NewHealth makes a Health. now is the wall clock; tests give their own.
func NewHealth(now func() time.Time) *Health { return &Health{now: now} }

// Loop adds a loop. It counts as busy with its start until it says otherwise, so that a loop which
// never gets going is found out too. bound is how long it may be silent or stuck.
func (h *Health) Loop(name string, bound time.Duration) *Progress {
	at := h.now()
	p := &Progress{name: name, bound: bound, now: h.now, moved: at, heard: at, since: at,
		busy: true, why: "starting"}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loops = append(h.loops, p)
	slices.SortFunc(h.loops, func(a, b *Progress) int { return cmp.Compare(a.name, b.name) })
	return p
}

// Stopping makes the process not ready for good: it was told to stop.
func (h *Health) Stopping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
}

// Progress is what one loop tells of itself. A loop calls Moved when it got something done, Waits
// when something that is due cannot be done yet, and Idle when nothing is due. It does one of
// these at least once per bound (or says with IdleUntil when it will wake), for a loop that is
// silent for longer hangs. It is safe for concurrent use; a nil Progress takes everything.
type Progress struct {
	name  string
	bound time.Duration
	now   func() time.Time

	mu    sync.Mutex
	moved time.Time // when something last got done
	heard time.Time // when the loop last said anything, or will
	since time.Time // since when it waits
	busy  bool
	why   string
}

// Moved says that something got done. What was waited for is over.
func (p *Progress) Moved() {
	p.tell(func(at time.Time) { p.moved, p.heard, p.busy, p.why = at, at, false, "" })
}

// Waits says that something is due and cannot be done yet, and why. Saying it again, with another
// reason too, does not begin the wait anew: only Moved and Idle end it. A loop that was silent
// beyond its bound waits since then: saying why at last does not make it ready.
func (p *Progress) Waits(why string) {
	p.tell(func(at time.Time) {
		if !p.busy {
			p.since = at
			if at.Sub(p.heard) > p.bound {
				p.since = p.heard
			}
		}
		p.heard, p.busy, p.why = at, true, why
	})
}

// Idle says that nothing is due.
func (p *Progress) Idle() {
	p.tell(func(at time.Time) { p.heard, p.busy, p.why = at, false, "" })
}

// IdleUntil says that nothing is due before a moment, and that the loop sleeps until then.
func (p *Progress) IdleUntil(wake time.Time) {
	p.tell(func(at time.Time) {
		p.heard, p.busy, p.why = at, false, ""
		if wake.After(at) {
			p.heard = wake
		}
	})
}

func (p *Progress) tell(change func(at time.Time)) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.now())
}

// LoopReport says how one loop is.
type LoopReport struct {
	Loop         string     `json:"loop"`
	Ready        bool       `json:"ready"`
	WaitsFor     string     `json:"waits_for,omitempty"`
	Since        *time.Time `json:"since,omitempty"`
	StuckSeconds float64    `json:"stuck_seconds,omitempty"`
	BoundSeconds float64    `json:"bound_seconds"`
	LastProgress time.Time  `json:"last_progress"`
}

// Report says how the process is.
type Report struct {
	Ready bool         `json:"ready"`
	Why   string       `json:"why,omitempty"`
	Loops []LoopReport `json:"loops"`
}

// Report tells how all loops are now.
func (h *Health) Report() Report {
	h.mu.Lock()
	loops, stopped := slices.Clone(h.loops), h.stopped
	h.mu.Unlock()
	r := Report{Ready: !stopped, Loops: []LoopReport{}}
	if stopped {
		r.Why = "stopping"
	}
	for _, p := range loops {
		l := p.report()
		r.Loops = append(r.Loops, l)
		if !l.Ready && r.Ready {
			r.Ready, r.Why = false, "the loop "+l.Loop+" does not get on: "+l.WaitsFor
		}
	}
	return r
}

func (p *Progress) report() LoopReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.now()
	l := LoopReport{Loop: p.name, Ready: true, BoundSeconds: p.bound.Seconds(),
		LastProgress: p.moved.UTC(), WaitsFor: p.why}
	since := p.since
	switch {
	case p.busy:
	case at.Sub(p.heard) > p.bound:
		since, l.WaitsFor = p.heard, "nothing was heard of the loop; it hangs or has ended"
	default:
		return l
	}
	since = since.UTC()
	l.Since, l.StuckSeconds = &since, math.Round(at.Sub(since).Seconds()*1000)/1000
	l.Ready = at.Sub(since) <= p.bound
	return l
}

// Describe tells Prometheus what Collect gives.
func (h *Health) Describe(out chan<- *prometheus.Desc) {
	for _, l := range loopMetrics {
		out <- l.desc
	}
}

// Collect gives the state of the loops as metrics.
func (h *Health) Collect(out chan<- prometheus.Metric) {
	for _, report := range h.Report().Loops {
		for _, l := range loopMetrics {
			out <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, l.value(&report),
				report.Loop)
		}
	}
}

// loopMetric is one gauge about each loop.
type loopMetric struct {
	name, help string
	desc       *prometheus.Desc
	value      func(*LoopReport) float64
}

func newLoopMetric(name, help string, value func(*LoopReport) float64) loopMetric {
	name = prometheus.BuildFQName(namespace, "loop", name)
	return loopMetric{name, help, prometheus.NewDesc(name, help, []string{"loop"}, nil), value}
}

var loopMetrics = []loopMetric{
	newLoopMetric("ready", "1 while the loop gets on or has nothing to do, 0 once it is stuck.",
		func(l *LoopReport) float64 {
			if l.Ready {
				return 1
			}
			return 0
		}),
	newLoopMetric("last_progress_timestamp_seconds", "When the loop last got something done.",
		func(l *LoopReport) float64 { return float64(l.LastProgress.UnixMilli()) / 1000 }),
	newLoopMetric("stuck_seconds",
		"How long the loop has waited for something that is due, 0 while nothing is.",
		func(l *LoopReport) float64 { return l.StuckSeconds }),
}

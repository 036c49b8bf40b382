package observe

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Description is what a metric is, as it was registered; docs/metrics.md is made from it.
type Description struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
	Role   string // who serves it
}

// factory makes metrics of our namespace and registers them.
type factory struct {
	registry  prometheus.Registerer
	role      string
	described *[]Description
}

// in gives the factory for the metrics of a role.
func (f factory) in(role string) factory {
	f.role = role
	return f
}

// describe notes a metric and gives its full name.
func (f factory) describe(kind, name, help string, labels ...string) string {
	name = prometheus.BuildFQName(namespace, "", name)
	*f.described = append(*f.described,
		Description{Name: name, Type: kind, Labels: labels, Help: help, Role: f.role})
	return name
}

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(
		prometheus.CounterOpts{Name: f.describe("counter", name, help), Help: help})
	f.registry.MustRegister(c)
	return c
}

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: f.describe("counter", name, help, labels...), Help: help}, labels)
	f.registry.MustRegister(c)
	return c
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(
		prometheus.GaugeOpts{Name: f.describe("gauge", name, help), Help: help})
	f.registry.MustRegister(g)
	return g
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: f.describe("gauge", name, help, labels...), Help: help}, labels)
	f.registry.MustRegister(g)
	return g
}

// moment is a gauge of a point in time; NaN until there is one.
func (f factory) moment(name, help string) prometheus.Gauge {
	g := f.gauge(name, help)
	g.Set(math.NaN())
	return g
}

// function is a gauge that is asked when it is read.
func (f factory) function(name, help string, value func() float64) {
	f.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: f.describe("gauge", name, help), Help: help}, value))
}

// histogram has buckets that grow from the least one by a factor, and native ones for servers that
// take them.
func (f factory) histogram(
	name, help string, least, factor float64, buckets int,
) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: f.describe("histogram", name, help), Help: help,
		Buckets:                         prometheus.ExponentialBuckets(least, factor, buckets),
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	})
	f.registry.MustRegister(h)
	return h
}

// watermark is a moment that only rises; NaN until there is one.
type watermark struct{ micros *atomic.Int64 }

func (f factory) watermark(name, help string) watermark {
	w := watermark{micros: &atomic.Int64{}}
	f.function(name, help, func() float64 {
		if at := w.micros.Load(); at != 0 {
			return float64(at) / 1e6
		}
		return math.NaN()
	})
	return w
}

// raise moves the watermark to at, unless it is there already.
func (w watermark) raise(at time.Time) {
	micros := at.UnixMicro()
	for {
		old := w.micros.Load()
		if micros <= old || w.micros.CompareAndSwap(old, micros) {
			return
		}
	}
}

// age is a gauge of how old a watermark is; NaN until there is one.
func (f factory) age(name, help string, now func() time.Time, w *watermark) {
	micros := w.micros
	f.function(name, help, func() float64 {
		if at := micros.Load(); at != 0 {
			return now().Sub(time.UnixMicro(at)).Seconds()
		}
		return math.NaN()
	})
}

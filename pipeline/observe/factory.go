package observe

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// factory makes metrics of our namespace and registers them.
type factory struct{ registry prometheus.Registerer }

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	f.registry.MustRegister(c)
	return c
}

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(
		prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.registry.MustRegister(c)
	return c
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	f.registry.MustRegister(g)
	return g
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(
		prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.registry.MustRegister(g)
	return g
}

// histogram has buckets that double from the least one, and native ones for servers that take
// them.
func (f factory) histogram(name, help string, least float64, buckets int) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets:                         prometheus.ExponentialBuckets(least, 2, buckets),
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
	f.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, func() float64 {
			if at := w.micros.Load(); at != 0 {
				return float64(at) / 1e6
			}
			return math.NaN()
		}))
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
	f.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, func() float64 {
			if at := micros.Load(); at != 0 {
				return now().Sub(time.UnixMicro(at)).Seconds()
			}
			return math.NaN()
		}))
}

// Package observe shows what a process does: metrics for Prometheus, and readiness that tells
// progress. It owns names, help texts and labels, the answer of /healthz and /readyz, and the small
// HTTP server for them. It decides nothing about records or bills, and nothing reads it back.
//
// Labels are bounded sets: topics, partitions, reasons, steps, code tables. Accounts and calls are
// never labels; questions about those go to ClickHouse. A counter over a set that is known at the
// start has all its series from the start, so that rate() sees the first increase.
package observe

import (
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "tollstream"

// Roles that serve a metric, in docs/metrics.md.
const (
	everyRole  = "all"
	roleIngest = "ingest"
	roleUsage  = "usage"
	roleSettle = "settle"
)

// Metrics are all our metrics, in a registry of their own. Amounts are floats here and only here:
// they are for graphs, never for sums that anybody pays.
type Metrics struct {
	registry  *prometheus.Registry
	now       func() time.Time
	described []Description

	failures     *prometheus.CounterVec
	serverErrors *prometheus.CounterVec
	ingestMetrics
	usageMetrics
	settleMetrics
}

// Build is what build_info shows.
type Build struct{ Version, Revision, GoVersion string }

// NewMetrics makes and registers everything. now is the wall clock; tests give their own.
func NewMetrics(b Build, now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), now: now}
	f := factory{m.registry, everyRole, &m.described}
	info := f.gauges("build_info", "Always 1; the labels say what was built.",
		"version", "revision", "goversion")
	info.WithLabelValues(b.Version, b.Revision, b.GoVersion).Set(1)
	m.failures = f.counters("failures_total",
		"Tries of a step that failed and will be done again, by step.", "step")
	m.serverErrors = f.counters("server_errors_total",
		"Errors of Kafka and ClickHouse by kind: unavailable, when the server is away or busy and "+
			"is tried again, or refused, when it says no and a person has to look.", "server", "kind")
	for _, server := range []string{Kafka, ClickHouse} {
		for _, kind := range []string{unavailable, refused} {
			m.serverErrors.WithLabelValues(server, kind)
		}
	}
	m.ingestMetrics = newIngestMetrics(f.in(roleIngest), now)
	m.usageMetrics = newUsageMetrics(f.in(roleUsage), now)
	m.settleMetrics = newSettleMetrics(f.in(roleSettle))
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Known are sets of labels that are known at the start.
type Known struct {
	Topics     []string // that are read
	Reasons    []string // of the quarantine
	CodeTables []string // of the catalogue
}

// Expect makes the series of what is known, at zero.
func (m *Metrics) Expect(k Known) {
	for _, topic := range k.Topics {
		for _, outcome := range []string{"data", "quarantined", "aborted", "control", "compacted"} {
			m.records.WithLabelValues(topic, outcome)
		}
		m.decoded.WithLabelValues(topic)
		for _, term := range bookTerms {
			m.booked.WithLabelValues(topic, term)
		}
	}
	m.reasons = k.Reasons
	for _, reason := range k.Reasons {
		m.quarantined.WithLabelValues(reason)
	}
	for _, table := range k.CodeTables {
		m.unknownCodes.WithLabelValues(table)
	}
}

// Steps makes the series of steps that can fail, at zero.
func (m *Metrics) Steps(steps ...string) {
	for _, step := range steps {
		m.failures.WithLabelValues(step)
	}
}

// Failed counts a try that failed.
func (m *Metrics) Failed(step string) { m.failures.WithLabelValues(step).Inc() }

// The servers of ServerFailed, and the kinds of their errors.
const (
	Kafka       = "kafka"
	ClickHouse  = "clickhouse"
	unavailable = "unavailable"
	refused     = "refused"
)

// ServerFailed gives what counts the errors of a server: those that pass when it is back, and those
// that need a person.
func (m *Metrics) ServerFailed(server string) func(passes bool) {
	return func(passes bool) {
		kind := refused
		if passes {
			kind = unavailable
		}
		m.serverErrors.WithLabelValues(server, kind).Inc()
	}
}

// Registry is where further collectors belong.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Descriptions lists what there is, with the metrics of a Health and of a rebuild.
func (m *Metrics) Descriptions() []Description {
	all := append(slices.Clone(m.described), newRebuildMetrics().described...)
	for _, l := range loopMetrics {
		all = append(all, Description{Name: l.name, Type: "gauge", Labels: []string{"loop"},
			Help: l.help, Role: everyRole})
	}
	return all
}

// Handler answers /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// Package observe shows what a process does: metrics for Prometheus, and readiness that tells
// progress. It owns names, help texts and labels, the answer of /healthz and /readyz, and the small
// HTTP server for them. It decides nothing about records or bills, and nothing reads it back.
//
// Labels are bounded sets: topics, partitions, reasons, steps, code tables. Accounts and calls are
// never labels; questions about those go to ClickHouse.
package observe

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tollstream/pipeline/kafkalog"
)

const namespace = "tollstream"

// Metrics are all our metrics, in a registry of their own. Amounts are floats here and only here:
// they are for graphs, never for sums that anybody pays.
type Metrics struct {
	registry *prometheus.Registry
	now      func() time.Time

	records       *prometheus.CounterVec // read, by topic and outcome
	decoded       *prometheus.CounterVec
	quarantined   *prometheus.CounterVec
	duplicates    prometheus.Counter
	conflicts     prometheus.Counter
	unknownCodes  *prometheus.CounterVec
	insertRows    prometheus.Counter
	insertSeconds prometheus.Histogram
	failures      *prometheus.CounterVec
	committed     *prometheus.GaugeVec
	lag           *prometheus.GaugeVec
	appended      watermark
	swept         watermark
	sweepSeconds  prometheus.Histogram
	leads         prometheus.Gauge
	closings      prometheus.Counter
	lastClosing   prometheus.Gauge
	closeSeconds  prometheus.Histogram
	waiting       *prometheus.GaugeVec
	missing       *prometheus.GaugeVec
	missingFrom   *prometheus.GaugeVec
	missingTo     *prometheus.GaugeVec
	bills         prometheus.Counter
	amount        *prometheus.CounterVec
}

// Build is what build_info shows.
type Build struct{ Version, Revision, GoVersion string }

// NewMetrics makes and registers everything. now is the wall clock; tests give their own.
func NewMetrics(b Build, now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), now: now}
	f := factory{m.registry}
	m.ingestMetrics(f)
	m.settleMetrics(f)
	info := f.gauges("build_info", "Always 1; the labels say what was built.",
		"version", "revision", "goversion")
	info.WithLabelValues(b.Version, b.Revision, b.GoVersion).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) ingestMetrics(f factory) {
	m.records = f.counters("records_read_total",
		"Offsets read from Kafka and stored, by what stood there: data, quarantined, aborted, "+
			"control or compacted.", "topic", "outcome")
	m.decoded = f.counters("records_decoded_total",
		"Records that were well-formed.", "topic")
	m.quarantined = f.counters("records_quarantined_total",
		"Records put into quarantine, by reason.", "reason")
	m.duplicates = f.counter("duplicates_total",
		"Copies of calls that did not count because another copy arrived first; known at closing.")
	m.conflicts = f.counter("conflicts_total",
		"Copies that did not count and differ from the one that did in a billing field.")
	m.unknownCodes = f.counters("unknown_result_codes_total",
		"Calls, free of charge, whose result code the catalogue has never heard of, by code table.",
		"table")
	m.insertRows = f.counter("insert_rows_total", "Rows that ClickHouse acknowledged.")
	m.insertSeconds = f.histogram("insert_duration_seconds",
		"Time to store one batch in ClickHouse, retries included.", 0.01, 12)
	m.failures = f.counters("failures_total",
		"Tries of a step that failed and will be done again, by step.", "step")
	m.committed = f.gauges("committed_offset",
		"Next offset to read, as committed after its records were stored.", "topic", "partition")
	m.lag = f.gauges("lag_records",
		"Records in the log beyond what was fetched.", "topic", "partition")
	m.appended = f.watermark("append_watermark_timestamp_seconds",
		"Append time of the newest record that was stored.")
	f.age("append_lag_seconds",
		"Age of the newest record that was stored, by its append time; it also grows while no "+
			"records come.", m.now, &m.appended)
}

func (m *Metrics) settleMetrics(f factory) {
	m.swept = f.watermark("usage_sweep_timestamp_seconds",
		"Moment as of which the usage of open days was last computed.")
	f.age("usage_sweep_age_seconds",
		"Age of the usage that is shown for open days.", m.now, &m.swept)
	m.sweepSeconds = f.histogram("usage_sweep_duration_seconds",
		"Time of one sweep of the open days.", 0.01, 12)
	m.closings = f.counter("closings_total", "Closings done by this process.")
	m.leads = f.gauge("settle_leads",
		"1 in the process that closes, 0 in those that stand by for it.")
	m.lastClosing = f.gauge("last_closing_timestamp_seconds",
		"Nominal close time of the last closing that was done.")
	m.closeSeconds = f.histogram("closing_duration_seconds",
		"Time of one closing, from complete barriers to published bills.", 0.1, 14)
	m.waiting = f.gauges("closing_waiting_seconds",
		"How long the closing that is due has waited, by what it waits for; absent while nothing "+
			"is due.", "reason")
	m.missing = f.gauges("closing_missing_records",
		"Records that the due closing waits for because something of them is not stored, by what "+
			"they are; absent while nothing is missing. At most a hundred runs of records are looked at.",
		"topic", "partition", "kind")
	m.missingFrom = f.gauges("closing_missing_first_offset",
		"First offset of closing_missing_records.", "topic", "partition")
	m.missingTo = f.gauges("closing_missing_end_offset",
		"Offset after the last one of closing_missing_records.", "topic", "partition")
	m.bills = f.counter("bills_total", "Bills made by this process.")
	m.amount = f.counters("billed_amount_total",
		"Sum of the bills' totals without the sign, in units of the currency; for graphs only.",
		"currency", "sign")
}

// Registry is where further collectors belong.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler answers /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// Delivered counts a stored offset by what stood there (stored.Delivered…).
func (m *Metrics) Delivered(topic, outcome string) {
	m.records.WithLabelValues(topic, outcome).Inc()
	if outcome == "data" {
		m.decoded.WithLabelValues(topic).Inc()
	}
}

// Quarantined counts a record in quarantine.
func (m *Metrics) Quarantined(reason string) { m.quarantined.WithLabelValues(reason).Inc() }

// Duplicates counts copies that did not count, and how many of them differ.
func (m *Metrics) Duplicates(copies, conflicts int64) {
	m.duplicates.Add(float64(copies))
	m.conflicts.Add(float64(conflicts))
}

// UnknownCode counts a call with a result code that is unknown to its table.
func (m *Metrics) UnknownCode(table string) { m.unknownCodes.WithLabelValues(table).Inc() }

// Inserted notes a stored batch.
func (m *Metrics) Inserted(rows int, took time.Duration) {
	m.insertRows.Add(float64(rows))
	m.insertSeconds.Observe(took.Seconds())
}

// Failed counts a try that failed.
func (m *Metrics) Failed(step string) { m.failures.WithLabelValues(step).Inc() }

// Committed notes committed offsets.
func (m *Metrics) Committed(next map[kafkalog.TopicPartition]int64) {
	for p, offset := range next {
		m.committed.WithLabelValues(p.Topic, strconv.Itoa(p.Partition)).Set(float64(offset))
	}
}

// Lag notes how many records a partition has beyond what was fetched.
func (m *Metrics) Lag(topic string, partition int, records int64) {
	m.lag.WithLabelValues(topic, strconv.Itoa(partition)).Set(float64(records))
}

// Revoked forgets the partitions that another member reads from now on.
func (m *Metrics) Revoked() {
	m.lag.Reset()
	m.committed.Reset()
}

// Appended notes the append time of a record that was stored.
func (m *Metrics) Appended(at time.Time) { m.appended.raise(at) }

// Swept notes a sweep of the open days, as of a moment.
func (m *Metrics) Swept(asOf time.Time, took time.Duration) {
	m.swept.raise(asOf)
	m.sweepSeconds.Observe(took.Seconds())
}

// ClosingDone notes a closing; what was waited for is over.
func (m *Metrics) ClosingDone(at time.Time, bills int64, took time.Duration) {
	m.closings.Inc()
	m.bills.Add(float64(bills))
	m.lastClosing.Set(float64(at.Unix()))
	m.closeSeconds.Observe(took.Seconds())
	m.waiting.Reset()
}

// Missing is a run of records of which something is not stored, To not included.
type Missing struct {
	Topic     string
	Partition int32
	Kind      string
	From, To  int64
}

// Missing notes what the due closing misses, in the order of the offsets; none clears it.
func (m *Metrics) Missing(list []Missing) {
	m.missing.Reset()
	m.missingFrom.Reset()
	m.missingTo.Reset()
	seen := map[string]bool{}
	for _, x := range list {
		partition := strconv.Itoa(int(x.Partition))
		m.missing.WithLabelValues(x.Topic, partition, x.Kind).Add(float64(x.To - x.From))
		if log := x.Topic + "/" + partition; !seen[log] {
			seen[log] = true
			m.missingFrom.WithLabelValues(x.Topic, partition).Set(float64(x.From))
		}
		m.missingTo.WithLabelValues(x.Topic, partition).Set(float64(x.To))
	}
}

// Billed notes the total of a bill, for graphs.
func (m *Metrics) Billed(currency string, total float64) {
	sign := "positive"
	if total < 0 {
		sign, total = "negative", -total
	}
	m.amount.WithLabelValues(currency, sign).Add(total)
}

// Leads notes whether this process is the one that closes.
func (m *Metrics) Leads(yes bool) {
	m.leads.Set(0)
	if yes {
		m.leads.Set(1)
	}
}

// SettleWaits notes how long the due closing has waited, and for what. reason is one of a few
// steps, never a text with names in it.
func (m *Metrics) SettleWaits(reason string, d time.Duration) {
	m.waiting.Reset()
	m.waiting.WithLabelValues(reason).Set(d.Seconds())
}

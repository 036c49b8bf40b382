package observe

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type settleMetrics struct {
	leads        prometheus.Gauge
	closings     prometheus.Counter
	lastClosing  prometheus.Gauge
	nextClosing  prometheus.Gauge
	closeSeconds prometheus.Histogram
	blocked      *prometheus.GaugeVec
	missing      *prometheus.GaugeVec
	missingFrom  *prometheus.GaugeVec
	missingTo    *prometheus.GaugeVec
	unbalanced   *prometheus.GaugeVec
	booked       *prometheus.CounterVec
	calls        *prometheus.CounterVec
	late         prometheus.Counter
	conflicts    prometheus.Counter
	bills        prometheus.Counter
	amount       *prometheus.CounterVec
	statuses     *prometheus.CounterVec
}

// bookTerms are the terms of the books (B21), as their JSON names them.
var bookTerms = []string{"data", "aborted", "control", "compacted", "lost",
	"charged", "free", "duplicate", "quarantined", "waiting", "events"}

func newSettleMetrics(f factory) (m settleMetrics) {
	m.leads = f.gauge("settle_leads",
		"1 in the process that closes, 0 in those that stand by for it.")
	m.lastClosing = f.moment("last_closing_timestamp_seconds",
		"Nominal close time of the last closing that is done; NaN until it is known.")
	m.nextClosing = f.moment("next_closing_timestamp_seconds",
		"Nominal close time of the closing that is next, or under way; NaN until it is known.")
	m.closeSeconds = f.histogram("closing_duration_seconds",
		"Time of one closing, from complete barriers to published bills.", 0.1, 2, 14)
	m.blocked = f.gauges("closing_blocked_since_timestamp_seconds",
		"Since when the closing that is due has been held up, by the step that cannot be done; absent "+
			"while nothing holds it up. /readyz says what the step waits for.", "step")
	m.missing = f.gauges("closing_missing_records",
		"Records that the due closing waits for because something of them is not stored, by what "+
			"they are; absent while nothing is missing. At most a hundred runs of records are looked at.",
		"topic", "partition", "kind")
	m.missingFrom = f.gauges("closing_missing_first_offset",
		"First offset of closing_missing_records.", "topic", "partition")
	m.missingTo = f.gauges("closing_missing_end_offset",
		"Offset after the last one of closing_missing_records.", "topic", "partition")
	m.unbalanced = f.gauges("books_unbalanced",
		"1 for a partition whose books do not balance in the closing that is due; absent otherwise.",
		"topic", "partition")
	m.closingResults(f)
	return m
}

// closingResults are what closings that are done made.
func (m *settleMetrics) closingResults(f factory) {
	m.closings = f.counter("closings_total", "Closings done by this process.")
	m.booked = f.counters("books_records_total",
		"Offsets in the books of closings done by this process, by term: data, aborted, control, "+
			"compacted and lost make up the offsets; charged, free, duplicate, quarantined, waiting and "+
			"events make up the data.", "topic", "term")
	m.calls = f.counters("calls_closed_total",
		"Calls taken by closings of this process, by outcome: free, covered, postpaid or uncovered.",
		"outcome")
	m.late = f.counter("calls_late_total",
		"Calls taken by closings of a later day than the call's own, whatever made them late.")
	m.conflicts = f.counter("conflicts_total",
		"Duplicates that differ from the copy that counts in a billing field.")
	m.bills = f.counter("bills_total", "Bills made by closings of this process.")
	m.amount = f.counters("billed_amount_total",
		"Sum of the bills' totals without the sign, in units of the currency. A float, for graphs and "+
			"alerts only: the view bills has the exact amounts.", "currency", "sign")
	m.statuses = f.counters("status_changes_total",
		"Changes of service status that closings of this process fixed, by the status: active, "+
			"in_arrears or suspended.", "status")
	for _, outcome := range []string{"free", "covered", "postpaid", "uncovered"} {
		m.calls.WithLabelValues(outcome)
	}
	for _, status := range accountStatuses {
		m.statuses.WithLabelValues(status)
	}
}

// accountStatuses are those of billing.Status.
var accountStatuses = []string{"active", "in_arrears", "suspended"}

// Closing is what a closing that is done made.
type Closing struct {
	At              time.Time // its nominal close time
	Took            time.Duration
	Bills           int64
	Late, Conflicts int64
	Calls           map[string]int64 // by outcome
	Books           []BookTerm
	Billed          []Amount
	Statuses        []string // that accounts came to
}

// BookTerm is one term of the books of a topic.
type BookTerm struct {
	Topic, Term string
	Records     int64
}

// Amount is a sum of money, for graphs.
type Amount struct {
	Currency string
	Value    float64
}

// ClosingDone notes a closing; what held it up is over.
func (m *settleMetrics) ClosingDone(c Closing) {
	m.closings.Inc()
	m.lastClosing.Set(float64(c.At.Unix()))
	m.closeSeconds.Observe(c.Took.Seconds())
	m.bills.Add(float64(c.Bills))
	m.late.Add(float64(c.Late))
	m.conflicts.Add(float64(c.Conflicts))
	for outcome, n := range c.Calls {
		m.calls.WithLabelValues(outcome).Add(float64(n))
	}
	for _, b := range c.Books {
		m.booked.WithLabelValues(b.Topic, b.Term).Add(float64(b.Records))
	}
	for _, a := range c.Billed {
		sign, value := "positive", a.Value
		if value < 0 {
			sign, value = "negative", -value
		}
		m.amount.WithLabelValues(a.Currency, sign).Add(value)
	}
	for _, status := range c.Statuses {
		m.statuses.WithLabelValues(status).Inc()
	}
	m.blocked.Reset()
	m.unbalanced.Reset()
}

// LastClosing notes the last closing that is done, as the database has it.
func (m *settleMetrics) LastClosing(at time.Time) { m.lastClosing.Set(float64(at.Unix())) }

// NextClosing notes which closing is next.
func (m *settleMetrics) NextClosing(at time.Time) { m.nextClosing.Set(float64(at.Unix())) }

// Missing is a run of records of which something is not stored, To not included.
type Missing struct {
	Topic     string
	Partition int32
	Kind      string
	From, To  int64
}

// Missing notes what the due closing misses, in the order of the offsets; none clears it.
func (m *settleMetrics) Missing(list []Missing) {
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

// Unbalanced notes that the books of a partition do not balance.
func (m *settleMetrics) Unbalanced(topic string, partition int32) {
	m.unbalanced.WithLabelValues(topic, strconv.Itoa(int(partition))).Set(1)
}

// Balanced clears what Unbalanced noted.
func (m *settleMetrics) Balanced() { m.unbalanced.Reset() }

// Leads notes whether this process is the one that closes. One that stands by knows nothing of the
// closing that is due.
func (m *settleMetrics) Leads(yes bool) {
	m.leads.Set(0)
	if yes {
		m.leads.Set(1)
		return
	}
	m.blocked.Reset()
	m.unbalanced.Reset()
	m.Missing(nil)
}

// Blocked notes since when the due closing is held up, and at which step: one of a few, never a
// text with names in it.
func (m *settleMetrics) Blocked(step string, since time.Time) {
	m.blocked.Reset()
	m.blocked.WithLabelValues(step).Set(float64(since.UnixMilli()) / 1000)
}

// GoesOn notes that nothing holds the due closing up.
func (m *settleMetrics) GoesOn() { m.blocked.Reset() }

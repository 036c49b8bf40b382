package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type usageMetrics struct {
	swept        watermark
	sweepSeconds prometheus.Histogram
	accounts     *prometheus.GaugeVec
	packages     *prometheus.GaugeVec
	held         *prometheus.GaugeVec
	heldOldest   *prometheus.GaugeVec
	reasons      []string // that are known
}

func newUsageMetrics(f factory, now func() time.Time) (m usageMetrics) {
	m.swept = f.watermark("usage_sweep_timestamp_seconds",
		"Moment as of which the usage of open days was last computed.")
	f.age("usage_sweep_age_seconds",
		"Age of the usage that is shown for open days.", now, &m.swept)
	m.sweepSeconds = f.histogram("usage_sweep_duration_seconds",
		"Time of one sweep of the open days.", 0.01, 2, 12)
	m.accounts = f.gauges("accounts",
		"Main accounts that closings know, by service status: active, in_arrears or suspended; "+
			"changes between closings included. Of several processes take the maximum.", "status")
	m.packages = f.gauges("packages",
		"Packages with calls left as of the last closing: live ones, those of them that are "+
			"nearly_used (a tenth left, or less), and those that are expiring within seven days. Of "+
			"several processes take the maximum.", "state")
	m.held = f.gauges("quarantine_records",
		"Records that are in quarantine now, by reason. Of several processes take the maximum.",
		"reason")
	m.heldOldest = f.gauges("quarantine_oldest_timestamp_seconds",
		"Append time of the oldest record that is in quarantine now, by reason; absent where there "+
			"is none.", "reason")
	return m
}

// Swept notes a sweep of the open days, as of a moment.
func (m *usageMetrics) Swept(asOf time.Time, took time.Duration) {
	m.swept.raise(asOf)
	m.sweepSeconds.Observe(took.Seconds())
}

// Survey is what stands in the database now.
type Survey struct {
	Accounts   map[string]int64 // by service status
	Packages   map[string]int64 // live, nearly_used, expiring
	Quarantine map[string]Held  // by reason
}

// Held are the records that a reason holds in quarantine.
type Held struct {
	Records int64
	Oldest  time.Time // append time
}

// Surveyed notes what stands in the database.
func (m *usageMetrics) Surveyed(s Survey) {
	for status, n := range s.Accounts {
		m.accounts.WithLabelValues(status).Set(float64(n))
	}
	for state, n := range s.Packages {
		m.packages.WithLabelValues(state).Set(float64(n))
	}
	m.held.Reset()
	m.heldOldest.Reset()
	for _, reason := range m.reasons {
		m.held.WithLabelValues(reason)
	}
	for reason, h := range s.Quarantine {
		m.held.WithLabelValues(reason).Set(float64(h.Records))
		m.heldOldest.WithLabelValues(reason).Set(float64(h.Oldest.UnixMilli()) / 1000)
	}
}

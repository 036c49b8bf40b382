package observe

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Rebuilt is how a rebuild ended.
type Rebuilt struct {
	Closings, Bills, Differences int64
	At                           time.Time
}

const roleRebuild = "rebuild --metrics-file"

// rebuildMetrics are those of one rebuild, which ends before anybody could scrape it.
type rebuildMetrics struct {
	registry  *prometheus.Registry
	described []Description

	closings, bills, differences, finished prometheus.Gauge
}

func newRebuildMetrics() *rebuildMetrics {
	m := &rebuildMetrics{registry: prometheus.NewRegistry()}
	f := factory{m.registry, roleRebuild, &m.described}
	m.closings = f.gauge("rebuild_closings", "Closings that the last rebuild made again.")
	m.bills = f.gauge("rebuild_bills", "Bills that the last rebuild compared with published ones.")
	m.differences = f.gauge("rebuild_differences",
		"Fields, digests among them, in which the last rebuild makes bills and changes of status "+
			"other than they were published.")
	m.finished = f.gauge("rebuild_finished_timestamp_seconds", "When the last rebuild ended.")
	return m
}

// WriteRebuilt writes the metrics of a rebuild to a file for the textfile collector of Prometheus'
// node exporter. The file is replaced as a whole.
func WriteRebuilt(file string, r Rebuilt) error {
	m := newRebuildMetrics()
	m.closings.Set(float64(r.Closings))
	m.bills.Set(float64(r.Bills))
	m.differences.Set(float64(r.Differences))
	m.finished.Set(float64(r.At.Unix()))
	if err := prometheus.WriteToTextfile(file, m.registry); err != nil {
		return fmt.Errorf("write the metrics of the rebuild: %w", err)
	}
	return nil
}

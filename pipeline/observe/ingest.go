package observe

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tollstream/pipeline/kafkalog"
)

type ingestMetrics struct {
	records       *prometheus.CounterVec // read, by topic and outcome
	decoded       *prometheus.CounterVec
	quarantined   *prometheus.CounterVec
	unknownCodes  *prometheus.CounterVec
	batchRecords  prometheus.Histogram
	batchBytes    prometheus.Histogram
	batchSeconds  prometheus.Histogram
	insertSeconds prometheus.Histogram
	committed     *prometheus.GaugeVec
	lagRecords    *prometheus.GaugeVec
	lagSeconds    *prometheus.GaugeVec
	occurred      *prometheus.GaugeVec
	appended      watermark
}

func newIngestMetrics(f factory, now func() time.Time) (m ingestMetrics) {
	m.records = f.counters("records_read_total",
		"Offsets read from Kafka and stored, by what stood there: data, quarantined, aborted, "+
			"control or compacted.", "topic", "outcome")
	m.decoded = f.counters("records_decoded_total",
		"Records that were well-formed.", "topic")
	m.quarantined = f.counters("records_quarantined_total",
		"Records put into quarantine on arrival, by reason; unknown_account and no_billing_tag wait, "+
			"the others are refused.", "reason")
	m.unknownCodes = f.counters("unknown_result_codes_total",
		"Calls, free of charge, whose result code the catalogue has never heard of, by code table.",
		"table")
	m.batchRecords = f.histogram("batch_records",
		"Offsets of the batches that were stored.", 1, 4, 11)
	m.batchBytes = f.histogram("batch_bytes",
		"Bytes of the records of the batches that were stored, decompressed.", 1024, 4, 11)
	m.batchSeconds = f.histogram("batch_duration_seconds",
		"Time from a batch that is complete in memory to its committed offsets, tries that failed "+
			"included.", 0.01, 2, 14)
	m.insertSeconds = f.histogram("insert_duration_seconds",
		"Time to store one batch in ClickHouse, tries that failed included.", 0.01, 2, 14)
	m.committed = f.gauges("committed_offset",
		"Next offset to read, as committed after its records were stored: the durable offset.",
		"topic", "partition")
	m.lagRecords = f.gauges("lag_records",
		"Offsets in the log that are not stored and committed; looked at every few seconds, as of "+
			"the last answer of the brokers.", "topic", "partition")
	m.lagSeconds = f.gauges("lag_seconds",
		"How long the partition has had records that are not stored: since the oldest of them was "+
			"seen in the log; 0 while there is none.", "topic", "partition")
	m.occurred = f.gauges("event_watermark_timestamp_seconds",
		"When the latest call that was stored was made, as its record says.", "topic", "partition")
	m.appended = f.watermark("append_watermark_timestamp_seconds",
		"Append time of the newest record that was stored.")
	f.age("append_lag_seconds",
		"Age of the newest record that was stored, by its append time; it also grows while no "+
			"records come.", now, &m.appended)
	return m
}

// Delivered counts stored offsets by what stood there (stored.Delivered…).
func (m *ingestMetrics) Delivered(topic, outcome string, n int64) {
	m.records.WithLabelValues(topic, outcome).Add(float64(n))
	if outcome == "data" {
		m.decoded.WithLabelValues(topic).Add(float64(n))
	}
}

// Quarantined counts a record in quarantine.
func (m *ingestMetrics) Quarantined(reason string) { m.quarantined.WithLabelValues(reason).Inc() }

// UnknownCodes counts calls with result codes that are unknown to their table.
func (m *ingestMetrics) UnknownCodes(table string, n int64) {
	m.unknownCodes.WithLabelValues(table).Add(float64(n))
}

// Inserted notes how long a batch took to store.
func (m *ingestMetrics) Inserted(took time.Duration) { m.insertSeconds.Observe(took.Seconds()) }

// Batch notes a batch whose offsets are committed.
func (m *ingestMetrics) Batch(offsets int64, bytes int, took time.Duration) {
	m.batchRecords.Observe(float64(offsets))
	m.batchBytes.Observe(float64(bytes))
	m.batchSeconds.Observe(took.Seconds())
}

// Committed notes committed offsets.
func (m *ingestMetrics) Committed(next map[kafkalog.TopicPartition]int64) {
	for p, offset := range next {
		m.committed.WithLabelValues(p.Topic, strconv.Itoa(p.Partition)).Set(float64(offset))
	}
}

// Lag notes how many offsets of a partition are not stored, and for how long there have been any.
func (m *ingestMetrics) Lag(p kafkalog.TopicPartition, records int64, since time.Duration) {
	partition := strconv.Itoa(p.Partition)
	m.lagRecords.WithLabelValues(p.Topic, partition).Set(float64(records))
	m.lagSeconds.WithLabelValues(p.Topic, partition).Set(since.Seconds())
}

// Revoked forgets the partitions, which another member may read from now on.
func (m *ingestMetrics) Revoked() {
	m.lagRecords.Reset()
	m.lagSeconds.Reset()
	m.committed.Reset()
	m.occurred.Reset()
}

// Appended notes the append time of a record that was stored.
func (m *ingestMetrics) Appended(at time.Time) { m.appended.raise(at) }

// Occurred notes until when a partition's stored calls were made.
func (m *ingestMetrics) Occurred(p kafkalog.TopicPartition, at time.Time) {
	m.occurred.WithLabelValues(p.Topic, strconv.Itoa(p.Partition)).
		Set(float64(at.UnixMicro()) / 1e6)
}

// Package kafkalog reads Kafka partitions as logs: every offset is seen once and accounted for.
//
// It owns: a Fetch on kafka-go's transport that shows append time, aborted records and control
// records; the record-batch v2 decoder; offsets by time; what a topic is (id, partitions,
// configuration); consumer-group membership with fenced commits; a small producer and the creation
// of topics for files, demos and tests.
//
// It does not own: what a record's bytes mean, when an offset may be committed, how partitions are
// spread over workers, exactly-once. TLS, SASL, connections, leader routing and group heartbeats
// are kafka-go's.
//
// Invariants:
//   - For each Fetched: Next - requested = len(Records) + the lengths of Compacted. No offset is
//     skipped silently; an offset outside the log is an *OffsetOutOfRange, never a jump.
//   - Records stand in offset order and below the last stable offset, so an outcome never changes
//     once it was delivered.
//   - Append time is the broker's clock only where Record.TimestampType says LogAppendTime.
//   - A corrupt batch is a *CorruptBatch naming topic, partition and offset; its records are not
//     delivered, nor are those after it.
//   - Memory for one fetch is bounded, whatever the broker sends (responseSlack, batchBytesMax).
//   - All waiting is bounded: by the context, by Options.RetryFor, and by requestTimeout.
//
// How the Fetch gets past kafka-go's own types: fetchRequest is a protocol.RawExchanger, so it
// writes itself to the pooled connection and reads its own answer. kafka-go's registered Fetch
// types are not replaced; nothing here is process-wide. (kafka-go's Reader and Client.Fetch stay
// usable, and stay unfit for billing: they deliver aborted records, show the producer's clock
// as the time, and the Reader jumps over offsets that are out of range.)
package kafkalog

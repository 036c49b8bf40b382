// Package clickhouse stores calls, events, quarantined records and what closings decided, and
// reads them back. It owns the connection, the mapping between the nouns of billing and columns,
// the order in which the parts of a batch are written, the sweep of open usage, and running the
// migrations of schemas/clickhouse.
//
// It does not own: what a call is worth, which copy of it counts for good, retrying (the caller
// retries what IsTransient allows), Kafka offsets.
//
// Invariants: every insert is idempotent and commutes with every other, so the same batch twice,
// cut differently or in another order gives the same views; nothing is deduplicated by token or
// window; a value that its column cannot hold exactly is an error and never cut.
package clickhouse

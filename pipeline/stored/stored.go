// Package stored holds the rows that the three loops (ingest, usage, settle) hand to the store and
// get back from it, in the words of the kernel. It owns shapes only: how they are kept is the
// business of sinks/clickhouse, when they are written that of the loops.
package stored

import (
	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/tagging"
)

// Batch is what one round of ingest stores. Writing it twice, or cut in another way, changes
// nothing: every row is an element of a set.
type Batch struct {
	Calls       Calls
	Events      []Event
	Quarantined []Quarantined
	Deliveries  Deliveries
	Requeued    []Requeued // not stored with it
}

// Reset takes everything away, and keeps the memory of columns for others. That of events and
// quarantined records, which are large and come many at once, goes with a batch that has few.
func (b *Batch) Reset() {
	b.Calls.Reset()
	b.Deliveries.Reset()
	b.Events, b.Quarantined, b.Requeued = reset(b.Events), reset(b.Quarantined), reset(b.Requeued)
}

// reset takes all elements away, so that nothing of them is kept in memory.
func reset[T any](list []T) []T {
	if len(list) < cap(list)/4 {
		return nil
	}
	clear(list)
	return list[:0]
}

// Call is a delivered copy of a call with what was known about it on arrival. The enrichment is
// provisional: the closing that takes the call judges it again (B26).
type Call struct {
	billing.CallRecord
	tagging.Judgement
	Main          string // main account, "" while unknown
	Cohort        string
	CatalogDigest string
}

// Waits says why a call of an account has to wait or has no tag, as far as known now: its main
// account is "" while it is unknown. It is nil when neither is so.
func Waits(main, account, noTag string) *billing.Refusal {
	switch {
	case main == "":
		return billing.NotOpen(account)
	case noTag != "":
		return &billing.Refusal{Reason: billing.NoBillingTag, Detail: noTag}
	}
	return nil
}

// How a record leaves the quarantine.
const (
	ResolvedTaken     = "taken"
	ResolvedDuplicate = "duplicate"
	ResolvedAccepted  = "accepted"
	ResolvedRequeued  = "requeued"
)

// Event is an account event as delivered, with its bytes.
type Event struct {
	billing.AccountEvent
	Value []byte
}

// Quarantined is a record that was refused or has to wait, with its bytes.
type Quarantined struct {
	Arrival    billing.Arrival
	Key, Value []byte
	Headers    map[string]string
	Refusal    billing.Refusal
	AccountID  string
	ID         string // call_id or event_id, where it could be read
	Resolved   string // "", or what became of it later
	Version    uint64 // the highest counts
}

// RequeuedFrom is the header of a record that was sent again out of the quarantine. It says where
// the record stood before, as billing.Arrival.Place writes it.
const RequeuedFrom = "requeued-from"

// Requeued is a record of the quarantine that was sent again: where it stood, and the hash of its
// bytes, which are those of the new record.
type Requeued struct {
	Topic     string
	Partition int32
	Offset    int64
	ValueHash string
}

// Outcomes of a delivery.
const (
	DeliveredData        = "data"
	DeliveredQuarantined = "quarantined"
	DeliveredAborted     = "aborted"
	DeliveredControl     = "control"
	DeliveredCompacted   = "compacted"
)

// Delivery says what stood at an offset. There is one for every offset (B21).
type Delivery struct {
	Arrival billing.Arrival
	Outcome string
	// IDHash and BillingHash name the copy of a call that was delivered; 0 for other records.
	IDHash, BillingHash uint64
	// Reason is the one for which the record went into quarantine on arrival, "" where it did not.
	Reason billing.Reason
}

// Sweep is one recount of the open usage.
type Sweep struct {
	AsOf    billing.Instant
	Copies  uint64 // copies in the window, taken ones included
	Rows    uint64 // rows of open_usage
	Seconds decimal.Decimal
}

// Barrier is the end, exclusive, of what a closing sees of one partition. Its JSON is the one of
// the settlements topic and of the table of settlements.
type Barrier struct {
	Topic     string `json:"topic"` // of the log: Epoch.Log
	Partition int32  `json:"partition"`
	Low       int64  `json:"low"` // the barrier before, or where the log began
	High      int64  `json:"high"`
	// TopicID tells the topic from another of the same name; "" where it is not known.
	TopicID string `json:"topic_id,omitempty"`
}

// Settlement is the record of one closing: what it saw and by what it judged (B21, B26).
type Settlement struct {
	Day            billing.Day
	ClosedAt       billing.Instant
	CatalogDigest  string
	CatalogVersion string
	RuleVersion    int
	ClusterID      string // "" in records of before it was kept
	Barriers       []Barrier
	Gaps           []Gap // accepted ones below the barriers; known once the closing is done
}

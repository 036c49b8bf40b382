package stored

import "tollstream/pipeline/billing"

// LineCall is a call behind a line of a bill.
type LineCall struct {
	CallID     string
	AccountID  string // as received: the main account or one of its sub-accounts
	OccurredAt billing.Instant
	ResultCode string
	Arrival    billing.Arrival // of the copy that counts; without its time
	TakenAt    billing.Instant // nominal time of the closing that took it
	VoidedBy   string          // event_id of the usage.voided; only on voided lines
}

// LineLog counts the calls of a line of one day that stand in one partition.
type LineLog struct {
	Day         billing.Day
	Topic       string
	Partition   int32
	First, Last int64 // offsets
	Calls       int64
}

// LineOfBill is a line of some bill that has units of a tag and month.
type LineOfBill struct {
	BillID   string
	No       int
	Kind     billing.LineKind
	Period   string
	Quantity int64
}

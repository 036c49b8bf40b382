package billing

import "cmp"

// CallRecord (话单) is one chargeable act as it was received: decoded and well-formed (rule B7), not
// yet judged. AccountID is as received, a main account or one of its sub-accounts.
type CallRecord struct {
	CallID     string
	AccountID  string
	OccurredAt Instant
	// Dims holds the values of the catalogue's rating dimensions in the order of its list;
	// "" stands for absent, booleans are "true" and "false".
	Dims       []string
	ResultCode string
	// NeedCharge is the flow's own IsNeedCharge: "true", "false" or "" when the record has none.
	// It is recorded and compared, and never decides what is billed.
	NeedCharge string
	SDK        SDK
	Arrival    Arrival
}

// SDK names the client library that made a call, for the report of outdated versions.
type SDK struct{ Platform, Name, Version string }

// CompareCalls is the order in which calls are taken: (occurred_at, call_id), rule B10.
func CompareCalls(a, b *CallRecord) int {
	return cmp.Or(cmp.Compare(a.OccurredAt, b.OccurredAt), cmp.Compare(a.CallID, b.CallID))
}

// SameBilling tells whether two copies of a call agree in every field that can move a bill.
func (c *CallRecord) SameBilling(o *CallRecord) bool {
	if c.AccountID != o.AccountID || c.OccurredAt != o.OccurredAt || c.ResultCode != o.ResultCode ||
		c.NeedCharge != o.NeedCharge || len(c.Dims) != len(o.Dims) {
		return false
	}
	for i := range c.Dims {
		if c.Dims[i] != o.Dims[i] {
			return false
		}
	}
	return true
}

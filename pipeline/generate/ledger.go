package generate

import (
	"maps"

	"tollstream/pipeline/billing"
)

// Ledger says what a stream contains, for tests that compare it with what came out at the end.
type Ledger struct {
	Records int64 // all of them
	Calls   int64 // distinct calls that a closing will take
	Charged int64 // of those
	Free    int64 // of those, the ones of free actions included
	Voided  int64 // of those, the ones named by a usage.voided before their closing

	UnknownCodes int64 // of the free ones
	FreeActions  int64 // of the free ones
	Late         int64 // of the calls

	Duplicates int64 // further copies of calls
	Conflicts  int64 // of the copies, those that differ in a billing field

	UnknownAccounts int64 // records of accounts that never open
	NoTag           int64 // records without a billing tag
	Malformed       map[billing.Reason]int64
	MalformedEvents map[billing.Reason]int64

	Events          map[billing.EventType]int64 // well-formed events, copies not counted
	EventDuplicates int64

	CallRecords  int64 // on the topic of calls
	EventRecords int64 // on the topic of account events
	ByCohort     map[string]int64
	First, Last  billing.Instant // arrivals
}

func newLedger() Ledger {
	return Ledger{Malformed: map[billing.Reason]int64{},
		MalformedEvents: map[billing.Reason]int64{}, Events: map[billing.EventType]int64{},
		ByCohort: map[string]int64{}}
}

func (l *Ledger) clone() Ledger {
	c := *l
	c.Malformed, c.MalformedEvents = maps.Clone(l.Malformed), maps.Clone(l.MalformedEvents)
	c.Events, c.ByCohort = maps.Clone(l.Events), maps.Clone(l.ByCohort)
	return c
}

// MalformedRecords is the number of records that cannot be decoded, of both topics.
func (l *Ledger) MalformedRecords() int64 {
	n := int64(0)
	for _, m := range []map[billing.Reason]int64{l.Malformed, l.MalformedEvents} {
		for _, count := range m { // a sum has no order
			n += count
		}
	}
	return n
}

func (l *Ledger) delivered(r *Record, eventsTopic string) {
	l.Records++
	if r.Topic == eventsTopic {
		l.EventRecords++
	} else {
		l.CallRecords++
	}
	if l.Records == 1 {
		l.First = r.Arrived
	}
	l.Last = r.Arrived
}

// Package billing holds the nouns of tollstream: instants, days and periods, call records, account
// events, packages, bills, bill lines and service status. It owns their identity, order and text
// forms. It does not own prices (catalog), tags (tagging), arithmetic (rating) or period ends
// (closing), and it does no I/O: no clock, no goroutine, no random number, no float.
//
// Five names for time, never interchangeable:
//
//   - OccurredAt: when a call was made. It decides the call's day, its tag and its price.
//   - EffectiveAt: when an account event says that it holds.
//   - Arrival: where and when the broker appended a record. It alone decides lateness.
//   - ActsAt: the moment from which a known event influences balance, refunds and postpaid
//     switching (EffectiveAt, or the last closing that missed the event; rule B25).
//   - ClosedAt: the nominal close time of a period (rule B18), never the wall clock.
package billing

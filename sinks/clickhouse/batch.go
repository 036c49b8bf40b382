package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tollstream/pipeline/billing"
)

// Batch is what ingest has made of a stretch of each partition that it reads.
type Batch struct {
	Calls       []CallRow
	Events      []EventRow
	Quarantined []QuarantineRow
	Deliveries  []DeliveryRow
}

// CallRow is a well-formed copy of a call with what is known about it on arrival. All but the
// record is provisional: a closing judges anew (rule B26).
type CallRow struct {
	billing.CallRecord
	Main, Cohort                       string // "" while the account is unknown
	Channel, Postpaid, Prepaid, Legacy string
	Charged, CodeKnown                 bool
	NoTag                              string
	CatalogDigest                      string
}

// EventRow is a well-formed account event with its bytes.
type EventRow struct {
	Event billing.AccountEvent
	Value []byte
}

// QuarantineRow is a record that is refused or waits. Of the rows of one place the one with the
// highest Version counts, so a row that resolves an earlier one repeats its fields.
type QuarantineRow struct {
	Arrival       billing.Arrival
	Key, Value    []byte
	Headers       map[string]string
	Refusal       billing.Refusal
	AccountID, ID string // "" where they could not be read
	Resolved      string // "" while in quarantine, else one of the constants below
	Version       uint64
}

// How a record leaves the quarantine.
const (
	ResolvedTaken     = "taken"
	ResolvedDuplicate = "duplicate"
	ResolvedAccepted  = "accepted"
	ResolvedRequeued  = "requeued"
)

// DeliveryRow says what stands at one offset.
type DeliveryRow struct {
	Arrival billing.Arrival
	Outcome string // one of the constants below
	IDHash  uint64 // IDHash of call_id or event_id, 0 where none could be read
}

// What can stand at an offset.
const (
	DeliveredData        = "data"
	DeliveredQuarantined = "quarantined"
	DeliveredAborted     = "aborted"
	DeliveredControl     = "control"
	DeliveredCompacted   = "compacted" // the log skips the offset
)

// WriteBatch stores a batch. Any batch may be written again, cut differently, in any order.
//
//	1 calls   2 events   3 quarantine   4 deliveries   (then the caller commits its offsets)
//
// A crash before 4 leaves facts that no books know of: the offsets are read again, and writing
// them again changes nothing. A crash after 4 and before the commit of offsets means the same.
// Deliveries come last because the books (B21) take a row there as proof that the facts of that
// offset are stored; the other order could balance books over a call that was lost.
func (s *Store) WriteBatch(ctx context.Context, b *Batch) error {
	for i := range b.Calls {
		if have, want := len(b.Calls[i].Dims), len(s.options.Dims); have != want {
			return fmt.Errorf("call at %s has %d dimensions, the store was opened for %d (%s)",
				b.Calls[i].Arrival.Place(), have, want, strings.Join(s.options.Dims, ", "))
		}
	}
	for _, write := range []func() error{
		func() error { return s.insert(ctx, "call_copies", copyColumns(b.Calls, s.options.Dims)) },
		func() error { return s.insert(ctx, "account_events", eventColumns(b.Events)) },
		func() error {
			return s.insert(ctx, "quarantined_records", quarantineColumns(b.Quarantined))
		},
		func() error { return s.insert(ctx, "deliveries", deliveryColumns(b.Deliveries)) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

func copyColumns(rows []CallRow, dims []string) []column {
	n := len(rows)
	text := func(at func(r *CallRow) string) []string {
		return values(n, func(i int) string { return at(&rows[i]) })
	}
	hash := newBillingHasher(dims)
	maps := newDimMaps(dims)
	return append([]column{
		{"call_id", text(func(r *CallRow) string { return r.CallID })},
		{"account_id", text(func(r *CallRow) string { return r.AccountID })},
		{"occurred_at", instants(n, func(i int) billing.Instant { return rows[i].OccurredAt })},
		{"dims", values(n, func(i int) *dimMap { return maps.of(rows[i].Dims) })},
		{"result_code", text(func(r *CallRow) string { return r.ResultCode })},
		{"need_charge", text(func(r *CallRow) string { return r.NeedCharge })},
		{"sdk_platform", text(func(r *CallRow) string { return r.SDK.Platform })},
		{"sdk_name", text(func(r *CallRow) string { return r.SDK.Name })},
		{"sdk_version", text(func(r *CallRow) string { return r.SDK.Version })},
		{"billing_hash", values(n, func(i int) uint64 { return hash.sum(&rows[i].CallRecord) })},
		{"main_account", text(func(r *CallRow) string { return r.Main })},
		{"cohort", text(func(r *CallRow) string { return r.Cohort })},
		{"channel", text(func(r *CallRow) string { return r.Channel })},
		{"postpaid_tag", text(func(r *CallRow) string { return r.Postpaid })},
		{"prepaid_tag", text(func(r *CallRow) string { return r.Prepaid })},
		{"legacy_tag", text(func(r *CallRow) string { return r.Legacy })},
		{"charged", values(n, func(i int) bool { return rows[i].Charged })},
		{"code_known", values(n, func(i int) bool { return rows[i].CodeKnown })},
		{"no_tag", text(func(r *CallRow) string { return r.NoTag })},
		{"catalog_digest", text(func(r *CallRow) string { return r.CatalogDigest })},
	}, arrivalColumns(n, func(i int) *billing.Arrival { return &rows[i].Arrival })...)
}

func eventColumns(rows []EventRow) []column {
	n := len(rows)
	text := func(at func(e *billing.AccountEvent) string) []string {
		return values(n, func(i int) string { return at(&rows[i].Event) })
	}
	return append([]column{
		{"event_id", text(func(e *billing.AccountEvent) string { return e.EventID })},
		{"type", text(func(e *billing.AccountEvent) string { return string(e.Type) })},
		{"account_id", text(func(e *billing.AccountEvent) string { return e.AccountID })},
		{"effective_at", instants(n, func(i int) billing.Instant {
			return rows[i].Event.EffectiveAt
		})},
		{"value", values(n, func(i int) []byte { return rows[i].Value })},
	}, arrivalColumns(n, func(i int) *billing.Arrival { return &rows[i].Event.Arrival })...)
}

func quarantineColumns(rows []QuarantineRow) []column {
	n := len(rows)
	text := func(at func(r *QuarantineRow) string) []string {
		return values(n, func(i int) string { return at(&rows[i]) })
	}
	return append([]column{
		{"key", values(n, func(i int) []byte { return rows[i].Key })},
		{"value", values(n, func(i int) []byte { return rows[i].Value })},
		{"headers", values(n, func(i int) map[string]string { return rows[i].Headers })},
		{"reason", text(func(r *QuarantineRow) string { return string(r.Refusal.Reason) })},
		{"detail", text(func(r *QuarantineRow) string { return r.Refusal.Detail })},
		{"account_id", text(func(r *QuarantineRow) string { return r.AccountID })},
		{"call_or_event_id", text(func(r *QuarantineRow) string { return r.ID })},
		{"resolved", text(func(r *QuarantineRow) string { return r.Resolved })},
		{"version", values(n, func(i int) uint64 { return rows[i].Version })},
	}, arrivalColumns(n, func(i int) *billing.Arrival { return &rows[i].Arrival })...)
}

func deliveryColumns(rows []DeliveryRow) []column {
	n := len(rows)
	return append([]column{
		{"outcome", values(n, func(i int) string { return rows[i].Outcome })},
		{"id_hash", values(n, func(i int) uint64 { return rows[i].IDHash })},
	}, arrivalColumns(n, func(i int) *billing.Arrival { return &rows[i].Arrival })...)
}

// arrivalColumns are the four columns that every table of input has.
func arrivalColumns(n int, at func(i int) *billing.Arrival) []column {
	return []column{
		{"topic", values(n, func(i int) string { return at(i).Topic })},
		{"partition", values(n, func(i int) int32 { return at(i).Partition })},
		{"offset", values(n, func(i int) int64 { return at(i).Offset })},
		{"appended_at", values(n, func(i int) time.Time { return at(i).Appended.Time() })},
	}
}

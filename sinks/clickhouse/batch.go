package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// WriteBatch stores a batch. Any batch may be written again, cut differently, in any order.
//
//	1 calls   2 events   3 quarantine   4 deliveries   (then the caller commits its offsets)
//
// A crash before 4 leaves facts that no books know of: the offsets are read again, and writing
// them again changes nothing. A crash after 4 and before the commit of offsets means the same.
// Deliveries come last because the books (B21) take a row there as proof that the facts of that
// offset are stored; the other order could balance books over a call that was lost.
func (s *Store) WriteBatch(ctx context.Context, b *stored.Batch) error {
	for _, shape := range b.Calls.Shapes {
		if have, want := len(shape.Dims), len(s.options.Dims); have != want {
			return fmt.Errorf("calls of topic %s have %d dimensions, the store was opened for %d (%s)",
				shape.Topic, have, want, strings.Join(s.options.Dims, ", "))
		}
	}
	for _, write := range []func() error{
		func() error { return s.insertCalls(ctx, &b.Calls) },
		func() error { return s.insert(ctx, "account_events", eventColumns(b.Events)) },
		func() error {
			rows, err := s.withoutRedacted(ctx, b.Quarantined)
			if err != nil {
				return err
			}
			return s.insert(ctx, "quarantined_records", quarantineColumns(rows))
		},
		func() error { return s.insertDeliveries(ctx, &b.Deliveries) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// copyColumns and deliveryColumns are calls and deliveries as the driver takes them over its native
// protocol, which has no blocks that are made elsewhere; block_rows.go has them for HTTP.
func copyColumns(calls *stored.Calls, dims []string) []column {
	rows := calls.Rows()
	n := len(rows)
	text := func(at func(r *stored.Call) string) made[string] {
		return values(n, func(i int) string { return at(&rows[i]) })
	}
	maps := newDimMaps(dims)
	return append([]column{
		{"call_id", text(func(r *stored.Call) string { return r.CallID })},
		{"account_id", text(func(r *stored.Call) string { return r.AccountID })},
		{"occurred_at", instants(n, func(i int) billing.Instant { return rows[i].OccurredAt })},
		{"dims", values(n, func(i int) *dimMap { return maps.of(rows[i].Dims) })},
		{"result_code", text(func(r *stored.Call) string { return r.ResultCode })},
		{"need_charge", text(func(r *stored.Call) string { return r.NeedCharge })},
		{"sdk_platform", text(func(r *stored.Call) string { return r.SDK.Platform })},
		{"sdk_name", text(func(r *stored.Call) string { return r.SDK.Name })},
		{"sdk_version", text(func(r *stored.Call) string { return r.SDK.Version })},
		{"billing_hash", values(n, func(i int) uint64 { return calls.BillingHash[i] })},
		{"main_account", text(func(r *stored.Call) string { return r.Main })},
		{"cohort", text(func(r *stored.Call) string { return r.Cohort })},
		{"channel", text(func(r *stored.Call) string { return r.Channel })},
		{"postpaid_tag", text(func(r *stored.Call) string { return string(r.Postpaid) })},
		{"prepaid_tag", text(func(r *stored.Call) string { return string(r.Prepaid) })},
		{"legacy_tag", text(func(r *stored.Call) string { return string(r.Legacy) })},
		{"charged", values(n, func(i int) bool { return rows[i].Charged })},
		{"code_known", values(n, func(i int) bool { return rows[i].CodeKnown })},
		{"no_tag", text(func(r *stored.Call) string { return r.NoTag })},
		{"catalog_digest", text(func(r *stored.Call) string { return r.CatalogDigest })},
	}, arrivalColumns(n, func(i int) *billing.Arrival { return &rows[i].Arrival })...)
}

func eventColumns(rows []stored.Event) []column {
	n := len(rows)
	text := func(at func(e *billing.AccountEvent) string) made[string] {
		return values(n, func(i int) string { return at(&rows[i].AccountEvent) })
	}
	return append([]column{
		{"event_id", text(func(e *billing.AccountEvent) string { return e.EventID })},
		{"type", text(func(e *billing.AccountEvent) string { return string(e.Type) })},
		{"account_id", text(func(e *billing.AccountEvent) string { return e.AccountID })},
		{"effective_at", instants(n, func(i int) billing.Instant {
			return rows[i].EffectiveAt
		})},
		{"value", values(n, func(i int) []byte { return rows[i].Value })},
	}, arrivalColumns(n, func(i int) *billing.Arrival { return &rows[i].Arrival })...)
}

func quarantineColumns(rows []stored.Quarantined) []column {
	n := len(rows)
	text := func(at func(r *stored.Quarantined) string) made[string] {
		return values(n, func(i int) string { return at(&rows[i]) })
	}
	return append([]column{
		{"key", values(n, func(i int) []byte { return rows[i].Key })},
		{"value", values(n, func(i int) []byte { return rows[i].Value })},
		{"headers", values(n, func(i int) map[string]string { return rows[i].Headers })},
		{"reason", text(func(r *stored.Quarantined) string { return string(r.Refusal.Reason) })},
		{"detail", text(func(r *stored.Quarantined) string { return r.Refusal.Detail })},
		{"account_id", text(func(r *stored.Quarantined) string { return r.AccountID })},
		{"call_or_event_id", text(func(r *stored.Quarantined) string { return r.ID })},
		{"resolved", text(func(r *stored.Quarantined) string { return r.Resolved })},
		{"version", values(n, func(i int) uint64 { return rows[i].Version })},
	}, arrivalColumns(n, func(i int) *billing.Arrival { return &rows[i].Arrival })...)
}

func deliveryColumns(d *stored.Deliveries) []column {
	rows := list(d.Len(), d.At)
	n := len(rows)
	return append([]column{
		{"outcome", values(n, func(i int) string { return rows[i].Outcome })},
		{"id_hash", values(n, func(i int) uint64 { return rows[i].IDHash })},
		{"billing_hash", values(n, func(i int) uint64 { return rows[i].BillingHash })},
		{"reason", values(n, func(i int) string { return string(rows[i].Reason) })},
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

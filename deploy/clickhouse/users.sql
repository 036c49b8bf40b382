-- ClickHouse roles for the users of tollstream. Made by
--   go test ./cmd/tollstream -run TestGrants -update-grants
-- from the statements that each role of the pipeline issues in that test; a statement that no grant
-- here allows fails it. Run it as an administrator after tollstream migrate, then for each process
--   CREATE USER ingest IDENTIFIED BY '...' DEFAULT ROLE tollstream_ingest;
-- and give the process that user as clickhouse.user. Another database than billing: replace it.
--
--   tollstream_owner    migrate, rebuild, quarantine requeue, quarantine redact
--   tollstream_ingest   run --roles=ingest
--   tollstream_usage    run --roles=usage
--   tollstream_settle   run --roles=settle
--   tollstream_audit    audit, which looks whether rows of the quarantine stand
--   tollstream_read     bills, simulate, finance: all but the quarantine
--   tollstream_grafana  the same, and of the quarantine how many and since when

CREATE ROLE IF NOT EXISTS tollstream_audit;
CREATE ROLE IF NOT EXISTS tollstream_ingest;
CREATE ROLE IF NOT EXISTS tollstream_settle;
CREATE ROLE IF NOT EXISTS tollstream_usage;
CREATE ROLE IF NOT EXISTS tollstream_owner;
CREATE ROLE IF NOT EXISTS tollstream_read;
CREATE ROLE IF NOT EXISTS tollstream_grafana;

GRANT SELECT ON billing.* TO tollstream_audit;

GRANT SELECT ON billing.* TO tollstream_ingest;
GRANT INSERT ON billing.account_events TO tollstream_ingest;
GRANT INSERT ON billing.call_copies TO tollstream_ingest;
GRANT INSERT ON billing.deliveries TO tollstream_ingest;
GRANT INSERT ON billing.log_epochs TO tollstream_ingest;
GRANT INSERT ON billing.quarantined_records TO tollstream_ingest;

GRANT SELECT ON billing.* TO tollstream_settle;
GRANT ALTER UPDATE ON billing.quarantined_records TO tollstream_settle;
GRANT INSERT ON billing.account_latest TO tollstream_settle;
GRANT INSERT ON billing.account_routes TO tollstream_settle;
GRANT INSERT ON billing.account_states TO tollstream_settle;
GRANT INSERT ON billing.booked_entries TO tollstream_settle;
GRANT INSERT ON billing.catalogs TO tollstream_settle;
GRANT INSERT ON billing.closed_bill_lines TO tollstream_settle;
GRANT INSERT ON billing.closed_bill_totals TO tollstream_settle;
GRANT INSERT ON billing.closed_bills TO tollstream_settle;
GRANT INSERT ON billing.closed_clients TO tollstream_settle;
GRANT INSERT ON billing.closed_codes TO tollstream_settle;
GRANT INSERT ON billing.closed_cover TO tollstream_settle;
GRANT INSERT ON billing.closed_line_totals TO tollstream_settle;
GRANT INSERT ON billing.closed_packages TO tollstream_settle;
GRANT INSERT ON billing.closed_usage TO tollstream_settle;
GRANT INSERT ON billing.duplicate_copies TO tollstream_settle;
GRANT INSERT ON billing.quarantined_records TO tollstream_settle;
GRANT INSERT ON billing.redacted_records TO tollstream_settle;
GRANT INSERT ON billing.reversed_calls TO tollstream_settle;
GRANT INSERT ON billing.said_status TO tollstream_settle;
GRANT INSERT ON billing.settlement_records TO tollstream_settle;
GRANT INSERT ON billing.status_changes TO tollstream_settle;
GRANT INSERT ON billing.taken_by_line TO tollstream_settle;
GRANT INSERT ON billing.taken_calls TO tollstream_settle;
GRANT INSERT ON billing.voided_copies TO tollstream_settle;

GRANT SELECT ON billing.* TO tollstream_usage;
GRANT ALTER DELETE ON billing.open_duplicates TO tollstream_usage;
GRANT ALTER DELETE ON billing.open_usage TO tollstream_usage;
GRANT INSERT ON billing.open_duplicates TO tollstream_usage;
GRANT INSERT ON billing.open_usage TO tollstream_usage;
GRANT INSERT ON billing.usage_sweeps TO tollstream_usage;

GRANT SELECT ON billing.* TO tollstream_owner;
GRANT INSERT ON billing.* TO tollstream_owner;
GRANT CREATE DATABASE ON billing.* TO tollstream_owner;
GRANT CREATE TABLE ON billing.* TO tollstream_owner;
GRANT CREATE VIEW ON billing.* TO tollstream_owner;
GRANT DROP TABLE ON billing.* TO tollstream_owner;
GRANT DROP VIEW ON billing.* TO tollstream_owner;
GRANT ALTER TABLE ON billing.* TO tollstream_owner;
GRANT ALTER VIEW ON billing.* TO tollstream_owner;

GRANT SELECT ON billing.account_events TO tollstream_read;
GRANT SELECT ON billing.account_latest TO tollstream_read;
GRANT SELECT ON billing.account_routes TO tollstream_read;
GRANT SELECT ON billing.account_states TO tollstream_read;
GRANT SELECT ON billing.bill_lines TO tollstream_read;
GRANT SELECT ON billing.bill_totals TO tollstream_read;
GRANT SELECT ON billing.bills TO tollstream_read;
GRANT SELECT ON billing.booked_entries TO tollstream_read;
GRANT SELECT ON billing.call_conflicts TO tollstream_read;
GRANT SELECT ON billing.call_copies TO tollstream_read;
GRANT SELECT ON billing.calls TO tollstream_read;
GRANT SELECT ON billing.calls_billed TO tollstream_read;
GRANT SELECT ON billing.catalogs TO tollstream_read;
GRANT SELECT ON billing.client_calls TO tollstream_read;
GRANT SELECT ON billing.closed_bill_lines TO tollstream_read;
GRANT SELECT ON billing.closed_bill_totals TO tollstream_read;
GRANT SELECT ON billing.closed_bills TO tollstream_read;
GRANT SELECT ON billing.closed_clients TO tollstream_read;
GRANT SELECT ON billing.closed_codes TO tollstream_read;
GRANT SELECT ON billing.closed_cover TO tollstream_read;
GRANT SELECT ON billing.closed_line_totals TO tollstream_read;
GRANT SELECT ON billing.closed_packages TO tollstream_read;
GRANT SELECT ON billing.closed_usage TO tollstream_read;
GRANT SELECT ON billing.closing_progress TO tollstream_read;
GRANT SELECT ON billing.deliveries TO tollstream_read;
GRANT SELECT ON billing.doubtful_codes TO tollstream_read;
GRANT SELECT ON billing.duplicate_copies TO tollstream_read;
GRANT SELECT ON billing.ledger_entries TO tollstream_read;
GRANT SELECT ON billing.line_totals TO tollstream_read;
GRANT SELECT ON billing.need_charge_conflicts TO tollstream_read;
GRANT SELECT ON billing.open_duplicates TO tollstream_read;
GRANT SELECT ON billing.open_usage TO tollstream_read;
GRANT SELECT ON billing.package_balances TO tollstream_read;
GRANT SELECT ON billing.package_use TO tollstream_read;
GRANT SELECT ON billing.revenue_daily TO tollstream_read;
GRANT SELECT ON billing.reversed_calls TO tollstream_read;
GRANT SELECT ON billing.said_status TO tollstream_read;
GRANT SELECT ON billing.schema_versions TO tollstream_read;
GRANT SELECT ON billing.service_status TO tollstream_read;
GRANT SELECT ON billing.settlement_records TO tollstream_read;
GRANT SELECT ON billing.settlements TO tollstream_read;
GRANT SELECT ON billing.status_changes TO tollstream_read;
GRANT SELECT ON billing.taken_by_line TO tollstream_read;
GRANT SELECT ON billing.taken_calls TO tollstream_read;
GRANT SELECT ON billing.usage_by_channel TO tollstream_read;
GRANT SELECT ON billing.usage_daily TO tollstream_read;
GRANT SELECT ON billing.usage_sweeps TO tollstream_read;

GRANT tollstream_read TO tollstream_grafana;
GRANT SELECT ON billing.quarantine_open TO tollstream_grafana;
GRANT SELECT ON billing.reasons TO tollstream_grafana;
GRANT SELECT(account_id, appended_at, hint, reason) ON billing.quarantine TO tollstream_grafana;
GRANT SELECT(account_id, appended_at) ON billing.quarantined_records TO tollstream_grafana;
GRANT SELECT(reason, resolved) ON billing.quarantined_records TO tollstream_grafana;

-- What is said of service statuses between closings (rule B24).

-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS said_status
(
    event_id String COMMENT 'Deterministic id of the record',
    account_id String COMMENT 'Main account',
    status LowCardinality(String) COMMENT 'in_arrears, suspended or active',
    effective_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'From when the status holds; microseconds, Asia/Shanghai',
    balance Decimal(38, 2) COMMENT 'Balance at that instant, CNY',
    cause String COMMENT 'event_id or bill_id that caused it',
    corrects String COMMENT 'event_id of the record that this one replaces; empty if none',
    withdraws Bool COMMENT 'Only says that the corrected change did not happen',
    based_on DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that it builds on; Asia/Shanghai',
    published Bool COMMENT 'It is on billing.service-status',
    version UInt8 MATERIALIZED toUInt8(published) COMMENT 'The published row counts'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (account_id, event_id)
COMMENT 'Provisional changes of service status, said between closings. Read service_status';

ALTER TABLE account_states ADD COLUMN IF NOT EXISTS
    status_due DateTime64(6, 'Asia/Shanghai') DEFAULT toDateTime64('2200-01-01 00:00:00', 6, 'UTC')
    COMMENT 'When time alone changes its status next; Asia/Shanghai';

CREATE OR REPLACE VIEW service_status
(
    event_id String COMMENT 'Deterministic id of the change',
    account_id String COMMENT 'Main account',
    status LowCardinality(String) COMMENT 'in_arrears, suspended or active',
    effective_at DateTime64(6, 'Asia/Shanghai') COMMENT 'From when it holds, Asia/Shanghai',
    balance Decimal(38, 2) COMMENT 'Balance at that instant, CNY',
    cause String COMMENT 'event_id or bill_id that caused it',
    provisional Bool COMMENT 'Said between closings; a later arrival may still correct it'
)
COMMENT 'Changes of service status: of complete closings, and what was said since the last'
AS SELECT event_id, account_id, status, effective_at, balance, cause, false AS provisional
FROM status_changes FINAL
WHERE NOT status_changes.provisional
    AND closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
UNION ALL
SELECT event_id, account_id, status, effective_at, balance, cause, true AS provisional
FROM said_status FINAL
WHERE NOT withdraws
    AND effective_at >= (SELECT max(closed_at) FROM settlement_records FINAL WHERE state = 'closed')
    AND based_on <= (SELECT max(closed_at) FROM settlement_records FINAL WHERE state = 'closed')
    AND event_id NOT IN (SELECT corrects FROM said_status WHERE based_on <=
        (SELECT max(closed_at) FROM settlement_records FINAL WHERE state = 'closed'));

-- First views for dashboards, over the views of 0004.

-- +goose NO TRANSACTION
-- +goose Up

-- Defined anew later, so a slow migration may not put this one over that one.
CREATE VIEW IF NOT EXISTS revenue_daily
(
    day Date COMMENT 'Last day of the billed period: the day whose closing made the bill',
    tag LowCardinality(String) COMMENT 'Billing tag id; empty for rounding',
    tag_name LowCardinality(String) COMMENT 'Published spelling of the tag',
    kind LowCardinality(String) COMMENT 'Kind of the bill lines',
    quantity Int64 COMMENT 'Calls',
    amount Decimal(38, 18) COMMENT 'Billed amount, CNY'
)
COMMENT 'Billed amounts per closing day, tag and kind of line'
AS SELECT toDate(closed_at) - 1 AS day, tag, any(l.tag_name) AS tag_name, kind,
    sum(l.quantity) AS quantity, sum(l.amount) AS amount
FROM bill_lines AS l
GROUP BY day, tag, kind;

CREATE OR REPLACE VIEW quarantine_open
(
    reason LowCardinality(String) COMMENT 'Reason code',
    hint String COMMENT 'What a person can do about it',
    records UInt64 COMMENT 'Records in quarantine',
    accounts UInt64 COMMENT 'Accounts named by them',
    oldest DateTime64(3, 'Asia/Shanghai') COMMENT 'Append time of the oldest, Asia/Shanghai',
    newest DateTime64(3, 'Asia/Shanghai') COMMENT 'Append time of the newest, Asia/Shanghai'
)
COMMENT 'Open quarantine by reason'
AS SELECT reason, any(q.hint) AS hint, count() AS records,
    uniqExactIf(account_id, account_id != '') AS accounts,
    min(appended_at) AS oldest, max(appended_at) AS newest
FROM quarantine AS q
GROUP BY reason;

CREATE OR REPLACE VIEW closing_progress
(
    day Date COMMENT 'The day that the closing closes',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time, Asia/Shanghai',
    state String COMMENT 'decided or closed',
    bills UInt64 COMMENT 'Bills made',
    calls UInt64 COMMENT 'Calls taken',
    finished_at DateTime64(3, 'Asia/Shanghai') COMMENT 'When the state was reached, Asia/Shanghai',
    delay_seconds Decimal(18, 3) COMMENT 'finished_at minus closed_at, seconds'
)
COMMENT 'How far closings are, newest last'
AS SELECT day, closed_at, state, bills, calls, finished_at,
    toDecimal64((toUnixTimestamp64Milli(finished_at)
        - intDiv(toUnixTimestamp64Micro(closed_at), 1000)) / toDecimal64(1000, 0), 3)
        AS delay_seconds
FROM settlements
ORDER BY closed_at;

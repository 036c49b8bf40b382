-- What dashboards and explanations read of closings, in the order in which they read it. Each table
-- repeats, or counts, what a closing writes elsewhere as well, and is a set like all others: an
-- account's rows of a closing are written whole, with keys of their own, so writing them again
-- changes nothing. No materialized view fills them: it could be cut off from its source by a crash.

-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS closed_bill_totals
(
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time; Asia/Shanghai',
    account_id String COMMENT 'Main account',
    bill_id String COMMENT 'Bill, account/period',
    cycle Enum8('daily' = 1, 'monthly' = 2) COMMENT 'Settlement cycle of the account',
    period String COMMENT '2023-01-05 for a day, 2023-01 for a month',
    period_start DateTime64(6, 'Asia/Shanghai') COMMENT 'Start of the period, Asia/Shanghai',
    period_end DateTime64(6, 'Asia/Shanghai')
        COMMENT 'End of the period, exclusive, Asia/Shanghai',
    currency LowCardinality(String) COMMENT 'Currency of all amounts',
    total Decimal(38, 2) COMMENT 'Sum of the lines, CNY',
    balance_after Decimal(38, 2) COMMENT 'Balance after the bill was deducted, CNY',
    lines UInt32 COMMENT 'Number of lines'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (closed_at, account_id, bill_id)
COMMENT 'Bills without their texts, in the order of the closings. Read the view bill_totals';

CREATE TABLE IF NOT EXISTS closed_line_totals
(
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time; Asia/Shanghai',
    kind LowCardinality(String) COMMENT 'Kind of the line',
    tag LowCardinality(String) COMMENT 'Billing tag id; empty on a rounding line',
    account_id String COMMENT 'Main account',
    bill_id String COMMENT 'Bill of the line',
    line_no UInt32 COMMENT 'Number of the line on its bill, from 1',
    tag_name LowCardinality(String) COMMENT 'Published spelling of the tag',
    quantity Int64 COMMENT 'Calls; negative on a voided line',
    amount Decimal(38, 18) COMMENT 'Exact amount, CNY'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (closed_at, kind, tag, account_id, bill_id, line_no)
COMMENT 'Lines of bills without their texts, in the order of the closings. Read line_totals';

CREATE TABLE IF NOT EXISTS closed_clients
(
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that took the calls; Asia/Shanghai',
    account_id String COMMENT 'Main account',
    day Date COMMENT 'Day of the calls in Asia/Shanghai',
    sdk_platform LowCardinality(String) COMMENT 'SDK platform; empty if none',
    sdk_name LowCardinality(String) COMMENT 'SDK name; empty if none',
    sdk_version LowCardinality(String) COMMENT 'SDK version; empty if none',
    calls UInt64 COMMENT 'Calls that the closing took'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (day, sdk_name, sdk_platform, sdk_version, account_id, closed_at)
COMMENT 'Taken calls that name a client library, by library. Read the view client_calls';

CREATE TABLE IF NOT EXISTS closed_codes
(
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that took the calls; Asia/Shanghai',
    account_id String COMMENT 'Account as received',
    day Date COMMENT 'Day of the calls in Asia/Shanghai',
    channel LowCardinality(String) COMMENT 'Key of the channel',
    result_code LowCardinality(String) COMMENT 'Result code as received',
    need_charge LowCardinality(String) COMMENT 'What the flow says itself',
    charged Bool COMMENT 'The result code is on the whitelist',
    code_known Bool COMMENT 'The catalogue has heard of the result code',
    calls UInt64 COMMENT 'Calls that the closing took'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (day, channel, result_code, need_charge, charged, code_known, account_id, closed_at)
COMMENT 'Taken calls whose result code is unknown or whose flag disagrees. Read doubtful_codes';

CREATE TABLE IF NOT EXISTS closed_cover
(
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that took the calls; Asia/Shanghai',
    account_id String COMMENT 'Main account',
    package_id String COMMENT 'Package that covered the calls',
    calls UInt64 COMMENT 'Calls that the closing took from it'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (closed_at, account_id, package_id)
COMMENT 'Calls that packages covered, by closing. Read the view package_use';

CREATE TABLE IF NOT EXISTS closed_packages
(
    account_id String COMMENT 'Main account',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time after which this is so; Asia/Shanghai',
    package_id String COMMENT 'Package, as its purchase names it',
    tag LowCardinality(String) COMMENT 'Prepaid billing tag id that it pays for',
    free Bool COMMENT 'Given, not bought',
    quota UInt64 COMMENT 'Calls that it was made for',
    used UInt64 COMMENT 'Calls that closings have taken from it',
    first_day Date COMMENT 'First day whose calls it pays, Asia/Shanghai',
    end_day Date COMMENT 'First day whose calls it does not pay any more, Asia/Shanghai',
    refunded Bool COMMENT 'Given back; it pays nothing'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (closed_at, account_id, package_id)
COMMENT 'Packages of accounts as closings left them. Read the view package_balances';

CREATE TABLE IF NOT EXISTS taken_by_line
(
    account_id String COMMENT 'Main account that is billed',
    tag LowCardinality(String) COMMENT 'Prepaid tag id where covered, else postpaid tag id',
    package_id String COMMENT 'Package that covered the call; empty otherwise',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that took it; Asia/Shanghai',
    occurred_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'When the call was made; microseconds, Asia/Shanghai' CODEC(Delta, ZSTD(1)),
    call_id String COMMENT 'Id of the call that was taken' CODEC(ZSTD(1)),
    caller String COMMENT 'Account as received',
    day Date COMMENT 'Day of the call in the zone of the bills',
    outcome Enum8('free' = 1, 'covered' = 2, 'postpaid' = 3, 'uncovered' = 4)
        COMMENT 'What the call became: not charged, paid by a package, postpaid, or neither',
    topic LowCardinality(String) COMMENT 'Kafka topic of the copy that counts',
    partition Int32 COMMENT 'Kafka partition of the copy that counts',
    offset Int64 COMMENT 'Kafka offset of the copy that counts' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (account_id, tag, package_id, closed_at, occurred_at, call_id)
COMMENT 'taken_calls in the order of bill lines: the way from a line to its calls';

ALTER TABLE closed_usage
    ADD COLUMN IF NOT EXISTS cohort LowCardinality(String)
        COMMENT 'Cohort of the main account (rule B3); empty in old rows',
    ADD INDEX IF NOT EXISTS day_range day TYPE minmax GRANULARITY 1;

ALTER TABLE open_usage ADD COLUMN IF NOT EXISTS cohort LowCardinality(String)
    COMMENT 'Provisional cohort of the main account; empty while that is unknown';

-- A call's time is in the key, so that all copies with one key are in or out by it together, and
-- the index is exact under FINAL.
ALTER TABLE call_copies
    ADD INDEX IF NOT EXISTS occurred_range occurred_at TYPE minmax GRANULARITY 1;

CREATE OR REPLACE VIEW calls
(
    call_id String COMMENT 'Id of one chargeable act (rule B4)',
    account_id String COMMENT 'Account as received: a main account or one of its sub-accounts',
    main_account String COMMENT 'Main account as known on arrival; empty while it was unknown',
    occurred_at DateTime64(6, 'Asia/Shanghai') COMMENT 'When the call was made, Asia/Shanghai',
    day Date COMMENT 'Day of occurred_at in Asia/Shanghai',
    dims Map(String, String) COMMENT 'Rating dimensions that the record has',
    result_code LowCardinality(String) COMMENT 'Result code as received',
    need_charge LowCardinality(String) COMMENT 'The flow''s own IsNeedCharge; never billed by',
    sdk_platform LowCardinality(String) COMMENT 'SDK platform; empty if none',
    sdk_name LowCardinality(String) COMMENT 'SDK name; empty if none',
    sdk_version LowCardinality(String) COMMENT 'SDK version; empty if none',
    cohort LowCardinality(String) COMMENT 'Provisional: cohort of the main account',
    channel LowCardinality(String) COMMENT 'Provisional: key of the channel',
    postpaid_tag LowCardinality(String) COMMENT 'Provisional: postpaid billing tag id',
    prepaid_tag LowCardinality(String) COMMENT 'Provisional: prepaid billing tag id',
    legacy_tag LowCardinality(String) COMMENT 'Provisional: tag of older packages',
    charged Bool COMMENT 'Provisional: the result code is charged (rule B5)',
    code_known Bool COMMENT 'Provisional: the catalogue knows the result code',
    no_tag LowCardinality(String) COMMENT 'Provisional: why there is no tag; empty otherwise',
    catalog_digest LowCardinality(String) COMMENT 'Digest of the catalogue that judged on arrival',
    topic LowCardinality(String) COMMENT 'Kafka topic of the copy that counts',
    partition Int32 COMMENT 'Kafka partition of the copy that counts',
    offset Int64 COMMENT 'Kafka offset of the copy that counts',
    appended_at DateTime64(3, 'Asia/Shanghai')
        COMMENT 'When the broker appended that copy, Asia/Shanghai',
    id_hash UInt64 COMMENT 'xxHash64 of call_id'
)
COMMENT 'Every call once, enriched on arrival, with where it came from'
AS SELECT
    call_id, account_id, main_account, occurred_at, toDate(occurred_at) AS day, dims, result_code,
    need_charge, sdk_platform, sdk_name, sdk_version, cohort, channel, postpaid_tag, prepaid_tag,
    legacy_tag, charged, code_known, no_tag, catalog_digest, topic, partition, offset,
    -- identity() keeps a condition on appended_at from dropping the partition that holds the first
    -- copy, which would bring a later copy of another day to light.
    identity(appended_at) AS appended_at, id_hash
FROM call_copies FINAL
WHERE (topic, partition, offset) NOT IN (
    SELECT topic, partition, offset FROM duplicate_copies
    WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
    UNION ALL
    SELECT topic, partition, offset FROM open_duplicates
    WHERE as_of = (SELECT max(as_of) FROM usage_sweeps))
SETTINGS do_not_merge_across_partitions_select_final = 0,
    use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 0;

CREATE OR REPLACE VIEW bill_totals
(
    bill_id String COMMENT 'account/period',
    account_id String COMMENT 'Main account',
    cycle String COMMENT 'daily or monthly',
    period String COMMENT '2023-01-05 for a day, 2023-01 for a month',
    period_start DateTime64(6, 'Asia/Shanghai') COMMENT 'Start of the period, Asia/Shanghai',
    period_end DateTime64(6, 'Asia/Shanghai') COMMENT 'End, exclusive, Asia/Shanghai',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time, Asia/Shanghai',
    currency LowCardinality(String) COMMENT 'Currency of all amounts',
    total Decimal(38, 2) COMMENT 'Sum of the lines, CNY',
    balance_after Decimal(38, 2) COMMENT 'Balance after the bill was deducted, CNY',
    lines UInt32 COMMENT 'Number of lines'
)
COMMENT 'Bills of complete closings without their texts; fast for a range of closings'
AS SELECT bill_id, account_id, toString(cycle) AS cycle, period, period_start, period_end,
    closed_at, currency, total, balance_after, lines
FROM closed_bill_totals FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW line_totals
(
    bill_id String COMMENT 'Bill of the line',
    account_id String COMMENT 'Main account',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time, Asia/Shanghai',
    line_no UInt32 COMMENT 'Number of the line on its bill, from 1',
    kind LowCardinality(String) COMMENT 'Kind of the line',
    tag LowCardinality(String) COMMENT 'Billing tag id; empty on a rounding line',
    tag_name LowCardinality(String) COMMENT 'Published spelling of the tag',
    quantity Int64 COMMENT 'Calls; negative on a voided line',
    amount Decimal(38, 18) COMMENT 'Exact amount, CNY'
)
COMMENT 'Lines of bills without their texts; fast for a range of closings'
AS SELECT bill_id, account_id, closed_at, line_no, kind, tag, tag_name, quantity, amount
FROM closed_line_totals FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW revenue_daily
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
FROM line_totals AS l
GROUP BY day, tag, kind;

CREATE OR REPLACE VIEW usage_by_channel
(
    account_id String COMMENT 'Main account; as received while that is unknown',
    day Date COMMENT 'Day of the calls in Asia/Shanghai',
    tag LowCardinality(String) COMMENT 'Postpaid billing tag id; empty if none',
    channel LowCardinality(String) COMMENT 'Key of the channel',
    cohort LowCardinality(String) COMMENT 'Cohort of the main account; empty while unknown',
    charged UInt64 COMMENT 'Calls with a charged result code',
    free UInt64 COMMENT 'Calls that are not charged',
    covered UInt64 COMMENT 'Charged calls that a package paid; decided by closings only',
    postpaid UInt64 COMMENT 'Charged calls that the balance pays; decided by closings only',
    uncovered UInt64 COMMENT 'Charged calls that nothing pays; decided by closings only',
    waiting UInt64 COMMENT 'Calls that wait for their account or a billing tag',
    state String COMMENT 'closed: taken by closings; open: not taken, as of the last sweep'
)
COMMENT 'usage_daily with channel and cohort; a key may have several rows, to be summed'
AS SELECT account_id, day, tag, channel, cohort, charged, free, covered, postpaid, uncovered,
    toUInt64(0) AS waiting, 'closed' AS state
FROM closed_usage FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
UNION ALL
SELECT account_id, day, tag, channel, cohort, charged, free, toUInt64(0) AS covered,
    toUInt64(0) AS postpaid, toUInt64(0) AS uncovered, waiting, 'open' AS state
FROM open_usage FINAL
WHERE open_usage.as_of = (SELECT max(as_of) FROM usage_sweeps)
    AND ((SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed')
        < (SELECT argMax(open_from, as_of) FROM usage_sweeps)
      OR day > (SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed'))
SETTINGS do_not_merge_across_partitions_select_final = 1,
    use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 0;

CREATE OR REPLACE VIEW usage_daily
(
    account_id String COMMENT 'Main account; as received while that is unknown',
    day Date COMMENT 'Day of the calls in Asia/Shanghai',
    tag LowCardinality(String) COMMENT 'Postpaid billing tag id; empty if none',
    charged UInt64 COMMENT 'Calls with a charged result code',
    free UInt64 COMMENT 'Calls that are not charged',
    covered UInt64 COMMENT 'Charged calls that a package paid; decided by closings only',
    postpaid UInt64 COMMENT 'Charged calls that the balance pays; decided by closings only',
    uncovered UInt64 COMMENT 'Charged calls that nothing pays; decided by closings only',
    unknown_code UInt64 COMMENT 'Calls with a result code that the catalogue does not know',
    waiting UInt64 COMMENT 'Calls that wait for their account or a billing tag',
    state String COMMENT 'closed: taken by closings; open: not taken, as of the last sweep',
    as_of DateTime64(6, 'Asia/Shanghai') COMMENT 'Last closing that counts, or the sweep'
)
COMMENT 'Calls per account, day and tag. A day has a closed row, an open one, or both (late calls)'
AS SELECT account_id, day, tag, sum(charged) AS charged, sum(free) AS free,
    sum(covered) AS covered, sum(postpaid) AS postpaid, sum(uncovered) AS uncovered,
    sum(unknown_code) AS unknown_code, toUInt64(0) AS waiting, 'closed' AS state,
    max(closed_at) AS as_of
FROM closed_usage FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
GROUP BY account_id, day, tag
UNION ALL
SELECT account_id, day, tag, sum(charged) AS charged, sum(free) AS free,
    toUInt64(0) AS covered, toUInt64(0) AS postpaid, toUInt64(0) AS uncovered,
    sum(unknown_code) AS unknown_code, sum(waiting) AS waiting, 'open' AS state,
    max(as_of) AS as_of
FROM open_usage FINAL
WHERE open_usage.as_of = (SELECT max(as_of) FROM usage_sweeps)
    -- A sweep from before the last closing still counts what that closing took, so of such a sweep
    -- only the days after it are shown until the next sweep.
    AND ((SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed')
        < (SELECT argMax(open_from, as_of) FROM usage_sweeps)
      OR day > (SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed'))
GROUP BY account_id, day, tag
SETTINGS do_not_merge_across_partitions_select_final = 1,
    use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 0;

CREATE VIEW IF NOT EXISTS client_calls
(
    account_id String COMMENT 'Main account; as received while that is unknown',
    day Date COMMENT 'Day of the calls in Asia/Shanghai',
    sdk_platform LowCardinality(String) COMMENT 'SDK platform; empty if none',
    sdk_name LowCardinality(String) COMMENT 'SDK name; empty if none',
    sdk_version LowCardinality(String) COMMENT 'SDK version; empty if none',
    calls UInt64 COMMENT 'Calls',
    state String COMMENT 'closed: taken by closings; open: of days that are not closed'
)
COMMENT 'Calls that name a client library; a key may have several rows, to be summed'
AS SELECT account_id, day, sdk_platform, sdk_name, sdk_version, calls, 'closed' AS state
FROM closed_clients FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
UNION ALL
SELECT if(main_account = '', c.account_id, main_account) AS account_id, day, sdk_platform,
    sdk_name, sdk_version, toUInt64(1) AS calls, 'open' AS state
FROM calls AS c
WHERE (sdk_name != '' OR sdk_version != '')
    AND day > (SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed');

CREATE VIEW IF NOT EXISTS doubtful_codes
(
    account_id String COMMENT 'Account as received',
    day Date COMMENT 'Day of the calls in Asia/Shanghai',
    channel LowCardinality(String) COMMENT 'Key of the channel',
    result_code LowCardinality(String) COMMENT 'Result code as received',
    need_charge LowCardinality(String) COMMENT 'What the flow says itself',
    charged Bool COMMENT 'What the catalogue''s whitelist says; that bills',
    code_known Bool COMMENT 'The catalogue has heard of the result code',
    calls UInt64 COMMENT 'Calls',
    state String COMMENT 'closed: taken by closings; open: of days that are not closed'
)
COMMENT 'Calls with an unknown result code or a flag that disagrees, to be summed'
AS SELECT account_id, day, channel, result_code, need_charge, charged, code_known, calls,
    'closed' AS state
FROM closed_codes FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
UNION ALL
SELECT account_id, day, channel, result_code, need_charge, charged, code_known,
    toUInt64(1) AS calls, 'open' AS state
FROM calls
WHERE no_tag = '' AND (NOT code_known OR need_charge != '' AND need_charge != toString(charged))
    AND day > (SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed');

CREATE OR REPLACE VIEW package_use
(
    account_id String COMMENT 'Main account',
    package_id String COMMENT 'Package that covered the calls',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Closing that took them, Asia/Shanghai',
    calls UInt64 COMMENT 'Calls that it took'
)
COMMENT 'Calls that packages covered, by closing'
AS SELECT account_id, package_id, closed_at, calls
FROM closed_cover FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW package_balances
(
    account_id String COMMENT 'Main account',
    package_id String COMMENT 'Package, as its purchase names it',
    tag String COMMENT 'Prepaid billing tag id that it pays for',
    free Bool COMMENT 'Given, not bought',
    quota UInt64 COMMENT 'Calls that it was made for',
    used UInt64 COMMENT 'Calls that closings have taken from it',
    left UInt64 COMMENT 'Calls that are left',
    first_day Date COMMENT 'First day whose calls it pays, Asia/Shanghai',
    end_day Date COMMENT 'First day whose calls it does not pay any more, Asia/Shanghai',
    refunded Bool COMMENT 'Given back; it pays nothing',
    as_of DateTime64(6, 'Asia/Shanghai') COMMENT 'Closing up to which this holds, Asia/Shanghai'
)
COMMENT 'Packages of every account as of its last complete closing'
AS SELECT account_id, package_id, toString(p.tag) AS tag, p.free AS free, p.quota AS quota,
    p.used AS used, p.quota - p.used AS left, p.first_day AS first_day, p.end_day AS end_day,
    p.refunded AS refunded, closed_at AS as_of
FROM closed_packages AS p FINAL
WHERE (account_id, closed_at) IN (
    SELECT account_id, max(closed_at) FROM account_states
    WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
    GROUP BY account_id)
SETTINGS do_not_merge_across_partitions_select_final = 1;

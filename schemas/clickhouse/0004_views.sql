-- The names that other programs rely on. Each view is exact whatever ClickHouse has merged so far
-- (FINAL inside), and shows what closings decided only once the closing is complete. Conditions on
-- account, day, id and the like are pushed down to the tables' keys.

-- +goose NO TRANSACTION
-- +goose Up

-- Defined anew later, so a slow migration may not put this one over that one.
CREATE VIEW IF NOT EXISTS calls
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
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE OR REPLACE VIEW calls_billed
(
    call_id String COMMENT 'Id of one chargeable act',
    account_id String COMMENT 'Account as received',
    main_account String COMMENT 'Main account: as taken, else as known on arrival',
    occurred_at DateTime64(6, 'Asia/Shanghai') COMMENT 'When the call was made, Asia/Shanghai',
    day Date COMMENT 'Day of occurred_at in Asia/Shanghai',
    channel LowCardinality(String) COMMENT 'Provisional: key of the channel',
    result_code LowCardinality(String) COMMENT 'Result code as received',
    outcome String COMMENT 'free, covered, postpaid or uncovered; empty while not taken',
    tag String COMMENT 'Tag it was taken with; provisional postpaid tag while not taken',
    package_id String COMMENT 'Package that covered it; empty otherwise',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Closing that took it; 1970 while not taken',
    topic LowCardinality(String) COMMENT 'Kafka topic of the copy that counts',
    partition Int32 COMMENT 'Kafka partition of the copy that counts',
    offset Int64 COMMENT 'Kafka offset of the copy that counts'
)
COMMENT 'Every call with what its closing decided; a join: give account_id and occurred_at or day'
AS SELECT
    c.call_id AS call_id, c.account_id AS account_id,
    if(t.account_id = '', c.main_account, t.account_id) AS main_account,
    c.occurred_at AS occurred_at, c.day AS day, c.channel AS channel,
    c.result_code AS result_code, t.outcome AS outcome,
    if(t.outcome = '', toString(c.postpaid_tag), t.tag) AS tag,
    t.package_id AS package_id, t.closed_at AS closed_at,
    c.topic AS topic, c.partition AS partition, c.offset AS offset
FROM calls AS c
LEFT ANY JOIN (
    SELECT call_id, account_id, caller, occurred_at, toString(outcome) AS outcome,
        toString(tag) AS tag, package_id, closed_at
    FROM taken_calls FINAL
    WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
) AS t
ON t.caller = c.account_id AND t.occurred_at = c.occurred_at AND t.call_id = c.call_id
SETTINGS join_use_nulls = 0;

CREATE OR REPLACE VIEW call_conflicts
(
    call_id String COMMENT 'The call_id that both copies carry',
    topic LowCardinality(String) COMMENT 'Kafka topic of the copy that does not count',
    partition Int32 COMMENT 'Kafka partition of the copy that does not count',
    offset Int64 COMMENT 'Kafka offset of the copy that does not count',
    appended_at DateTime64(3, 'Asia/Shanghai') COMMENT 'When that copy was appended',
    winner_topic LowCardinality(String) COMMENT 'Kafka topic of the copy that counts',
    winner_partition Int32 COMMENT 'Kafka partition of the copy that counts',
    winner_offset Int64 COMMENT 'Kafka offset of the copy that counts',
    state String COMMENT 'closed: a closing decided it; open: as of the last sweep'
)
COMMENT 'Copies of one call that differ in a field that can move a bill (rule B4)'
AS SELECT call_id, topic, partition, offset, appended_at, winner_topic, winner_partition,
    winner_offset, 'closed' AS state
FROM duplicate_copies FINAL
WHERE conflict
    AND closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
UNION ALL
SELECT call_id, topic, partition, offset, appended_at, winner_topic, winner_partition,
    winner_offset, 'open' AS state
FROM open_duplicates FINAL
WHERE conflict AND as_of = (SELECT max(as_of) FROM usage_sweeps)
    AND (topic, partition, offset) NOT IN (
        SELECT topic, partition, offset FROM duplicate_copies
        WHERE closed_at IN (
            SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed'));

CREATE OR REPLACE VIEW need_charge_conflicts
(
    call_id String COMMENT 'Id of the call',
    account_id String COMMENT 'Account as received',
    occurred_at DateTime64(6, 'Asia/Shanghai') COMMENT 'When the call was made, Asia/Shanghai',
    channel LowCardinality(String) COMMENT 'Key of the channel',
    result_code LowCardinality(String) COMMENT 'Result code as received',
    need_charge LowCardinality(String) COMMENT 'What the flow says',
    charged Bool COMMENT 'What the catalogue''s whitelist says; that bills'
)
COMMENT 'Calls whose own IsNeedCharge disagrees with the whitelist'
AS SELECT call_id, account_id, occurred_at, channel, result_code, need_charge, charged
FROM calls WHERE need_charge != '' AND no_tag = '' AND need_charge != toString(charged);

-- Defined anew later, so a slow migration may not put this one over that one.
CREATE VIEW IF NOT EXISTS usage_daily
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
GROUP BY account_id, day, tag;

CREATE OR REPLACE VIEW bills
(
    bill_id String COMMENT 'account/period',
    account_id String COMMENT 'Main account',
    cycle String COMMENT 'daily or monthly',
    period String COMMENT '2023-01-05 for a day, 2023-01 for a month',
    period_start DateTime64(6, 'Asia/Shanghai') COMMENT 'Start of the period, Asia/Shanghai',
    period_end DateTime64(6, 'Asia/Shanghai') COMMENT 'End, exclusive, Asia/Shanghai',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time, Asia/Shanghai',
    currency LowCardinality(String) COMMENT 'Currency of all amounts',
    catalog_version String COMMENT 'Version of the catalogue that priced it',
    catalog_digest String COMMENT 'Digest of that catalogue',
    rule_version UInt32 COMMENT 'Version of the rules',
    total Decimal(38, 2) COMMENT 'Sum of the lines, CNY',
    balance_before Decimal(38, 2) COMMENT 'Balance before the bill was deducted, CNY',
    balance_after Decimal(38, 2) COMMENT 'Balance after the bill was deducted, CNY',
    previous_digest String COMMENT 'Digest of the account''s bill before; empty on the first',
    digest String COMMENT 'SHA-256 over the money fields, hexadecimal',
    lines UInt32 COMMENT 'Number of lines',
    json String COMMENT 'The whole bill as canonical JSON'
)
COMMENT 'Bills of complete closings'
AS SELECT bill_id, account_id, toString(cycle) AS cycle, period, period_start, period_end,
    closed_at, currency, catalog_version, catalog_digest, rule_version, total, balance_before,
    balance_after, previous_digest, digest, lines, json
FROM closed_bills FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed');

CREATE OR REPLACE VIEW bill_lines
(
    bill_id String COMMENT 'Bill of the line',
    account_id String COMMENT 'Main account',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time, Asia/Shanghai',
    line_no UInt32 COMMENT 'Number of the line on its bill, from 1',
    kind LowCardinality(String)
        COMMENT 'usage, tier_adjustment, late_usage, covered, uncovered, rounding or voided',
    tag LowCardinality(String) COMMENT 'Billing tag id; empty on a rounding line',
    tag_name LowCardinality(String) COMMENT 'Published spelling of the tag',
    period String COMMENT 'Day or month to which the units belong',
    quantity Int64 COMMENT 'Calls; negative on a voided line',
    unit_price Nullable(Decimal(38, 18))
        COMMENT 'CNY per call; NULL where the units have several prices or none',
    amount Decimal(38, 18) COMMENT 'Exact amount, CNY',
    package_id String COMMENT 'Package that covered the units; empty otherwise',
    flags Array(LowCardinality(String)) COMMENT 'contract_price_missing, package_off_list, ...',
    explain String COMMENT 'JSON list of {rule, text}: the steps that lead to the number'
)
COMMENT 'Lines of the bills of complete closings'
AS SELECT bill_id, account_id, closed_at, line_no, kind, tag, tag_name, period, quantity,
    unit_price, amount, package_id, flags, explain
FROM closed_bill_lines FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed');

CREATE OR REPLACE VIEW ledger_entries
(
    entry_id String COMMENT 'account/kind/cause',
    account_id String COMMENT 'Main account',
    at DateTime64(6, 'Asia/Shanghai') COMMENT 'When the money moves, Asia/Shanghai',
    kind LowCardinality(String) COMMENT 'top_up, adjustment, purchase, refund or bill',
    debit String COMMENT 'Book that gives',
    credit String COMMENT 'Book that receives',
    amount Decimal(38, 18) COMMENT 'Amount moved, CNY, never negative',
    cause String COMMENT 'event_id or bill_id that caused it',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Closing that booked it, Asia/Shanghai'
)
COMMENT 'Ledger entries of complete closings; the books sum to zero'
AS SELECT entry_id, account_id, at, kind, debit, credit, amount, cause, closed_at
FROM booked_entries FINAL
WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed');

-- Defined anew later, so a slow migration may not put this one over that one.
CREATE VIEW IF NOT EXISTS service_status
(
    event_id String COMMENT 'Deterministic id of the change',
    account_id String COMMENT 'Main account',
    status LowCardinality(String) COMMENT 'in_arrears, suspended or active',
    effective_at DateTime64(6, 'Asia/Shanghai') COMMENT 'From when it holds, Asia/Shanghai',
    balance Decimal(38, 2) COMMENT 'Balance at that instant, CNY',
    cause String COMMENT 'event_id or bill_id that caused it',
    provisional Bool COMMENT 'Published between closings; a closing may still correct it'
)
COMMENT 'Changes of service status: of complete closings, and provisional ones since the last'
AS SELECT event_id, account_id, status, effective_at, balance, cause, provisional
FROM status_changes FINAL
-- The closing after it either confirms a provisional change, as a row of its own version, or it did
-- not come true; so only those since the last closing are shown.
WHERE if(provisional,
    closed_at >= (SELECT max(closed_at) FROM settlement_records FINAL WHERE state = 'closed'),
    closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed'));

-- Defined anew later, so a slow migration may not put this one over that one.
CREATE VIEW IF NOT EXISTS settlements
(
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time, Asia/Shanghai',
    day Date COMMENT 'The day that the closing closes',
    state String COMMENT 'decided: barriers are fixed; closed: everything is stored',
    catalog_digest String COMMENT 'Digest of the catalogue of this closing',
    catalog_version String COMMENT 'Version of that catalogue',
    rule_version UInt32 COMMENT 'Version of the rules',
    barriers String COMMENT 'JSON list of {topic, partition, low, high}',
    books String COMMENT 'JSON list of the books per partition',
    bills UInt64 COMMENT 'Bills made',
    calls UInt64 COMMENT 'Calls taken',
    finished_at DateTime64(3, 'Asia/Shanghai') COMMENT 'When the row was written, Asia/Shanghai'
)
COMMENT 'Closings with their barriers and books (rule B21)'
AS SELECT closed_at, day, toString(state) AS state, catalog_digest, catalog_version,
    rule_version, barriers, books, bills, calls, finished_at
FROM settlement_records FINAL;

CREATE OR REPLACE VIEW quarantine
(
    topic LowCardinality(String) COMMENT 'Kafka topic',
    partition Int32 COMMENT 'Kafka partition',
    offset Int64 COMMENT 'Kafka offset',
    appended_at DateTime64(3, 'Asia/Shanghai') COMMENT 'When it was appended, Asia/Shanghai',
    key String COMMENT 'Record key, raw bytes',
    value String COMMENT 'Record value, raw bytes',
    headers Map(String, String) COMMENT 'Record headers',
    reason LowCardinality(String) COMMENT 'Reason code',
    detail String COMMENT 'What was wrong where',
    hint String COMMENT 'What a person can do about it',
    account_id String COMMENT 'Account named by the record; empty if unreadable',
    call_or_event_id String COMMENT 'call_id or event_id; empty if unreadable'
)
COMMENT 'Records that are refused or wait, with their bytes and a hint (rule B7)'
AS SELECT q.topic AS topic, q.partition AS partition, q.offset AS offset,
    q.appended_at AS appended_at, q.key AS key, q.value AS value, q.headers AS headers,
    q.reason AS reason, q.detail AS detail, r.hint AS hint, q.account_id AS account_id,
    q.call_or_event_id AS call_or_event_id
FROM (
    SELECT topic, partition, offset, appended_at, key, value, headers, reason, detail,
        account_id, call_or_event_id
    FROM quarantined_records FINAL WHERE resolved = ''
) AS q
LEFT ANY JOIN (SELECT reason, hint FROM reasons FINAL) AS r ON r.reason = q.reason
SETTINGS join_use_nulls = 0;

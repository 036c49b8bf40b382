-- The two views of data quality counted what is not closed yet out of the view calls, which looks for
-- copies of a call among all days that there ever were: half a second at 100 million calls. A call of
-- an open day cannot have arrived more than 24 hours before that day (rule B7), so they read the last
-- days of arrival alone. Within one of these FINAL makes one row of copies that do not differ; that of
-- two such copies of different days the first counts, LIMIT 1 BY sees to.

-- +goose Up

CREATE OR REPLACE VIEW client_calls
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
SELECT if(main_account = '', received, main_account) AS account_id, day, sdk_platform,
    sdk_name, sdk_version, toUInt64(1) AS calls, 'open' AS state
FROM (
    SELECT account_id AS received, main_account, toDate(occurred_at) AS day, sdk_platform, sdk_name,
        sdk_version
    FROM call_copies FINAL
    WHERE (sdk_name != '' OR sdk_version != '')
        AND toDate(occurred_at) > (
            SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed')
        AND appended_at >= toDateTime64((
            SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed'), 3, 'Asia/Shanghai')
        AND (topic, partition, offset) NOT IN (
            SELECT topic, partition, offset FROM duplicate_copies
            WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
                AND appended_at >= toDateTime64((
                    SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed'), 3,
                    'Asia/Shanghai')
            UNION ALL
            SELECT topic, partition, offset FROM open_duplicates
            WHERE as_of = (SELECT max(as_of) FROM usage_sweeps))
    ORDER BY appended_at, partition, offset
    LIMIT 1 BY account_id, occurred_at, call_id, billing_hash, topic)
SETTINGS do_not_merge_across_partitions_select_final = 1,
    use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 0;

CREATE OR REPLACE VIEW doubtful_codes
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
FROM (
    SELECT account_id, toDate(occurred_at) AS day, channel, result_code, need_charge, charged,
        code_known
    FROM call_copies FINAL
    WHERE no_tag = '' AND (NOT code_known OR need_charge != '' AND need_charge != toString(charged))
        AND toDate(occurred_at) > (
            SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed')
        AND appended_at >= toDateTime64((
            SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed'), 3, 'Asia/Shanghai')
        AND (topic, partition, offset) NOT IN (
            SELECT topic, partition, offset FROM duplicate_copies
            WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
                AND appended_at >= toDateTime64((
                    SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed'), 3,
                    'Asia/Shanghai')
            UNION ALL
            SELECT topic, partition, offset FROM open_duplicates
            WHERE as_of = (SELECT max(as_of) FROM usage_sweeps))
    ORDER BY appended_at, partition, offset
    LIMIT 1 BY account_id, occurred_at, call_id, billing_hash, topic)
SETTINGS do_not_merge_across_partitions_select_final = 1,
    use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 0;

-- What was read from Kafka. Every table here is a set: inserting a row again changes nothing, so
-- a crash, a retry, a second owner of a partition and a replay from offset 0 are the same harmless
-- event. No table has a TTL, no materialized view sums inserts, no deduplication token is used.
-- Read these tables through the views of 0004_views.sql, which are exact whatever was merged.

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE schema_versions MODIFY COMMENT 'Which migrations of schemas/clickhouse were applied';

ALTER TABLE schema_versions
    COMMENT COLUMN version_id 'Number of the migration file, 0 before the first',
    COMMENT COLUMN is_applied '1 where the migration is in force',
    COMMENT COLUMN date 'Day on which it was applied, server zone',
    COMMENT COLUMN tstamp 'Time at which it was applied, server zone';

CREATE TABLE IF NOT EXISTS call_copies
(
    call_id String COMMENT 'Id of one chargeable act (rule B4)' CODEC(ZSTD(1)),
    account_id String COMMENT 'Account as received: a main account or one of its sub-accounts',
    occurred_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'When the call was made; decides day, tag and price; microseconds, Asia/Shanghai'
        CODEC(Delta, ZSTD(1)),
    -- Plain strings: a Map with LowCardinality keys costs 1.6 times the insert, in its sorting.
    dims Map(String, String)
        COMMENT 'Rating dimensions that the record has, by the catalogue''s names'
        CODEC(ZSTD(1)),
    result_code LowCardinality(String) COMMENT 'Result code as received',
    need_charge LowCardinality(String)
        COMMENT 'The flow''s own IsNeedCharge: true, false or empty; recorded, never billed by',
    sdk_platform LowCardinality(String) COMMENT 'SDK platform: android, ios, ...; empty if none',
    sdk_name LowCardinality(String) COMMENT 'SDK name; empty if none',
    sdk_version LowCardinality(String) COMMENT 'SDK version; empty if none',
    topic LowCardinality(String) COMMENT 'Kafka topic of this copy',
    partition Int32 COMMENT 'Kafka partition of this copy',
    offset Int64 COMMENT 'Kafka offset of this copy' CODEC(Delta, ZSTD(1)),
    appended_at DateTime64(3, 'Asia/Shanghai')
        COMMENT 'When the broker appended this copy; decides lateness; milliseconds, Asia/Shanghai'
        CODEC(Delta, ZSTD(1)),
    billing_hash UInt64
        COMMENT 'xxHash64 over the fields that can move a bill: copies that differ stay apart'
        CODEC(ZSTD(1)),
    main_account String
        COMMENT 'Provisional: main account on arrival; empty while it was unknown'
        CODEC(ZSTD(1)),
    cohort LowCardinality(String) COMMENT 'Provisional: cohort of the main account (rule B3)',
    channel LowCardinality(String) COMMENT 'Provisional: key of the channel, aliases resolved',
    postpaid_tag LowCardinality(String) COMMENT 'Provisional: postpaid billing tag id (rule B6)',
    prepaid_tag LowCardinality(String) COMMENT 'Provisional: prepaid billing tag id',
    legacy_tag LowCardinality(String)
        COMMENT 'Provisional: tag by which older packages reach the call; empty if none',
    charged Bool COMMENT 'Provisional: the result code is on the whitelist (rule B5)',
    code_known Bool COMMENT 'Provisional: the catalogue has heard of the result code',
    no_tag LowCardinality(String)
        COMMENT 'Provisional: why the call has no billing tag; empty where it has or needs none',
    catalog_digest LowCardinality(String)
        COMMENT 'Digest of the catalogue that judged the copy on arrival (rule B26)',
    id_hash UInt64 MATERIALIZED xxHash64(call_id)
        COMMENT 'xxHash64 of call_id, to find copies by id; never trusted without call_id'
        CODEC(ZSTD(1)),
    ver UInt128 MATERIALIZED bitNot(
        bitShiftLeft(toUInt128(toUnixTimestamp64Milli(appended_at)), 84)
        + bitShiftLeft(toUInt128(partition), 53) + toUInt128(offset))
        COMMENT 'Inverted arrival: 44 bits ms, 31 bits partition, 53 bits offset; the first wins'
        CODEC(ZSTD(1))
)
-- The key holds everything that can move a bill, and the topic, so that within a key arrivals are
-- ordered totally by ver: redelivered and identical copies collapse into the one that arrived
-- first, and nothing else ever collapses. Copies of one call_id under several keys are settled by
-- the closing that takes the call (duplicate_copies), until then by the sweep (open_duplicates).
-- No enriched column is in the key or in ver, so a copy that is enriched again replaces itself.
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMMDD(appended_at)
ORDER BY (account_id, occurred_at, call_id, billing_hash, topic)
COMMENT 'Copies of calls as received, with provisional enrichment. Read the view calls';

CREATE TABLE IF NOT EXISTS deliveries
(
    topic LowCardinality(String) COMMENT 'Kafka topic',
    partition Int32 COMMENT 'Kafka partition',
    offset Int64 COMMENT 'Kafka offset' CODEC(Delta, ZSTD(1)),
    appended_at DateTime64(3, 'Asia/Shanghai')
        COMMENT 'When the broker appended the record; milliseconds, Asia/Shanghai'
        CODEC(Delta, ZSTD(1)),
    outcome Enum8('data' = 1, 'quarantined' = 2, 'aborted' = 3, 'control' = 4)
        COMMENT 'What stands at the offset: stored, refused on decoding, aborted, control marker',
    id_hash UInt64 COMMENT 'xxHash64 of call_id or event_id; 0 where none could be read'
        CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(appended_at)
ORDER BY (topic, partition, offset)
COMMENT 'One row per offset read, for the books of a closing (rule B21); written after the facts';

CREATE TABLE IF NOT EXISTS account_events
(
    topic LowCardinality(String) COMMENT 'Kafka topic',
    partition Int32 COMMENT 'Kafka partition',
    offset Int64 COMMENT 'Kafka offset',
    appended_at DateTime64(3, 'Asia/Shanghai')
        COMMENT 'When the broker appended the event; milliseconds, Asia/Shanghai',
    event_id String COMMENT 'Idempotency key of the event',
    type LowCardinality(String) COMMENT 'What the event does, for example package.delivered',
    account_id String COMMENT 'Account that the event addresses',
    effective_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'When the event says that it holds; microseconds, Asia/Shanghai',
    value String COMMENT 'The event as received, raw JSON' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset)
COMMENT 'Well-formed account events as received, one row per offset';

CREATE TABLE IF NOT EXISTS quarantined_records
(
    topic LowCardinality(String) COMMENT 'Kafka topic',
    partition Int32 COMMENT 'Kafka partition',
    offset Int64 COMMENT 'Kafka offset',
    appended_at DateTime64(3, 'Asia/Shanghai')
        COMMENT 'When the broker appended the record; milliseconds, Asia/Shanghai',
    key String COMMENT 'Record key, raw bytes' CODEC(ZSTD(3)),
    value String COMMENT 'Record value, raw bytes' CODEC(ZSTD(3)),
    headers Map(String, String) COMMENT 'Record headers; of equal names the last',
    reason LowCardinality(String) COMMENT 'Reason code; the table reasons has its hint',
    detail String COMMENT 'What was wrong where',
    account_id String COMMENT 'Account named by the record; empty where it could not be read',
    call_or_event_id String COMMENT 'call_id or event_id; empty where it could not be read',
    resolved LowCardinality(String)
        COMMENT 'Empty while in quarantine; else taken, duplicate, accepted or requeued',
    version UInt64 COMMENT 'The row with the highest version counts; it repeats all fields'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(appended_at)
ORDER BY (topic, partition, offset)
COMMENT 'Records refused or waiting, with their bytes (rule B7). Read the view quarantine';

CREATE TABLE IF NOT EXISTS reasons
(
    reason String COMMENT 'Reason code of the quarantine',
    hint String COMMENT 'What a person can do about it'
)
ENGINE = ReplacingMergeTree
ORDER BY reason
COMMENT 'Hints of the reason codes; tollstream migrate writes what the program says';

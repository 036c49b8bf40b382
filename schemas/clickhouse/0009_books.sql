-- What the books of a closing rest on (rule B21): every delivered record can prove that what it
-- says is stored, and closings carry which cluster and which topic they were read from.

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS billing_hash UInt64
        COMMENT 'With id_hash, names the row of call_copies; 0 where there is none, and in old rows'
        CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS reason LowCardinality(String)
        COMMENT 'Reason of its quarantine on arrival; empty where it had none, and in old rows';

ALTER TABLE settlement_records
    ADD COLUMN IF NOT EXISTS cluster_id String
        COMMENT 'Kafka cluster that held the input topics; empty in old rows',
    ADD COLUMN IF NOT EXISTS gaps String DEFAULT '[]'
        COMMENT 'JSON list of the accepted gaps below the barriers: range, reason, by, accepted_at';

CREATE TABLE IF NOT EXISTS log_epochs
(
    topic String COMMENT 'Kafka topic',
    epoch UInt32 COMMENT 'Number of the epoch, from 1; a topic created again begins a new one',
    cluster_id String COMMENT 'Kafka cluster that holds the topic',
    topic_id String COMMENT 'Kafka''s id of the topic, hexadecimal; empty where brokers do not tell',
    reason String COMMENT 'Why a new epoch was begun',
    by String COMMENT 'Who began it',
    declared_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Wall-clock time, Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, epoch)
COMMENT 'Which log a topic is; rows of the second epoch on have topic#epoch in their column topic';

CREATE OR REPLACE VIEW settlements
(
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time, Asia/Shanghai',
    day Date COMMENT 'The day that the closing closes',
    state String COMMENT 'decided: barriers are fixed; closed: everything is stored',
    catalog_digest String COMMENT 'Digest of the catalogue of this closing',
    catalog_version String COMMENT 'Version of that catalogue',
    rule_version UInt32 COMMENT 'Version of the rules',
    barriers String COMMENT 'JSON list of {topic, partition, low, high, topic_id}',
    books String COMMENT 'JSON list of the books per partition',
    bills UInt64 COMMENT 'Bills made',
    calls UInt64 COMMENT 'Calls taken',
    finished_at DateTime64(3, 'Asia/Shanghai') COMMENT 'When the row was written, Asia/Shanghai',
    cluster_id String COMMENT 'Kafka cluster that held the input topics',
    gaps String COMMENT 'JSON list of the accepted gaps: {topic, partition, from, to, reason, by, ...}'
)
COMMENT 'Closings with their barriers, books and accepted gaps (rule B21)'
AS SELECT closed_at, day, toString(state) AS state, catalog_digest, catalog_version,
    rule_version, barriers, books, bills, calls, finished_at, cluster_id, gaps
FROM settlement_records FINAL;

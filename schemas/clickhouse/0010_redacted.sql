-- Bytes of quarantined records that were taken away, and by whom. What is left of a record is
-- enough for the books: its place, its reason, and the hash by which its bytes would be known.

-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS redacted_records
(
    topic LowCardinality(String) COMMENT 'Kafka topic of the record',
    partition Int32 COMMENT 'Kafka partition of the record',
    offset Int64 COMMENT 'Kafka offset of the record',
    value_bytes UInt64 COMMENT 'Size of the value that was taken away',
    value_sha256 String COMMENT 'SHA-256 of that value, hexadecimal',
    redacted_by String COMMENT 'Who asked for it',
    why String COMMENT 'Why',
    redacted_at DateTime64(3, 'Asia/Shanghai') COMMENT 'Wall-clock time of it; Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset)
COMMENT 'Quarantined records without their bytes, which ingest does not bring back either';

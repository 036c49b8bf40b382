-- Usage that no closing has taken yet, recomputed as a whole by every sweep and never summed over
-- inserts. A sweep is seen once its row in usage_sweeps stands; older sweeps are dropped.

-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS usage_sweeps
(
    as_of DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Moment of the sweep, its id; microseconds, Asia/Shanghai',
    open_from Date COMMENT 'First open day at that moment; calls of earlier days are late',
    finished_at DateTime64(3, 'Asia/Shanghai') COMMENT 'When it was complete; Asia/Shanghai',
    rows UInt64 COMMENT 'Rows written to open_usage',
    seconds Decimal(18, 3) COMMENT 'How long it took, seconds'
)
ENGINE = ReplacingMergeTree
ORDER BY as_of
COMMENT 'Complete sweeps of the open usage';

CREATE TABLE IF NOT EXISTS open_usage
(
    as_of DateTime64(6, 'Asia/Shanghai') COMMENT 'Moment of the sweep; Asia/Shanghai',
    slice UInt16 COMMENT 'Slice of call ids that was counted at once; sum over slices',
    account_id String COMMENT 'Main account; the account as received while that is unknown',
    day Date COMMENT 'Day of the calls in Asia/Shanghai',
    tag LowCardinality(String) COMMENT 'Provisional postpaid tag id; empty if none',
    channel LowCardinality(String) COMMENT 'Provisional key of the channel',
    charged UInt64 COMMENT 'Calls with a charged result code',
    free UInt64 COMMENT 'Calls that are not charged',
    unknown_code UInt64 COMMENT 'Calls with a result code that the catalogue does not know',
    waiting UInt64 COMMENT 'Calls that wait for their account or a billing tag'
)
ENGINE = ReplacingMergeTree
PARTITION BY as_of
ORDER BY (as_of, account_id, day, tag, channel, slice)
COMMENT 'Usage not taken yet, one partition per sweep. Read the view usage_daily';

CREATE TABLE IF NOT EXISTS open_duplicates
(
    as_of DateTime64(6, 'Asia/Shanghai') COMMENT 'Moment of the sweep; Asia/Shanghai',
    topic LowCardinality(String) COMMENT 'Kafka topic of the copy that does not count now',
    partition Int32 COMMENT 'Kafka partition of the copy that does not count now',
    offset Int64 COMMENT 'Kafka offset of the copy that does not count now',
    appended_at DateTime64(3, 'Asia/Shanghai')
        COMMENT 'When the broker appended that copy; milliseconds, Asia/Shanghai',
    call_id String COMMENT 'The call_id that both copies carry',
    conflict Bool COMMENT 'The copies differ in a field that can move a bill',
    winner_topic LowCardinality(String) COMMENT 'Kafka topic of the copy that counts now',
    winner_partition Int32 COMMENT 'Kafka partition of the copy that counts now',
    winner_offset Int64 COMMENT 'Kafka offset of the copy that counts now'
)
ENGINE = ReplacingMergeTree
PARTITION BY as_of
ORDER BY (as_of, topic, partition, offset)
COMMENT 'Copies that do not count as of a sweep; a closing decides for good (duplicate_copies)';

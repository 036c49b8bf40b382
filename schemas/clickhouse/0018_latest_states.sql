-- A closing needs the state of an account as the one before left it. account_states has all that there
-- ever were, an account's one behind the other, so that to read the last was to read them all: 0.3 ms
-- an account after a year of daily bills. Here are copies of the newest ones, by the day that was
-- closed; the next closing but three takes the place. What is not here is read there.

-- +goose Up

CREATE TABLE IF NOT EXISTS account_latest
(
    account_id String COMMENT 'Main account',
    slot UInt8 COMMENT 'Remainder of the day that was closed by four',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time after which this is the state, Asia/Shanghai',
    state String COMMENT 'JSON snapshot of the account for the next closing' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(closed_at)
ORDER BY (account_id, slot)
COMMENT 'Copies of the newest rows of account_states, for closings';

-- The way from a line to its calls had to look for what they returned among all copies.
ALTER TABLE taken_by_line ADD COLUMN IF NOT EXISTS result_code LowCardinality(String)
    COMMENT 'Result code of the call; empty in old rows';

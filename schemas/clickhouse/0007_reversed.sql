-- Calls that were taken and that their account took back (usage.voided, rule B27).

-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS reversed_calls
(
    account_id String COMMENT 'Main account that took the call back',
    call_id String COMMENT 'Id of the call',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that reversed it; Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
ORDER BY (account_id, call_id)
COMMENT 'Taken calls that were reversed on a later bill, one row per call for ever';

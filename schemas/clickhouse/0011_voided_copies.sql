-- Calls that were taken back before a closing took them (usage.voided, rules B4 and B27).

-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS voided_copies
(
    account_id String COMMENT 'Account as received',
    occurred_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'When the call was made; microseconds, Asia/Shanghai',
    call_id String COMMENT 'Id of the call',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the last closing that did not take it; Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
ORDER BY (account_id, occurred_at, call_id)
COMMENT 'Copies that were never taken and still count against later copies of the same call_id';

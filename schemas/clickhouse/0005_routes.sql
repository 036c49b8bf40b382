-- Which main account an id belongs to, as closings folded it from the account events (rule B2).

-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS account_routes
(
    account_id String COMMENT 'Id as received: a main account or one of its sub-accounts',
    main_account String COMMENT 'Main account that is billed for it',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that learnt of it; Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
ORDER BY account_id
COMMENT 'Main account of every known id, exactly up to the last closing';

ALTER TABLE deliveries MODIFY COLUMN outcome
    Enum8('data' = 1, 'quarantined' = 2, 'aborted' = 3, 'control' = 4, 'compacted' = 5)
    COMMENT 'What stands at the offset: stored, refused on decoding, aborted, marker, compacted';

-- A closing writes a few kilobytes of text for each account. ZSTD(1) takes half the time of ZSTD(3)
-- for it, and little more room; rows that are stored keep theirs until they are merged.

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE closed_bills MODIFY COLUMN json CODEC(ZSTD(1));

ALTER TABLE closed_bill_lines MODIFY COLUMN explain CODEC(ZSTD(1));

ALTER TABLE account_states MODIFY COLUMN state CODEC(ZSTD(1));

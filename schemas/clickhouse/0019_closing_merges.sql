-- A closing inserts rows of some thirty-five thousand accounts at once. Merges of such parts while it went on took
-- a quarter of the server, and were waited for. With a base of 200 it waits for up to 42 parts while they are
-- young, and for fewer as they get older. The calls of a line are asked for by account, and each part is another
-- place to look, so that these wait for about ten, as what ingest writes (0016).

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE taken_calls MODIFY SETTING merge_selector_base = 200;

ALTER TABLE taken_by_line MODIFY SETTING merge_selector_base = 10;

ALTER TABLE closed_usage MODIFY SETTING merge_selector_base = 200;

ALTER TABLE closed_bills MODIFY SETTING merge_selector_base = 200;

ALTER TABLE closed_bill_lines MODIFY SETTING merge_selector_base = 200;

ALTER TABLE closed_bill_totals MODIFY SETTING merge_selector_base = 200;

ALTER TABLE closed_line_totals MODIFY SETTING merge_selector_base = 200;

ALTER TABLE booked_entries MODIFY SETTING merge_selector_base = 200;

ALTER TABLE account_states MODIFY SETTING merge_selector_base = 200;

ALTER TABLE account_latest MODIFY SETTING merge_selector_base = 200;

ALTER TABLE account_latest MODIFY SETTING min_bytes_for_wide_part = 67108864;

-- These rows are overwritten within four closings; packing them well was most of what they cost.
ALTER TABLE account_latest MODIFY COLUMN state CODEC(LZ4);

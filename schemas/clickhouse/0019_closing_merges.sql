-- A closing inserts rows of some thirty-five thousand accounts at once. Merges of five such parts, and of five
-- of these again, took as much of the server as all its inserts, while they were waited for. With a
-- base of 200 it waits for about forty parts of a size while they are young. The older parts are, the
-- fewer it waits for: small ones merge within an hour, as before, large ones when the closing is over.

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE taken_calls MODIFY SETTING merge_selector_base = 200;

ALTER TABLE taken_by_line MODIFY SETTING merge_selector_base = 200;

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

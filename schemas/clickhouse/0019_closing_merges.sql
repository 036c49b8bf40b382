-- A closing inserts rows of some thirty-five thousand accounts at once. Merges of such parts while it went on took
-- as much of the server as its inserts, while they were waited for: with merges by tens 70 us an account instead
-- of 50. With a base of 50 it waits for up to 28 parts while they are young, and for fewer as they get older. More
-- would cost whoever asks for one account: each part is another place to look.

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE taken_calls MODIFY SETTING merge_selector_base = 50;

ALTER TABLE taken_by_line MODIFY SETTING merge_selector_base = 50;

ALTER TABLE closed_usage MODIFY SETTING merge_selector_base = 50;

ALTER TABLE closed_bills MODIFY SETTING merge_selector_base = 50;

ALTER TABLE closed_bill_lines MODIFY SETTING merge_selector_base = 50;

ALTER TABLE closed_bill_totals MODIFY SETTING merge_selector_base = 50;

ALTER TABLE closed_line_totals MODIFY SETTING merge_selector_base = 50;

ALTER TABLE booked_entries MODIFY SETTING merge_selector_base = 50;

ALTER TABLE account_states MODIFY SETTING merge_selector_base = 50;

ALTER TABLE account_latest MODIFY SETTING merge_selector_base = 50;

ALTER TABLE account_latest MODIFY SETTING min_bytes_for_wide_part = 67108864;

-- These rows are overwritten within four closings; packing them well was most of what they cost.
ALTER TABLE account_latest MODIFY COLUMN state CODEC(LZ4);

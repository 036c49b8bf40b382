-- A closing inserts rows of some fifteen thousand accounts at once, and merges of five such parts, and
-- of five of these again, took as much of the server as all its inserts. With a base of 10 it waits for
-- about ten parts of a size while they are young; the older parts are, the fewer it waits for, so
-- that what a closing left is merged when the closing is over.

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE taken_calls MODIFY SETTING merge_selector_base = 10;

ALTER TABLE taken_by_line MODIFY SETTING merge_selector_base = 10;

ALTER TABLE closed_usage MODIFY SETTING merge_selector_base = 10;

ALTER TABLE closed_bills MODIFY SETTING merge_selector_base = 10;

ALTER TABLE closed_bill_lines MODIFY SETTING merge_selector_base = 10;

ALTER TABLE closed_bill_totals MODIFY SETTING merge_selector_base = 10;

ALTER TABLE closed_line_totals MODIFY SETTING merge_selector_base = 10;

ALTER TABLE booked_entries MODIFY SETTING merge_selector_base = 10;

ALTER TABLE account_states MODIFY SETTING merge_selector_base = 10;

ALTER TABLE account_latest MODIFY SETTING merge_selector_base = 10;

ALTER TABLE account_latest MODIFY SETTING min_bytes_for_wide_part = 67108864;

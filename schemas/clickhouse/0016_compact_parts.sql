-- What ingest and closings insert are parts of some thousands of rows. In the wide form each is up to a
-- hundred files, and making these took a quarter of what an insert and its merges cost the server. In
-- the compact form it is a dozen, whatever the number of columns. Larger parts, which merges make,
-- are wide as before, so that a query reads the columns that it needs.
--
-- To merge a copy costs the server more than to take it in. With a base of 10 instead of 5 it waits
-- for about ten parts of a size, so that each row is merged less often; small and old parts are merged
-- as before.

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE call_copies MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE call_copies MODIFY SETTING merge_selector_base = 10;

ALTER TABLE deliveries MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE deliveries MODIFY SETTING merge_selector_base = 10;

ALTER TABLE taken_calls MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE taken_by_line MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE closed_usage MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE closed_bills MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE closed_bill_lines MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE closed_bill_totals MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE closed_line_totals MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE booked_entries MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE account_states MODIFY SETTING min_bytes_for_wide_part = 67108864;

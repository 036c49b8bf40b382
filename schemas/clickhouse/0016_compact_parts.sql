-- What ingest inserts are parts of some tens of thousands of rows. In the wide form each is about a
-- hundred files, and making these took a quarter of what an insert and its merges cost the server. In
-- the compact form it is a dozen, whatever the number of columns. Larger parts, which merges make,
-- are wide as before, so that a query reads the columns that it needs.

-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE call_copies MODIFY SETTING min_bytes_for_wide_part = 67108864, merge_selector_base = 10;

ALTER TABLE deliveries MODIFY SETTING min_bytes_for_wide_part = 67108864, merge_selector_base = 10;

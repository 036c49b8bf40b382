-- What packages have left, for dashboards and for those who talk to customers.

-- +goose NO TRANSACTION
-- +goose Up

-- Defined anew later, so a slow migration may not put this one over that one.
CREATE VIEW IF NOT EXISTS package_balances
(
    account_id String COMMENT 'Main account',
    package_id String COMMENT 'Package, as its purchase names it',
    tag String COMMENT 'Prepaid billing tag id that it pays for',
    free Bool COMMENT 'Given, not bought',
    quota UInt64 COMMENT 'Calls that it was made for',
    used UInt64 COMMENT 'Calls that closings have taken from it',
    left UInt64 COMMENT 'Calls that are left',
    first_day Date COMMENT 'First day whose calls it pays, Asia/Shanghai',
    end_day Date COMMENT 'First day whose calls it does not pay any more, Asia/Shanghai',
    refunded Bool COMMENT 'Given back; it pays nothing',
    as_of DateTime64(6, 'Asia/Shanghai') COMMENT 'Closing up to which this holds, Asia/Shanghai'
)
COMMENT 'Packages of every account as of its last complete closing'
AS SELECT account_id, JSONExtractString(p, 'ID') AS package_id, JSONExtractString(p, 'Tag') AS tag,
    CAST(JSONExtractBool(p, 'Free'), 'Bool') AS free, JSONExtractUInt(p, 'Quota') AS quota,
    JSONExtractUInt(p, 'Used') AS used, quota - used AS left,
    toDate(JSONExtractUInt(p, 'First')) AS first_day, toDate(JSONExtractUInt(p, 'End')) AS end_day,
    CAST(JSONExtractBool(p, 'Refunded'), 'Bool') AS refunded, closed_at AS as_of
FROM (
    SELECT account_id, closed_at, arrayJoin(JSONExtractArrayRaw(state, 'Packages')) AS p
    FROM account_states FINAL
    WHERE (account_id, closed_at) IN (
        SELECT account_id, max(closed_at) FROM account_states
        WHERE closed_at IN (SELECT closed_at FROM settlement_records FINAL WHERE state = 'closed')
        GROUP BY account_id));

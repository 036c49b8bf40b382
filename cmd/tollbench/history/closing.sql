-- What the closing at {closed} stores besides, of the same calls.

INSERT INTO taken_by_line (account_id, tag, package_id, closed_at, occurred_at, call_id, caller,
    day, outcome, topic, partition, offset, result_code)
SELECT main, tag, package, {closed}, occurred, id, caller, day, outcome, 'faceid.calls', log, place,
    code
FROM ({records}) WHERE counts;

INSERT INTO duplicate_copies (topic, partition, offset, appended_at, call_id, conflict,
    winner_topic, winner_partition, winner_offset, closed_at)
SELECT 'faceid.calls', log, place, appended, id, true, 'faceid.calls', toInt32(made % 6),
    toInt64(intDiv({first} + made, 6)), {closed}
FROM ({records}) WHERE differs AND NOT malformed AND NOT untagged;

INSERT INTO closed_usage (closed_at, account_id, day, tag, channel, charged, free, covered,
    postpaid, uncovered, unknown_code, cohort)
SELECT {closed}, main, day, way_postpaid, way_channel, countIf(charged), countIf(NOT charged),
    countIf(outcome = 'covered'), countIf(outcome = 'postpaid'), countIf(outcome = 'uncovered'),
    countIf(code_unknown), any(cohort)
FROM ({records}) WHERE counts GROUP BY main, day, way_postpaid, way_channel;

INSERT INTO closed_clients (closed_at, account_id, day, sdk_platform, sdk_name, sdk_version, calls)
SELECT {closed}, main, day, sdk_platform, sdk_name, sdk_version, count()
FROM ({records}) WHERE counts AND has_sdk
GROUP BY main, day, sdk_platform, sdk_name, sdk_version;

INSERT INTO closed_codes (closed_at, account_id, day, channel, result_code, need_charge, charged,
    code_known, calls)
SELECT {closed}, caller, day, way_channel, code, need_charge, charged, NOT code_unknown, count()
FROM ({records})
WHERE counts AND (code_unknown OR need_charge != '' AND need_charge != toString(CAST(charged, 'Bool')))
GROUP BY caller, day, way_channel, code, need_charge, charged, code_unknown;

INSERT INTO closed_cover (closed_at, account_id, package_id, calls)
SELECT {closed}, main, package, count() FROM ({records}) WHERE counts AND package != ''
GROUP BY main, package;

-- Three packages for each account, and a state as long as states are.
INSERT INTO closed_packages (account_id, closed_at, package_id, tag, free, quota, used, first_day,
    end_day, refunded)
SELECT main, {closed}, p.1, p.2, p.3, p.4, p.5, {opened}, {opened} + 730, false
FROM (
    SELECT main, any(account) AS no, arrayJoin([
        (concat('pkg-', main, '-free'), 'basic_self', true, 100, 100),
        (concat('pkg-', main, '-more'), 'idcard', false, 1000, no % 1000),
        (concat('pkg-', toString(no)), 'basic_auth', false, 100000000, {number} * 10)]) AS p
    FROM ({records}) WHERE counts GROUP BY main);

INSERT INTO account_states (account_id, closed_at, state, in_arrears, pending, next_due, status_due)
SELECT main, {closed}, concat('{"ID":"', main, '","Cohort":"', any(cohort), '","Packages":[',
    arrayStringConcat(arrayMap(i -> concat('{"ID":"pkg-', main, '-', toString(i),
        '","Tag":"basic_auth","Free":false,"Quota":1000,"Used":', toString(count()),
        ',"Price":"7200","Delivered":1676403434000000,"First":19403,"End":19768}'), range(3)), ','),
    '],"Settled":"', toString(any(h) % 100000), '.77","FixedTo":{start},"Months":[',
    arrayStringConcat(arrayMap(i -> concat('{"Bill":"', main, '/', toString({opened} + i),
        '","Day":', toString(19389 + i), ',"Quantity":', toString((any(account) * i) % 977),
        ',"Prices":{"ID":"C/phone2","Source":"P-day","Contract":false,"Graduated":false,"Tiers":[',
        '{"From":0,"Price":"0.4","Unpublished":false}],"Factors":null},"Charged":"',
        toString(i), '"}'), range(1 + {number} % 28)), ','), ']}'),
    any(account) % 97 = 5, false, {closed}, toDateTime64('2200-01-01 08:00:00', 6, 'Asia/Shanghai')
FROM ({records}) WHERE counts GROUP BY main;

INSERT INTO account_latest (account_id, slot, closed_at, state)
SELECT account_id, {number} % 4, closed_at, state FROM account_states WHERE closed_at = {closed};

-- Quantities of which the bills of the month are made.
INSERT INTO bench_billed
SELECT main, any(account), {closed}, tag, package, outcome, day, count()
FROM ({records}) WHERE counts AND outcome != 'free' GROUP BY main, tag, package, outcome, day;

INSERT INTO settlement_records (closed_at, day, state, catalog_digest, catalog_version,
    rule_version, barriers, books, bills, calls, finished_at, version, cluster_id, gaps)
SELECT {closed}, {day}, 'closed', '{digest}', 'bench', 1,
    concat('[', arrayStringConcat(groupArray(barrier), ','), ']'),
    concat('[', arrayStringConcat(groupArray(book), ','), ']'), {accounts}, sum(taken),
    {closed} + 60, 2, 'bench', '[]'
FROM (
    SELECT concat('"topic":"faceid.calls","partition":', toString(log), ',"low":', toString({low}),
            ',"high":', toString({high})) AS place, concat('{', place, '}') AS barrier,
        countIf(counts) AS taken,
        concat('{', place, ',"data":', toString(countIf(NOT malformed)),
            ',"aborted":0,"control":0,"compacted":0,"lost":0,"charged":',
            toString(countIf(counts AND charged)), ',"free":',
            toString(countIf(counts AND NOT charged)), ',"duplicate":',
            toString(countIf(again AND NOT malformed AND NOT untagged)), ',"quarantined":',
            toString(countIf(malformed OR untagged)), ',"waiting":0,"events":0}') AS book
    FROM ({records}) GROUP BY log ORDER BY log);

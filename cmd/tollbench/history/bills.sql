-- The bills of the closings in [{from}, {to}) up to {last}: of accounts of cohort C for every day, of
-- the others once, with the last closing of a month. Each call costs half a yuan, and nothing where it is
-- covered or uncovered.

INSERT INTO closed_bill_lines (bill_id, account_id, closed_at, line_no, kind, tag, tag_name, period,
    quantity, unit_price, amount, package_id, flags, explain)
SELECT concat(main, '/', billed) AS bill_id, main, closing,
    row_number() OVER (PARTITION BY bill_id ORDER BY kind, tag, package, period) AS line_no,
    multiIf(outcome != 'postpaid', outcome, startsWith(billed, period), 'usage', 'late_usage')
        AS kind,
    tag, concat('标签 ', tag), period, quantity, if(outcome = 'postpaid', 0.5, 0) AS price,
    quantity * price, package, [],
    concat('[{"rule":"B15","text":"', billed, ' has ', toString(quantity),
        ' postpaid calls of ', tag, '"},{"rule":"B15","text":"flat price: ', toString(price),
        ' a call"},{"rule":"B16","text":"', period, ': ', toString(quantity), ' x ',
        toString(price), ' = ', toString(quantity * price), '"}]')
FROM (
    SELECT main, outcome, tag, package, sum(calls) AS quantity,
        account % 3 = 0 AS daily,
        if(daily, closed_at, toDateTime64(toLastDayOfMonth(toDate(closed_at) - 1) + 1, 6,
            'Asia/Shanghai') + toIntervalHour(8)) AS closing,
        if(daily, toString(toDate(closing) - 1), formatDateTime(toDate(closing) - 1, '%Y-%m'))
            AS billed,
        if(daily, toString(day), formatDateTime(day, '%Y-%m')) AS period
    FROM bench_billed FINAL
    WHERE closed_at >= {from} AND closed_at < {to}
    GROUP BY main, account, outcome, tag, package, closing, billed, period)
WHERE closing <= {last};

INSERT INTO closed_line_totals (closed_at, kind, tag, account_id, bill_id, line_no, tag_name,
    quantity, amount)
SELECT closed_at, kind, tag, account_id, bill_id, line_no, tag_name, quantity, amount
FROM closed_bill_lines WHERE closed_at >= {from} AND closed_at < {to};

INSERT INTO closed_bills (bill_id, account_id, cycle, period, period_start, period_end, closed_at,
    currency, catalog_version, catalog_digest, rule_version, total, balance_before, balance_after,
    previous_digest, digest, lines, json)
SELECT bill_id, account_id, if(length(period) = 10, 'daily', 'monthly') AS cycle,
    substring(bill_id, length(account_id) + 2) AS period, toDateTime64(
        if(cycle = 'daily', toDate(closed_at) - 1, toStartOfMonth(toDate(closed_at) - 1)), 6,
        'Asia/Shanghai') AS period_start,
    toDateTime64(toDate(closed_at), 6, 'Asia/Shanghai') AS period_end, l.closed_at AS closed_at,
    'CNY', 'bench', '{digest}', 1, sum(amount) AS total, 100000 AS before, before - total AS after,
    lower(hex(SHA256(account_id))) AS previous, lower(hex(SHA256(bill_id))) AS digest, count(),
    concat('{"account_id":"', account_id, '","balance_after":"', toString(after),
        '","balance_before":"', toString(before), '","bill_id":"', bill_id,
        '","catalog_digest":"{digest}","catalog_version":"bench","closed_at":"',
        formatDateTime(closed_at, '%Y-%m-%dT%H:%i:%S'), '+08:00","currency":"CNY","cycle":"', cycle,
        '","digest":"', digest, '","lines":[', arrayStringConcat(arrayMap(x -> x.2, arraySort(
            groupArray((line_no, concat('{"amount":"', toString(amount), '","explain":', explain,
                ',"flags":[],"kind":"', kind, '","line_no":', toString(line_no), ',"package_id":',
                if(package_id = '', 'null', concat('"', package_id, '"')), ',"period":"', l.period,
                '","quantity":', toString(quantity), ',"tag":"', tag, '","tag_name":"', tag_name,
                '","unit_price":"', toString(unit_price), '"}'))))), ','),
        '],"period":"', period, '","period_end":"',
        formatDateTime(period_end, '%Y-%m-%dT%H:%i:%S'), '+08:00","period_start":"',
        formatDateTime(period_start, '%Y-%m-%dT%H:%i:%S'), '+08:00","previous_digest":"', previous,
        '","rule_version":1,"total":"', toString(total), '"}')
FROM closed_bill_lines AS l WHERE closed_at >= {from} AND closed_at < {to}
GROUP BY bill_id, account_id, closed_at;

INSERT INTO closed_bill_totals (closed_at, account_id, bill_id, cycle, period, period_start,
    period_end, currency, total, balance_after, lines)
SELECT closed_at, account_id, bill_id, cycle, period, period_start, period_end, currency, total,
    balance_after, lines
FROM closed_bills WHERE closed_at >= {from} AND closed_at < {to};

INSERT INTO booked_entries (entry_id, account_id, at, kind, debit, credit, amount, cause, closed_at)
SELECT concat(account_id, '/bill/', bill_id), account_id, closed_at, 'bill',
    concat('balance:', account_id), concat('receivable:', account_id), total, bill_id, closed_at
FROM closed_bills WHERE closed_at >= {from} AND closed_at < {to};

INSERT INTO booked_entries (entry_id, account_id, at, kind, debit, credit, amount, cause, closed_at)
SELECT concat(account_id, '/top_up/', bill_id), account_id, closed_at - 3600, 'top_up', 'payments',
    concat('balance:', account_id), 5000, concat('ev-', bill_id), closed_at
FROM closed_bills
WHERE closed_at >= {from} AND closed_at < {to} AND cityHash64(bill_id) % 10 = 0;

INSERT INTO status_changes (event_id, account_id, status, effective_at, balance, cause, provisional,
    closed_at, version)
SELECT concat(bill_id, '/', s.1), account_id, s.1, closed_at - s.2, -1, bill_id, false, closed_at, 2
FROM closed_bills
ARRAY JOIN [('in_arrears', 7200), ('active', 3600)] AS s
WHERE closed_at >= {from} AND closed_at < {to} AND cityHash64(bill_id) % 200 = 0;

-- Accounts with two sub-accounts each, and the sweep of the open day.

INSERT INTO account_routes (account_id, main_account, closed_at)
SELECT if(sub = 0, main, toString(2000000000 + 2 * account + sub - 1)), main, {closed}
FROM (SELECT number % 3 AS sub, intDiv(number, 3) AS account, toString(1300000000 + account) AS main
    FROM numbers(3 * {accounts}));

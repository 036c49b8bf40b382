-- What the closing at {closed} stores of the calls that it takes.

INSERT INTO taken_calls (call_id, id_hash, account_id, caller, occurred_at, day, closed_at, outcome,
    tag, package_id, topic, partition, offset)
SELECT id, xxHash64(id), main, caller, occurred, day, {closed}, outcome, tag, package,
    'faceid.calls', log, place
FROM ({records}) WHERE counts;

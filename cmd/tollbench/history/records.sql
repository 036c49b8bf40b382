-- What ingest stores of a day's records.

INSERT INTO call_copies (call_id, account_id, occurred_at, dims, result_code, need_charge,
    sdk_platform, sdk_name, sdk_version, topic, partition, offset, appended_at, billing_hash,
    main_account, cohort, channel, postpaid_tag, prepaid_tag, legacy_tag, charged, code_known,
    no_tag, catalog_digest)
SELECT id, caller, occurred, dims, code, need_charge, sdk_platform, sdk_name, sdk_version,
    'faceid.calls', log, place, appended, hash, main, cohort, if(untagged, '', way_channel),
    if(untagged, '', way_postpaid), if(untagged, '', way_prepaid), if(untagged, '', legacy),
    charged, NOT code_unknown, if(untagged, 'unknown channel', ''), '{digest}'
FROM ({records}) WHERE NOT malformed;

INSERT INTO deliveries (topic, partition, offset, appended_at, outcome, id_hash, billing_hash,
    reason)
SELECT 'faceid.calls', log, place, appended, if(malformed, 'quarantined', 'data'),
    if(malformed, 0, xxHash64(id)), if(malformed, 0, hash),
    multiIf(malformed, 'not_json', untagged, 'no_billing_tag', '')
FROM ({records});

INSERT INTO quarantined_records (topic, partition, offset, appended_at, key, value, reason, detail,
    account_id, call_or_event_id, resolved, version)
SELECT 'faceid.calls', log, place, appended, main,
    concat('{"call_id":"', id, '","account_id":"', caller, if(malformed, '"', '","channel":"?"}')),
    if(malformed, 'not_json', 'no_billing_tag'), 'as received', if(malformed, '', caller),
    if(malformed, '', id), '', 1
FROM ({records}) WHERE malformed OR untagged;

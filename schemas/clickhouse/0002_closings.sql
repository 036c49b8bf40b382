-- What closings decided. Rows are written once and never changed; writing them again changes
-- nothing, because ids are deterministic (rule B22). Everything of one closing carries its nominal
-- closed_at, and counts only once settlement_records says that the closing is closed: the views
-- look there, so that a closing is seen complete or not at all (rule B21).

-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS settlement_records
(
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time (rule B18), never the wall clock; Asia/Shanghai',
    day Date COMMENT 'The day that the closing closes',
    state Enum8('decided' = 1, 'closed' = 2)
        COMMENT 'decided: barriers are fixed for ever; closed: everything of it is stored',
    catalog_digest String COMMENT 'Digest of the catalogue of this closing',
    catalog_version String COMMENT 'Version of that catalogue',
    rule_version UInt32 COMMENT 'Version of the rules by which the engine computes',
    barriers String
        COMMENT 'JSON list of {topic, partition, low, high}: offsets in [low, high) count',
    books String COMMENT 'JSON list of the books per partition, each term counted on its own',
    bills UInt64 COMMENT 'Bills made',
    calls UInt64 COMMENT 'Calls taken',
    finished_at DateTime64(3, 'Asia/Shanghai')
        COMMENT 'Wall-clock time at which the row was written; Asia/Shanghai',
    version UInt64 COMMENT 'The row with the highest version counts'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY closed_at
COMMENT 'One row per closing with its barriers and books. Read the view settlements';

CREATE TABLE IF NOT EXISTS taken_calls
(
    call_id String COMMENT 'Id of the call that was taken' CODEC(ZSTD(1)),
    id_hash UInt64 COMMENT 'xxHash64 of call_id' CODEC(Delta, ZSTD(1)),
    account_id String COMMENT 'Main account that is billed',
    caller String COMMENT 'Account as received',
    occurred_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'When the call was made; microseconds, Asia/Shanghai',
    day Date COMMENT 'Day of the call in Asia/Shanghai',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that took it; Asia/Shanghai',
    outcome Enum8('free' = 1, 'covered' = 2, 'postpaid' = 3, 'uncovered' = 4)
        COMMENT 'What the call became: not charged, paid by a package, postpaid, or neither',
    tag LowCardinality(String) COMMENT 'Prepaid tag id where covered, else postpaid tag id',
    package_id String COMMENT 'Package that covered the call; empty otherwise',
    topic LowCardinality(String) COMMENT 'Kafka topic of the copy that counts',
    partition Int32 COMMENT 'Kafka partition of the copy that counts',
    offset Int64 COMMENT 'Kafka offset of the copy that counts'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (id_hash, call_id)
COMMENT 'What a closing decided about each call, one row per call_id for ever';

CREATE TABLE IF NOT EXISTS duplicate_copies
(
    topic LowCardinality(String) COMMENT 'Kafka topic of the copy that does not count',
    partition Int32 COMMENT 'Kafka partition of the copy that does not count',
    offset Int64 COMMENT 'Kafka offset of the copy that does not count',
    appended_at DateTime64(3, 'Asia/Shanghai')
        COMMENT 'When the broker appended that copy; milliseconds, Asia/Shanghai',
    call_id String COMMENT 'The call_id that both copies carry',
    conflict Bool COMMENT 'The copies differ in a field that can move a bill',
    winner_topic LowCardinality(String) COMMENT 'Kafka topic of the copy that counts',
    winner_partition Int32 COMMENT 'Kafka partition of the copy that counts',
    winner_offset Int64 COMMENT 'Kafka offset of the copy that counts',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that decided it; Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(appended_at)
ORDER BY (topic, partition, offset)
COMMENT 'Copies of calls that do not count, as closings decided (rule B4)';

CREATE TABLE IF NOT EXISTS closed_usage
(
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that took the calls; Asia/Shanghai',
    account_id String COMMENT 'Main account',
    day Date COMMENT 'Day of the calls in Asia/Shanghai',
    tag LowCardinality(String) COMMENT 'Postpaid billing tag id of the calls; empty if none',
    channel LowCardinality(String) COMMENT 'Key of the channel',
    charged UInt64 COMMENT 'Calls with a charged result code: covered + postpaid + uncovered',
    free UInt64 COMMENT 'Calls that are not charged',
    covered UInt64 COMMENT 'Charged calls that a package paid',
    postpaid UInt64 COMMENT 'Charged calls that the balance pays',
    uncovered UInt64 COMMENT 'Charged calls that nothing pays, postpaid being off (rule B13)',
    unknown_code UInt64 COMMENT 'Calls with a result code that the catalogue does not know'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(closed_at)
ORDER BY (account_id, day, tag, channel, closed_at)
COMMENT 'Quantities that each closing took. Read the view usage_daily';

CREATE TABLE IF NOT EXISTS closed_bills
(
    bill_id String COMMENT 'account/period, deterministic (rule B22)',
    account_id String COMMENT 'Main account',
    cycle Enum8('daily' = 1, 'monthly' = 2) COMMENT 'Settlement cycle of the account',
    period String COMMENT '2023-01-05 for a day, 2023-01 for a month',
    period_start DateTime64(6, 'Asia/Shanghai') COMMENT 'Start of the period, Asia/Shanghai',
    period_end DateTime64(6, 'Asia/Shanghai')
        COMMENT 'End of the period, exclusive, Asia/Shanghai',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time (rule B18), Asia/Shanghai',
    currency LowCardinality(String) COMMENT 'Currency of all amounts',
    catalog_version String COMMENT 'Version of the catalogue that priced it',
    catalog_digest String COMMENT 'Digest of that catalogue',
    rule_version UInt32 COMMENT 'Version of the rules',
    total Decimal(38, 2) COMMENT 'Sum of the lines, CNY',
    balance_before Decimal(38, 2) COMMENT 'Balance before the bill was deducted, CNY',
    balance_after Decimal(38, 2) COMMENT 'Balance after the bill was deducted, CNY',
    previous_digest String COMMENT 'Digest of the account''s bill before; empty on the first',
    digest String COMMENT 'SHA-256 over the money fields, hexadecimal',
    lines UInt32 COMMENT 'Number of lines',
    json String COMMENT 'The whole bill as canonical JSON, with lines and explanations'
        CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (account_id, period_start, bill_id)
COMMENT 'Bills of closings. Read the view bills';

CREATE TABLE IF NOT EXISTS closed_bill_lines
(
    bill_id String COMMENT 'Bill of the line',
    account_id String COMMENT 'Main account',
    closed_at DateTime64(6, 'Asia/Shanghai') COMMENT 'Nominal close time, Asia/Shanghai',
    line_no UInt32 COMMENT 'Number of the line on its bill, from 1',
    kind LowCardinality(String)
        COMMENT 'usage, tier_adjustment, late_usage, covered, uncovered, rounding or voided',
    tag LowCardinality(String) COMMENT 'Billing tag id; empty on a rounding line',
    tag_name LowCardinality(String) COMMENT 'Published spelling of the tag',
    period String COMMENT 'Day or month to which the units belong; empty on a rounding line',
    quantity Int64 COMMENT 'Calls; negative on a voided line',
    unit_price Nullable(Decimal(38, 18))
        COMMENT 'CNY per call; NULL where the units have several prices or none',
    amount Decimal(38, 18) COMMENT 'Exact amount, CNY',
    package_id String COMMENT 'Package that covered the units; empty otherwise',
    flags Array(LowCardinality(String))
        COMMENT 'contract_price_missing, package_off_list, ...',
    explain String COMMENT 'JSON list of {rule, text}: the steps that lead to the number'
        CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (account_id, bill_id, line_no)
COMMENT 'Lines of bills. Read the view bill_lines';

CREATE TABLE IF NOT EXISTS booked_entries
(
    entry_id String COMMENT 'account/kind/cause, deterministic',
    account_id String COMMENT 'Main account',
    at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'When the money moves; microseconds, Asia/Shanghai',
    kind LowCardinality(String) COMMENT 'top_up, adjustment, purchase, refund or bill',
    debit String COMMENT 'Book that gives',
    credit String COMMENT 'Book that receives',
    amount Decimal(38, 18) COMMENT 'Amount moved, CNY, never negative',
    cause String COMMENT 'event_id or bill_id that caused it',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that booked it; Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
ORDER BY (account_id, at, entry_id)
COMMENT 'Ledger entries; every entry moves its amount between two books. Read ledger_entries';

CREATE TABLE IF NOT EXISTS status_changes
(
    event_id String COMMENT 'Deterministic id of the change',
    account_id String COMMENT 'Main account',
    status LowCardinality(String) COMMENT 'in_arrears, suspended or active',
    effective_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'From when the status holds; microseconds, Asia/Shanghai',
    balance Decimal(38, 2) COMMENT 'Balance at that instant, CNY',
    cause String COMMENT 'event_id or bill_id that caused it',
    provisional Bool COMMENT 'Published between closings; a closing may still correct it',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time of the closing that fixed it; of a provisional one the last',
    version UInt64 COMMENT 'The row with the highest version counts'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (account_id, event_id)
COMMENT 'Changes of service status. Read the view service_status';

CREATE TABLE IF NOT EXISTS account_states
(
    account_id String COMMENT 'Main account',
    closed_at DateTime64(6, 'Asia/Shanghai')
        COMMENT 'Nominal close time after which this is the state; Asia/Shanghai',
    state String COMMENT 'JSON snapshot of the account for the next closing' CODEC(ZSTD(3)),
    in_arrears Bool COMMENT 'The balance is below zero',
    pending Bool COMMENT 'Calls were taken that are not on a bill yet',
    next_due DateTime64(6, 'Asia/Shanghai')
        COMMENT 'When the account needs a closing even without new records; Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
ORDER BY (account_id, closed_at)
COMMENT 'Accounts as closings left them';

CREATE TABLE IF NOT EXISTS catalogs
(
    digest String COMMENT 'SHA-256 of the catalogue file, hexadecimal',
    product LowCardinality(String) COMMENT 'Product that the catalogue prices',
    version String COMMENT 'Version that the file gives itself',
    yaml String COMMENT 'The file as it was' CODEC(ZSTD(3)),
    stored_at DateTime64(3, 'Asia/Shanghai') COMMENT 'When it was first used; Asia/Shanghai'
)
ENGINE = ReplacingMergeTree
ORDER BY digest
COMMENT 'Every catalogue that judged or priced something';

-- The one table of usage. A row is an event, a correction or an adjustment; rows are never changed.
-- {engine} comes from one place (schema/__init__.py), so that a replicated engine can take its place.
--
-- `mark` is not in the event: for a numbered source it is the source's mark once the block is committed, so that the
-- keys can be derived from the rows alone even where the last numbers of a block were refused.
CREATE TABLE usage_events
(
    series       LowCardinality(String),
    account      LowCardinality(String),
    user         LowCardinality(String),
    product      LowCardinality(String),
    source       LowCardinality(String),
    id           String,
    sequence     UInt64,
    time         DateTime64(3, 'UTC'),
    status       UInt16,
    bytes_up     Int64,
    bytes_down   Int64,
    requests     Int64,
    labels       Map(LowCardinality(String), String),
    kind         Enum8('use' = 1, 'correction' = 2, 'adjustment' = 3),
    refers_to    String,
    key_source   LowCardinality(String),
    digest       Int64,
    mark         UInt64,
    position     String,
    block        UInt64,
    received_at  DateTime64(3, 'UTC'),
    INDEX block_range block TYPE minmax GRANULARITY 1,
    INDEX sequence_range sequence TYPE minmax GRANULARITY 1,
    PROJECTION buckets
    (
        SELECT
            series,
            account,
            intDiv(toUnixTimestamp64Milli(time), 900000) AS bucket,
            product,
            user,
            sum(toInt128(bytes_up)),
            sum(toInt128(bytes_down)),
            sum(toInt128(requests))
        GROUP BY series, account, bucket, product, user
    ),
    -- The same without users: an account of many users has as many buckets as rows, its statement and balance need few.
    PROJECTION account_buckets
    (
        SELECT
            series,
            account,
            intDiv(toUnixTimestamp64Milli(time), 900000) AS bucket,
            product,
            sum(toInt128(bytes_up)),
            sum(toInt128(bytes_down)),
            sum(toInt128(requests))
        GROUP BY series, account, bucket, product
    )
)
ENGINE = {engine}
PARTITION BY toYYYYMM(received_at)
ORDER BY (series, account, time)
SETTINGS
    -- Not min_bytes_for_full_part_storage: one packed file halves the time of a small insert, but a roll-up that a power
    -- cut leaves empty then keeps the whole table from opening (tests/ingest/test_damage.py has that case).
    auto_statistics_types = '',
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    max_suspicious_broken_parts = 0,
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1

CREATE TABLE usage_events
(
    `series` LowCardinality(String),
    `account` LowCardinality(String),
    `user` LowCardinality(String),
    `product` LowCardinality(String),
    `source` LowCardinality(String),
    `id` String,
    `sequence` UInt64,
    `time` DateTime64(3, 'UTC'),
    `status` UInt16,
    `bytes_up` Int64,
    `bytes_down` Int64,
    `requests` Int64,
    `labels` Map(LowCardinality(String), String),
    `kind` Enum8('use' = 1, 'correction' = 2, 'adjustment' = 3),
    `refers_to` String,
    `key_source` LowCardinality(String),
    `digest` Int64,
    `mark` UInt64,
    `position` String,
    `block` UInt64,
    `received_at` DateTime64(3, 'UTC'),
    `reason` String,
    `place` UInt32,
    `entries` UInt64 DEFAULT 1,
    `keys` UInt64 DEFAULT 1,
    `ends_at` DateTime64(3, 'UTC'),
    `first_block` UInt64,
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
        GROUP BY
            series,
            account,
            bucket,
            product,
            user
    ),
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
        GROUP BY
            series,
            account,
            bucket,
            product
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (series, account, time)
SETTINGS auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, max_suspicious_broken_parts = 0, min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1, index_granularity = 8192

CREATE TABLE installation
(
    `id` String,
    `generation` String,
    `bound_at` DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY bound_at
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192

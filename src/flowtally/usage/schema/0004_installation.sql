-- Whose usage this is: the same as in the keys and in the ledger, compared at every start. The last row counts.
CREATE TABLE IF NOT EXISTS installation
(
    id          String,
    generation  String,
    bound_at    DateTime64(3, 'UTC')
)
ENGINE = {engine}
ORDER BY bound_at
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1

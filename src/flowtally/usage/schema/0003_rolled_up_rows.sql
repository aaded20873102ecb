-- What old rows become (docs/decisions/0023). A row as it came in stands for one entry and holds its key: both are 1.
-- A rolled-up row stands for `entries` of them, dated from `time` until before `ends_at`, of the blocks from `first_block`
-- to `block`; it holds no key. Its keys are rows of their own, without account and amounts: one for a named entry, one
-- for a run of `keys` numbers that ends at `sequence`. So sum(entries) and sum(keys) are what was acknowledged, for ever.
ALTER TABLE usage_events
    ADD COLUMN IF NOT EXISTS entries UInt64 DEFAULT 1,
    ADD COLUMN IF NOT EXISTS keys UInt64 DEFAULT 1,
    ADD COLUMN IF NOT EXISTS ends_at DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS first_block UInt64

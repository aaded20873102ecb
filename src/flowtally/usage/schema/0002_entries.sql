-- What entries have and events do not: why a correction or an adjustment was made, and which of its block it is (from 1),
-- because two corrections of one event may come in one request and the later one builds on the earlier.
ALTER TABLE usage_events
    ADD COLUMN IF NOT EXISTS reason String,
    ADD COLUMN IF NOT EXISTS place UInt32

"""Webhooks: where messages go, the messages, and each one's way to each webhook."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS),
        sa.Column("url", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("types", WORDS, nullable=False),
        sa.Column("sealed", WORDS),
        sa.Column("old_sealed", WORDS),
        sa.Column("old_until", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("detail", WORDS, nullable=False),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("delivered_at", sa.BigInteger),
        sa.Column("held_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_webhooks_account"),
        sa.CheckConstraint("state IN ('active', 'disabled', 'removed')", name="ck_webhooks_state"),
        sa.CheckConstraint("(state = 'removed') = (removed_at IS NOT NULL)", name="ck_webhooks_removed"),
        sa.CheckConstraint("(state = 'removed') = (sealed IS NULL)", name="ck_webhooks_sealed"),
        sa.CheckConstraint("(old_sealed IS NULL) = (old_until IS NULL)", name="ck_webhooks_rotated"),
    )
    op.create_index("ix_webhooks_account_id", "webhooks", ["account", "id"])
    op.create_table(
        "messages",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("account", WORDS),
        sa.Column("type", WORDS, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_messages_account"),
        sa.UniqueConstraint("key", name="uq_messages_key"),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 512", name="ck_messages_key"),
    )
    op.create_index("ix_messages_account_id", "messages", ["account", "id"])
    op.create_table(
        "deliveries",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("webhook", WORDS, nullable=False),
        sa.Column("message", WORDS, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("tried_at", sa.BigInteger),
        sa.Column("status", sa.Integer),
        sa.Column("duration_ms", sa.Integer),
        sa.Column("detail", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["webhook"], ["webhooks.id"], name="fk_deliveries_webhook"),
        sa.ForeignKeyConstraint(["message"], ["messages.id"], name="fk_deliveries_message"),
        sa.UniqueConstraint("webhook", "message", name="uq_deliveries_webhook_message"),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="ck_deliveries_state"),
        sa.CheckConstraint("(state = 'waiting') = (next_at IS NOT NULL)", name="ck_deliveries_waiting"),
        sa.CheckConstraint("attempts >= 0", name="ck_deliveries_attempts"),
    )
    op.create_index("ix_deliveries_next_at", "deliveries", ["next_at"])
    op.create_index("ix_deliveries_webhook_id", "deliveries", ["webhook", "id"])
    op.create_index("ix_deliveries_webhook_state", "deliveries", ["webhook", "state"])
    op.create_index("ix_deliveries_message", "deliveries", ["message"])

"""Providers: accounts at vendors, and what they say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "providers",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("vendor", WORDS, nullable=False),
        sa.Column("address", WORDS, nullable=False),
        sa.Column("settings", WORDS, nullable=False),
        sa.Column("rules", WORDS, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("every_s", sa.Integer, nullable=True),
        sa.Column("paused", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger, nullable=True),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("state_since", sa.BigInteger, nullable=False),
        sa.Column("detail", WORDS, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("tried_at", sa.BigInteger, nullable=True),
        sa.Column("pulled_at", sa.BigInteger, nullable=True),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_providers"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_providers_account"),
        sa.UniqueConstraint("name", name="uq_providers_name"),
        sa.CheckConstraint("failures >= 0", name="ck_providers_failures"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name="ck_providers_name"),
        sa.CheckConstraint("paused IN (0, 1)", name="ck_providers_paused"),
        sa.CheckConstraint("(state = 'removed') = (removed_at IS NOT NULL)", name="ck_providers_removed"),
        sa.CheckConstraint(
            "state IN ('new', 'ok', 'late', 'denied', 'changed_shape', 'removed')", name="ck_providers_state"
        ),
    )
    op.create_index("ix_providers_account_id", "providers", ["account", "id"])
    op.create_table(
        "provider_secrets",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("sealed", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_secrets"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_provider_secrets_provider"),
        sa.UniqueConstraint("provider", "name", name="uq_provider_secrets_provider_name"),
    )
    op.create_table(
        "provider_stretches",
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("grain", WORDS, nullable=False),
        sa.Column("zone", WORDS, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("provider", "starts_at", name="pk_provider_stretches"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_provider_stretches_provider"),
        sa.CheckConstraint("grain IN ('hour', 'day', 'pull')", name="ck_provider_stretches_grain"),
        sa.CheckConstraint("starts_at < ends_at", name="ck_provider_stretches_span"),
        sa.CheckConstraint("step >= 1", name="ck_provider_stretches_step"),
    )
    op.create_table(
        "provider_balances",
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("label", WORDS, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("quantity", WORDS, nullable=False),
        sa.Column("left", sa.BigInteger, nullable=True),
        sa.Column("used", sa.BigInteger, nullable=True),
        sa.Column("total", sa.BigInteger, nullable=True),
        sa.Column("currency", WORDS, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("provider", "label", "seen_at", name="pk_provider_balances"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_provider_balances_provider"),
        sa.CheckConstraint("quantity IN ('bytes', 'requests', 'money')", name="ck_provider_balances_quantity"),
    )
    op.create_table(
        "provider_grants",
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("id", WORDS, nullable=False),
        sa.Column("said_order", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("quantity", WORDS, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("baseline", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=True),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("standing", WORDS, nullable=False),
        sa.Column("raw_created", WORDS, nullable=False),
        sa.Column("raw_expires", WORDS, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("gone_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("provider", "id", name="pk_provider_grants"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_provider_grants_provider"),
        sa.CheckConstraint("quantity IN ('bytes', 'requests')", name="ck_provider_grants_quantity"),
        sa.CheckConstraint("standing IN ('active', 'ended')", name="ck_provider_grants_standing"),
    )
    op.create_table(
        "provider_sub_users",
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("enabled", sa.Integer, nullable=False),
        sa.Column("limit_bytes", sa.BigInteger, nullable=True),
        sa.Column("used", sa.BigInteger, nullable=True),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("gone_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("provider", "name", name="pk_provider_sub_users"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_provider_sub_users_provider"),
        sa.CheckConstraint("enabled IN (0, 1)", name="ck_provider_sub_users_enabled"),
    )
    op.create_table(
        "provider_pulls",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("outcome", WORDS, nullable=False),
        sa.Column("detail", WORDS, nullable=False),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("figures", sa.Integer, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_pulls"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_provider_pulls_provider"),
        sa.CheckConstraint("outcome IN ('ok', 'late', 'denied', 'changed_shape')", name="ck_provider_pulls_outcome"),
        sa.CheckConstraint("began_at <= ended_at", name="ck_provider_pulls_span"),
    )
    op.create_index("ix_provider_pulls_provider_id", "provider_pulls", ["provider", "id"])

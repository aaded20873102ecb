"""Shadows: calls of a dialect that are asked of the vendor, too, and where its answers differed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "shadows",
        sa.Column("account", WORDS, nullable=False),
        sa.Column("dialect", WORDS, nullable=False),
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("enabled", sa.Integer, nullable=False),
        sa.Column("share", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("detail", WORDS, nullable=False),
        sa.Column("detail_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("account", "dialect", name="pk_shadows"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_shadows_account"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_shadows_provider"),
        sa.CheckConstraint("enabled IN (0, 1)", name="ck_shadows_enabled"),
        sa.CheckConstraint("share BETWEEN 1 AND 100", name="ck_shadows_share"),
    )
    op.create_table(
        "shadow_routes",
        sa.Column("account", WORDS, nullable=False),
        sa.Column("dialect", WORDS, nullable=False),
        sa.Column("route", WORDS, nullable=False),
        sa.Column("agreed", sa.BigInteger, nullable=False),
        sa.Column("differed", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", "dialect", "route", name="pk_shadow_routes"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_shadow_routes_account"),
        sa.CheckConstraint("agreed >= 0 AND differed >= 0 AND failed >= 0", name="ck_shadow_routes_counts"),
    )
    op.create_table(
        "shadow_differences",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("dialect", WORDS, nullable=False),
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("route", WORDS, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("question", WORDS, nullable=False),
        sa.Column("ours", WORDS, nullable=False),
        sa.Column("theirs", WORDS, nullable=False),
        sa.Column("fields", WORDS, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shadow_differences"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_shadow_differences_account"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_shadow_differences_provider"),
        sa.CheckConstraint("count >= 1", name="ck_shadow_differences_count"),
    )
    op.create_index("ix_shadow_differences_account_id", "shadow_differences", ["account", "id"])
    op.create_index("ix_shadow_differences_at", "shadow_differences", ["at"])

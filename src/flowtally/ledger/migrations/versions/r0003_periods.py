"""Closed periods."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "periods",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("timezone", WORDS, nullable=False),
        sa.Column("block", sa.BigInteger, nullable=False),
        sa.Column("closed_at", sa.BigInteger, nullable=False),
        sa.Column("statement", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_periods"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_periods_account"),
        sa.UniqueConstraint("account", "number", name="uq_periods_account_number"),
        sa.UniqueConstraint("account", "starts_at", name="uq_periods_account_starts_at"),
        sa.CheckConstraint("number >= 1", name="ck_periods_number"),
        sa.CheckConstraint("starts_at < ends_at AND ends_at <= closed_at", name="ck_periods_span"),
        sa.CheckConstraint("block >= 0", name="ck_periods_block"),
    )
    op.create_index("ix_periods_account_id", "periods", ["account", "id"])

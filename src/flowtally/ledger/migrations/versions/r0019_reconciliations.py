"""Reconciliations that somebody kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "provider_reconciliations",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("block", sa.BigInteger, nullable=False),
        sa.Column("kept_at", sa.BigInteger, nullable=False),
        sa.Column("match", WORDS, nullable=False),
        sa.Column("answer", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_reconciliations"),
        sa.ForeignKeyConstraint(["provider"], ["providers.id"], name="fk_provider_reconciliations_provider"),
        sa.CheckConstraint("starts_at < ends_at", name="ck_provider_reconciliations_span"),
        sa.CheckConstraint(
            "match IN ('matches', 'within_tolerance', 'beyond')", name="ck_provider_reconciliations_match"
        ),
    )
    op.create_index("ix_provider_reconciliations_provider_id", "provider_reconciliations", ["provider", "id"])

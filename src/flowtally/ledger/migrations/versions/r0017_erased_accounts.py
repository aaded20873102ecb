"""Accounts whose texts were erased, and the records of the audit trail that lost a text with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    for name in ("erased_at", "erasure_finished_at"):
        op.add_column("accounts", sa.Column(name, sa.BigInteger, nullable=True))
    op.create_table(
        "audit_erased",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("digest", WORDS, nullable=False),
        sa.Column("promise", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("number", name="pk_audit_erased"),
        sa.ForeignKeyConstraint(["number"], ["audit.number"], name="fk_audit_erased_number"),
        sa.CheckConstraint("length(digest) = 64", name="ck_audit_erased_digest"),
    )
    op.create_index("ix_audit_erased_promise", "audit_erased", ["promise"])

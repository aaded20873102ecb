"""What is done is recorded in the transaction that does it. What was done before this step is not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("installation", sa.Column("audited", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("installation", sa.Column("audit_head", WORDS, nullable=False, server_default=""))
    op.add_column("installation", sa.Column("audit_since", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE installation SET audit_since = promises + 1")
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("promise", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("credential", WORDS, nullable=False),
        sa.Column("of_account", WORDS, nullable=False),
        sa.Column("door", WORDS, nullable=False),
        sa.Column("request_id", WORDS, nullable=False),
        sa.Column("address", WORDS, nullable=False),
        sa.Column("action", WORDS, nullable=False),
        sa.Column("account", WORDS),
        sa.Column("subject", WORDS, nullable=False),
        sa.Column("before", WORDS, nullable=False),
        sa.Column("after", WORDS, nullable=False),
        sa.Column("digest", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
        sa.CheckConstraint("number >= 1", name="ck_audit_number"),
        sa.CheckConstraint("length(digest) = 64", name="ck_audit_digest"),
    )
    op.create_index("ix_audit_account_number", "audit", ["account", "number"])
    op.create_index("ix_audit_credential_number", "audit", ["credential", "number"])
    op.create_index("ix_audit_subject_number", "audit", ["subject", "number"])

"""Keys an account names its writes by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "used_keys",
        sa.Column("account", WORDS, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("digest", WORDS, nullable=False),
        sa.Column("used_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", "key", name="pk_used_keys"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_used_keys_account"),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 255", name="ck_used_keys_key"),
        sa.CheckConstraint("length(digest) = 64", name="ck_used_keys_digest"),
    )

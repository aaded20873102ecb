"""Users whose name and labels were erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("user_id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("user_id", name="pk_erasures"),
        sa.ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"], name="fk_erasures_account"),
    )

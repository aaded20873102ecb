"""Who this ledger belongs to, and the number of the transaction that wrote each promise."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
PROMISES = ("grants", "grant_voids", "allocations", "allocation_returns", "vouchers", "voucher_ends")


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("one", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("id", WORDS, nullable=False),
        sa.Column("generation", WORDS, nullable=False),
        sa.Column("promises", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_installation"),
        sa.CheckConstraint("one = 1", name="ck_installation_one"),
    )
    op.execute("INSERT INTO installation VALUES (1, '', '', 0, 0, 0, '')")
    for table in PROMISES:
        op.add_column(table, sa.Column("promise", sa.BigInteger, nullable=False, server_default="0"))

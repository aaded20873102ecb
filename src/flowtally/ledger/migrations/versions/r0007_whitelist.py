"""IP whitelists of accounts and users; allocations that end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "whitelist",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("user_id", WORDS, nullable=True),
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("address", WORDS, nullable=False),
        sa.Column("enabled", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_whitelist"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_whitelist_account"),
        sa.ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"], name="fk_whitelist_user"),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_whitelist_pool"),
        sa.UniqueConstraint("user_id", "pool", "address", name="uq_whitelist_user_id_pool_address"),
        sa.CheckConstraint("length(address) BETWEEN 2 AND 43", name="ck_whitelist_address"),
        sa.CheckConstraint("enabled IN (0, 1)", name="ck_whitelist_enabled"),
    )
    own = sa.text("user_id IS NULL")
    op.create_index(
        "uq_whitelist_own",
        "whitelist",
        ["account", "pool", "address"],
        unique=True,
        sqlite_where=own,
        postgresql_where=own,
    )
    life = sa.CheckConstraint("expires_at IS NULL OR created_at < expires_at", name="ck_allocations_life")
    op.add_column("allocations", sa.Column("expires_at", sa.BigInteger, life, nullable=True))

"""What somebody set about a user, and traffic allocated to users and taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _managed_users()
    _allocations()


def _words(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, WORDS, nullable=nullable)


def _big(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _managed_users() -> None:
    op.create_table(
        "managed_users",
        *map(_words, ("user_id", "account")),
        _words("name", nullable=True),
        _words("product", nullable=True),
        _words("status"),
        sa.Column("funded", sa.Integer, nullable=False),
        _big("limit_amount", nullable=True),
        *(_words(name, nullable=True) for name in ("limit_unit", "limit_window", "password")),
        _big("changed_at"),
        sa.PrimaryKeyConstraint("user_id", name="pk_managed_users"),
        sa.ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"], name="fk_managed_users_account"),
        sa.UniqueConstraint("name", name="uq_managed_users_name"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 256", name="ck_managed_users_name"),
        sa.CheckConstraint("status IN ('active', 'disabled', 'deleted')", name="ck_managed_users_status"),
        sa.CheckConstraint("(status = 'deleted') = (name IS NULL)", name="ck_managed_users_named"),
        sa.CheckConstraint("funded IN (0, 1)", name="ck_managed_users_funded"),
        sa.CheckConstraint("limit_amount BETWEEN 0 AND 9007199254740991", name="ck_managed_users_limit_amount"),
        sa.CheckConstraint("limit_unit IN ('bytes', 'requests')", name="ck_managed_users_limit_unit"),
        sa.CheckConstraint("limit_window IN ('lifetime', 'day', 'month')", name="ck_managed_users_limit_window"),
        sa.CheckConstraint(
            "(limit_amount IS NULL) = (limit_unit IS NULL) AND (limit_amount IS NULL) = (limit_window IS NULL)",
            name="ck_managed_users_limit_whole",
        ),
    )
    op.create_index("ix_managed_users_account_funded", "managed_users", ["account", "funded"])


def _allocations() -> None:
    op.create_table(
        "allocations",
        *map(_words, ("id", "account", "user_id", "pool")),
        _big("amount"),
        _big("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_allocations"),
        sa.ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"], name="fk_allocations_account"),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_allocations_pool"),
        sa.CheckConstraint("amount BETWEEN 1 AND 9007199254740991", name="ck_allocations_amount"),
    )
    op.create_index("ix_allocations_account_id", "allocations", ["account", "id"])
    op.create_index("ix_allocations_user_id_id", "allocations", ["user_id", "id"])
    op.create_table(
        "allocation_returns",
        *map(_words, ("id", "allocation_id")),
        _big("amount"),
        _big("returned_at"),
        sa.PrimaryKeyConstraint("id", name="pk_allocation_returns"),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocations.id"], name="fk_allocation_returns_allocation_id"),
        sa.CheckConstraint("amount BETWEEN 1 AND 9007199254740991", name="ck_allocation_returns_amount"),
    )
    op.create_index("ix_allocation_returns_allocation_id", "allocation_returns", ["allocation_id"])

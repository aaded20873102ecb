"""A managed user's name is unique in its account: what one customer calls its users is nothing to another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Made anew: SQLite cannot change a constraint. Nothing refers to it."""
    op.execute("CREATE TABLE kept AS SELECT * FROM managed_users")
    op.drop_table("managed_users")
    op.create_table(
        "managed_users",
        sa.Column("user_id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("name", WORDS),
        sa.Column("product", WORDS),
        sa.Column("status", WORDS, nullable=False),
        sa.Column("funded", sa.Integer, nullable=False),
        sa.Column("limit_amount", sa.BigInteger),
        sa.Column("limit_unit", WORDS),
        sa.Column("limit_window", WORDS),
        sa.Column("password", WORDS),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_managed_users"),
        sa.ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"], name="fk_managed_users_account"),
        sa.UniqueConstraint("account", "name", name="uq_managed_users_account_name"),
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
    op.execute(
        "INSERT INTO managed_users (user_id, account, name, product, status, funded, limit_amount, limit_unit,"
        " limit_window, password, changed_at)"
        " SELECT user_id, account, name, product, status, funded, limit_amount, limit_unit, limit_window, password,"
        " changed_at FROM kept"
    )
    op.drop_table("kept")

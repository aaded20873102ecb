"""Actions: what holders ask of their servers; and which users are bound to a lease."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "actions",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("lease_id", WORDS, nullable=False),
        sa.Column("stock_id", WORDS, nullable=False),
        sa.Column("what", WORDS, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("taken_at", sa.BigInteger, nullable=True),
        sa.Column("taken_by", WORDS, nullable=False),
        sa.Column("answered_at", sa.BigInteger, nullable=True),
        sa.Column("outcome", WORDS, nullable=False),
        sa.Column("detail", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_actions"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_actions_account"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_actions_lease_id"),
        sa.ForeignKeyConstraint(["stock_id"], ["stock.id"], name="fk_actions_stock_id"),
        sa.CheckConstraint("length(what) BETWEEN 1 AND 64", name="ck_actions_what"),
        sa.CheckConstraint("requested_at >= 0 AND requested_at < expires_at", name="ck_actions_life"),
        sa.CheckConstraint("requested_at <= taken_at AND taken_at <= answered_at", name="ck_actions_order"),
        sa.CheckConstraint("(taken_at IS NULL) = (taken_by = '')", name="ck_actions_taken"),
        sa.CheckConstraint("(answered_at IS NULL) = (outcome = '')", name="ck_actions_answered"),
        sa.CheckConstraint("answered_at IS NULL OR taken_at IS NOT NULL", name="ck_actions_after_taken"),
        sa.CheckConstraint("outcome IN ('', 'done', 'failed')", name="ck_actions_outcome"),
    )
    op.create_index("ix_actions_lease_id_id", "actions", ["lease_id", "id"])
    unanswered = sa.text("outcome = ''")
    op.create_index("ix_actions_open", "actions", ["expires_at"], sqlite_where=unanswered, postgresql_where=unanswered)
    op.create_table(
        "bound_users",
        sa.Column("lease_id", WORDS, nullable=False),
        sa.Column("user_id", WORDS, nullable=False),
        sa.Column("bound_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("lease_id", "user_id", name="pk_bound_users"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_bound_users_lease_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_bound_users_user_id"),
        sa.CheckConstraint("bound_at >= 0", name="ck_bound_users_bound_at"),
    )

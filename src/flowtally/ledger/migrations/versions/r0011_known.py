"""Which promise gave a name, took it away, closed a period; what zones and users' settings were before they changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
COLUMNS = (
    ("user_names", "promise"),
    ("user_names", "taken_at"),
    ("user_names", "ended_promise"),
    ("user_names", "ended_at"),
    ("periods", "promise"),
    ("periods", "known_promise"),
)
# Whatever was dated by the clock of this installation: the next promise is not dated before it.
DATED = (
    ("grants", "created_at"),
    ("grant_voids", "voided_at"),
    ("allocations", "created_at"),
    ("allocation_returns", "returned_at"),
    ("vouchers", "created_at"),
    ("voucher_ends", "ended_at"),
    ("periods", "closed_at"),
    ("accounts", "changed_at"),
)


def upgrade() -> None:
    for table, column in COLUMNS:
        op.add_column(table, sa.Column(column, sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "past_zones",
        sa.Column("account", WORDS, nullable=False),
        sa.Column("promise", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("timezone", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("account", "promise", name="pk_past_zones"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_past_zones_account"),
    )
    op.create_table(
        "past_settings",
        sa.Column("user_id", WORDS, nullable=False),
        sa.Column("promise", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("status", WORDS, nullable=False),
        sa.Column("limit_amount", sa.BigInteger),
        sa.Column("limit_unit", WORDS),
        sa.Column("limit_window", WORDS),
        sa.PrimaryKeyConstraint("user_id", "promise", name="pk_past_settings"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_past_settings_user_id"),
    )
    dated = sa.union_all(*(_last(table, column) for table, column in DATED)).subquery()
    latest = sa.select(sa.func.coalesce(sa.func.max(dated.c.at), 0)).scalar_subquery()
    op.execute(sa.update(sa.table("installation", sa.column("last_at"))).values(last_at=latest))


def _last(table: str, column: str) -> sa.Select[Any]:
    latest: sa.ColumnElement[int] = sa.func.max(sa.column(column))
    return sa.select(latest.label("at")).select_from(sa.table(table))

"""Credentials of scope `manage`: of an account, and allowed to change what is its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A column, because SQLite cannot change the CHECK of scopes without making the table anew.
    check = sa.CheckConstraint("manages IN (0, 1)", name="ck_credentials_manages")
    op.add_column("credentials", sa.Column("manages", sa.Integer, check, nullable=False, server_default="0"))

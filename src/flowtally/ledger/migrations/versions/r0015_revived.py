"""Credentials that a restored backup brought back are told of until somebody has looked at them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("installation", sa.Column("revived_from", sa.BigInteger, nullable=False, server_default="0"))

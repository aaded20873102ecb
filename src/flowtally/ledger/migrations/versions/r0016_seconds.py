"""An allocation pays from the second on that it was made in; those of before from their very millisecond."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("allocations", sa.Column("starts_at", sa.BigInteger))

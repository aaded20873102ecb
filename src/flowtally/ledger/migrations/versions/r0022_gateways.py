"""Gateways: the hosts and ports that customers connect to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "gateways",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("product", WORDS, nullable=False),
        sa.Column("host", WORDS, nullable=False),
        sa.Column("first_port", sa.Integer, nullable=False),
        sa.Column("last_port", sa.Integer, nullable=False),
        sa.Column("session", WORDS, nullable=False),
        sa.Column("hold_s", sa.Integer, nullable=True),
        sa.Column("country", WORDS, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("city", WORDS, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_gateways"),
        sa.UniqueConstraint("product", "host", "first_port", name="uq_gateways_product_host_first_port"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 256", name="ck_gateways_id"),
        sa.CheckConstraint("length(product) BETWEEN 1 AND 256", name="ck_gateways_product"),
        sa.CheckConstraint("length(host) BETWEEN 1 AND 253", name="ck_gateways_host"),
        sa.CheckConstraint("first_port BETWEEN 1 AND last_port AND last_port <= 65535", name="ck_gateways_ports"),
        sa.CheckConstraint("session IN ('sticky', 'rotating')", name="ck_gateways_session"),
        sa.CheckConstraint(
            "hold_s IS NULL OR (hold_s BETWEEN 1 AND 31536000 AND session = 'sticky')", name="ck_gateways_hold"
        ),
        sa.CheckConstraint(
            "length(country) IN (0, 2) AND length(state) <= 64 AND length(city) <= 64", name="ck_gateways_place"
        ),
        sa.CheckConstraint("country <> '' OR (state = '' AND city = '')", name="ck_gateways_country"),
    )

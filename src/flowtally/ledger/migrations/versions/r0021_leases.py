"""Leases: what is in stock, for how much it is leased, who holds it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "stock",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("address", WORDS, nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("username", WORDS, nullable=False),
        sa.Column("sealed", WORDS, nullable=True),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("country", WORDS, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("city", WORDS, nullable=False),
        sa.Column("region", WORDS, nullable=False),
        sa.Column("cpu_cores", sa.Integer, nullable=True),
        sa.Column("memory_mib", sa.Integer, nullable=True),
        sa.Column("bandwidth_mbps", sa.Integer, nullable=True),
        sa.Column("free_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("retired_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_stock"),
        sa.CheckConstraint("length(address) BETWEEN 1 AND 253", name="ck_stock_address"),
        sa.CheckConstraint("length(kind) BETWEEN 1 AND 64", name="ck_stock_kind"),
        sa.CheckConstraint("port BETWEEN 0 AND 65535", name="ck_stock_port"),
        sa.CheckConstraint("cpu_cores >= 1 AND memory_mib >= 1 AND bandwidth_mbps >= 1", name="ck_stock_size"),
    )
    op.create_index("ix_stock_address", "stock", ["address"])
    op.create_index(
        "ix_stock_free",
        "stock",
        ["kind", "free_at", "id"],
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_index("ix_stock_name", "stock", ["name"])
    op.create_index(
        "uq_stock_endpoint",
        "stock",
        ["address", "port"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "lease_plans",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("currency", WORDS, nullable=False),
        sa.Column("country", WORDS, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("city", WORDS, nullable=False),
        sa.Column("region", WORDS, nullable=False),
        sa.Column("cpu_cores", sa.Integer, nullable=True),
        sa.Column("memory_mib", sa.Integer, nullable=True),
        sa.Column("bandwidth_mbps", sa.Integer, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("retired_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_lease_plans"),
        sa.CheckConstraint("length(currency) = 3", name="ck_lease_plans_currency"),
        sa.CheckConstraint("days BETWEEN 1 AND 36500", name="ck_lease_plans_days"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 256", name="ck_lease_plans_id"),
        sa.CheckConstraint("length(kind) BETWEEN 1 AND 64", name="ck_lease_plans_kind"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 256", name="ck_lease_plans_name"),
        sa.CheckConstraint("price BETWEEN 1 AND 9007199254740991", name="ck_lease_plans_price"),
        sa.CheckConstraint("cpu_cores >= 1 AND memory_mib >= 1 AND bandwidth_mbps >= 1", name="ck_lease_plans_size"),
    )
    op.create_table(
        "leases",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("stock_id", WORDS, nullable=False),
        sa.Column("plan_id", WORDS, nullable=True),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=True),
        sa.Column("grace_ms", sa.BigInteger, nullable=False),
        sa.Column("auto_renew", sa.Integer, nullable=False),
        sa.Column("released_at", sa.BigInteger, nullable=True),
        sa.Column("cpu_cores", sa.Integer, nullable=True),
        sa.Column("memory_mib", sa.Integer, nullable=True),
        sa.Column("bandwidth_mbps", sa.Integer, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_leases_account"),
        sa.ForeignKeyConstraint(["stock_id"], ["stock.id"], name="fk_leases_stock_id"),
        sa.ForeignKeyConstraint(["plan_id"], ["lease_plans.id"], name="fk_leases_plan_id"),
        sa.CheckConstraint("auto_renew IN (0, 1)", name="ck_leases_auto_renew"),
        sa.CheckConstraint("grace_ms >= 0", name="ck_leases_grace"),
        sa.CheckConstraint("starts_at >= 0 AND (ends_at IS NULL OR starts_at < ends_at)", name="ck_leases_life"),
        sa.CheckConstraint("released_at >= starts_at", name="ck_leases_released"),
        sa.CheckConstraint("cpu_cores >= 1 AND memory_mib >= 1 AND bandwidth_mbps >= 1", name="ck_leases_size"),
    )
    op.create_index("ix_leases_account_id", "leases", ["account", "id"])
    op.create_index(
        "ix_leases_auto_renew",
        "leases",
        ["ends_at"],
        sqlite_where=sa.text("auto_renew = 1 AND released_at IS NULL"),
        postgresql_where=sa.text("auto_renew = 1 AND released_at IS NULL"),
    )
    op.create_index("ix_leases_stock_id_id", "leases", ["stock_id", "id"])
    op.create_table(
        "lease_terms",
        sa.Column("lease_id", WORDS, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("what", WORDS, nullable=False),
        sa.Column("order_id", WORDS, nullable=False),
        sa.Column("plan_id", WORDS, nullable=True),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=True),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("currency", WORDS, nullable=False),
        sa.Column("transfer_id", WORDS, nullable=True),
        sa.Column("cpu_cores", sa.Integer, nullable=True),
        sa.Column("memory_mib", sa.Integer, nullable=True),
        sa.Column("bandwidth_mbps", sa.Integer, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("promise", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("lease_id", "number", name="pk_lease_terms"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_lease_terms_lease_id"),
        sa.ForeignKeyConstraint(["plan_id"], ["lease_plans.id"], name="fk_lease_terms_plan_id"),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name="fk_lease_terms_transfer_id"),
        sa.CheckConstraint("number >= 1", name="ck_lease_terms_number"),
        sa.CheckConstraint(
            "transfer_id IS NULL OR what IN ('bought', 'renewed', 'upgraded')", name="ck_lease_terms_paid"
        ),
        sa.CheckConstraint("price BETWEEN 0 AND 9007199254740991", name="ck_lease_terms_price"),
        sa.CheckConstraint("ends_at IS NULL OR starts_at <= ends_at", name="ck_lease_terms_span"),
        sa.CheckConstraint(
            "what IN ('given', 'bought', 'renewed', 'upgraded', 'released')", name="ck_lease_terms_what"
        ),
    )
    op.create_index("ix_lease_terms_order_id", "lease_terms", ["order_id"])
    op.create_index("ix_lease_terms_transfer_id", "lease_terms", ["transfer_id"])

"""Wallets, plans and purchases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
LIMIT = 2**53 - 1


def upgrade() -> None:
    _transfers()
    op.create_table(
        "plans",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("currency", WORDS, nullable=False),
        sa.Column("days", sa.Integer, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("retired_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_plans"),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_plans_pool"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 256", name="ck_plans_id"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 256", name="ck_plans_name"),
        sa.CheckConstraint(f"amount BETWEEN 1 AND {LIMIT}", name="ck_plans_amount"),
        sa.CheckConstraint(f"price BETWEEN 1 AND {LIMIT}", name="ck_plans_price"),
        sa.CheckConstraint("length(currency) = 3", name="ck_plans_currency"),
        sa.CheckConstraint("days BETWEEN 1 AND 36500", name="ck_plans_days"),
    )
    _purchases()


def _transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("currency", WORDS, nullable=False),
        sa.Column("reference", WORDS, nullable=False),
        sa.Column("reason", WORDS, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
        sa.CheckConstraint("kind IN ('deposit', 'adjustment', 'purchase')", name="ck_transfers_kind"),
        sa.CheckConstraint("length(currency) = 3", name="ck_transfers_currency"),
        sa.CheckConstraint("length(reference) <= 256", name="ck_transfers_reference"),
    )
    op.create_table(
        "transfer_entries",
        sa.Column("transfer_id", WORDS, nullable=False),
        sa.Column("book", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("transfer_id", "book", name="pk_transfer_entries"),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name="fk_transfer_entries_transfer_id"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_transfer_entries_account"),
        sa.CheckConstraint("book IN ('wallet', 'deposits', 'adjustments', 'sales')", name="ck_transfer_entries_book"),
        sa.CheckConstraint("(book = 'wallet') = (account IS NOT NULL)", name="ck_transfer_entries_whose"),
        sa.CheckConstraint(f"amount BETWEEN -{LIMIT} AND {LIMIT} AND amount <> 0", name="ck_transfer_entries_amount"),
    )
    columns = ["account", "transfer_id", "amount"]
    op.create_index("ix_transfer_entries_account_transfer_id_amount", "transfer_entries", columns)


def _purchases() -> None:
    op.create_table(
        "purchases",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS, nullable=False),
        sa.Column("plan_id", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("currency", WORDS, nullable=False),
        sa.Column("days", sa.Integer, nullable=True),
        sa.Column("transfer_id", WORDS, nullable=False),
        sa.Column("grant_id", WORDS, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_purchases"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_purchases_account"),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name="fk_purchases_plan_id"),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_purchases_pool"),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name="fk_purchases_transfer_id"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_purchases_grant_id"),
        sa.UniqueConstraint("transfer_id", name="uq_purchases_transfer_id"),
        sa.UniqueConstraint("grant_id", name="uq_purchases_grant_id"),
        sa.CheckConstraint(f"amount BETWEEN 1 AND {LIMIT}", name="ck_purchases_amount"),
        sa.CheckConstraint(f"price BETWEEN 1 AND {LIMIT}", name="ck_purchases_price"),
    )
    op.create_index("ix_purchases_account_id", "purchases", ["account", "id"])

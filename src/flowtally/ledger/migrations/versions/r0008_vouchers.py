"""Vouchers, how they ended, and check-ins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _vouchers()
    _voucher_ends()
    _check_ins()


def _words(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, WORDS, nullable=nullable)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _vouchers() -> None:
    op.create_table(
        "vouchers",
        *map(_words, ("id", "account", "pool")),
        *map(_big, ("amount", "duration_s")),
        *map(_words, ("digest", "sealed")),
        _big("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_vouchers"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_vouchers_account"),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_vouchers_pool"),
        sa.UniqueConstraint("digest", name="uq_vouchers_digest"),
        sa.CheckConstraint("amount BETWEEN 1 AND 9007199254740991", name="ck_vouchers_amount"),
        sa.CheckConstraint("duration_s >= 1", name="ck_vouchers_duration_s"),
        sa.CheckConstraint("length(digest) = 64", name="ck_vouchers_digest"),
    )
    op.create_index("ix_vouchers_account_id", "vouchers", ["account", "id"])


def _voucher_ends() -> None:
    op.create_table(
        "voucher_ends",
        _words("voucher_id"),
        _big("ended_at"),
        _words("redeemed_by", nullable=True),
        _words("grant_id", nullable=True),
        sa.PrimaryKeyConstraint("voucher_id", name="pk_voucher_ends"),
        sa.ForeignKeyConstraint(["voucher_id"], ["vouchers.id"], name="fk_voucher_ends_voucher_id"),
        sa.ForeignKeyConstraint(["redeemed_by"], ["accounts.id"], name="fk_voucher_ends_redeemed_by"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_voucher_ends_grant_id"),
        sa.UniqueConstraint("grant_id", name="uq_voucher_ends_grant_id"),
        sa.CheckConstraint("(redeemed_by IS NULL) = (grant_id IS NULL)", name="ck_voucher_ends_whole"),
    )


def _check_ins() -> None:
    op.create_table(
        "check_ins",
        *map(_words, ("account", "day", "timezone")),
        _big("checked_in_at"),
        _words("grant_id"),
        sa.PrimaryKeyConstraint("account", "day", name="pk_check_ins"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_check_ins_account"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_check_ins_grant_id"),
        sa.UniqueConstraint("grant_id", name="uq_check_ins_grant_id"),
        sa.CheckConstraint("length(day) = 10", name="ck_check_ins_day"),
    )

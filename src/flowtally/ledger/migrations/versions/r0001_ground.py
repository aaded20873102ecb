"""Accounts, users, pools, grants, credentials, answered requests.

The default pools and mapping are rows like any other, so that one statement reads them all.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
STILL = sa.text("valid_to IS NULL")


def upgrade() -> None:
    _accounts_and_users()
    _pools()
    _grants()
    _credentials()
    _seed()


def _words(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, WORDS, nullable=nullable)


def _big(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _accounts_and_users() -> None:
    op.create_table(
        "accounts",
        *map(_words, ("id", "name", "timezone", "status")),
        _big("carry_from"),
        _words("overage"),
        _big("created_at"),
        _big("changed_at"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 256", name="ck_accounts_id"),
        sa.CheckConstraint("status IN ('active', 'suspended', 'closed')", name="ck_accounts_status"),
        sa.CheckConstraint("overage IN ('carry', 'forgive')", name="ck_accounts_overage"),
        sa.CheckConstraint("carry_from >= 0", name="ck_accounts_carry_from"),
    )
    op.create_table(
        "users",
        _words("id"),
        _words("account"),
        _big("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_users_account"),
        sa.UniqueConstraint("account", "id", name="uq_users_account_id"),
    )
    op.create_table(
        "user_names",
        *map(_words, ("account", "name", "user_id")),
        _big("valid_from"),
        _big("valid_to", nullable=True),
        sa.PrimaryKeyConstraint("account", "name", "valid_from", name="pk_user_names"),
        sa.ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"], name="fk_user_names_account"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 256", name="ck_user_names_name"),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="ck_user_names_valid"),
    )
    op.create_index("ix_user_names_user_id", "user_names", ["user_id"])
    _one_at_a_time("uq_user_names_one_holder", "account", "name")
    _one_at_a_time("uq_user_names_one_name", "user_id")


def _one_at_a_time(index: str, *columns: str) -> None:
    op.create_index(index, "user_names", [*columns], unique=True, sqlite_where=STILL, postgresql_where=STILL)


def _pools() -> None:
    op.create_table(
        "pools",
        *map(_words, ("name", "charge")),
        _big("created_at"),
        sa.PrimaryKeyConstraint("name", name="pk_pools"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name="ck_pools_name"),
        sa.CheckConstraint("charge IN ('bytes', 'requests', 'nothing')", name="ck_pools_charge"),
    )
    op.create_table(
        "product_pools",
        *map(_words, ("product", "pool")),
        _big("mapped_at"),
        sa.PrimaryKeyConstraint("product", name="pk_product_pools"),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_product_pools_pool"),
    )
    op.create_table(
        "products_used",
        _words("product"),
        _big("first_used_at"),
        sa.PrimaryKeyConstraint("product", name="pk_products_used"),
    )


def _grants() -> None:
    op.create_table(
        "grants",
        *map(_words, ("id", "account", "pool")),
        _big("amount"),
        *map(_words, ("source", "reference")),
        sa.Column("priority", sa.Integer, nullable=False),
        _big("starts_at"),
        _big("expires_at", nullable=True),
        _big("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_grants_account"),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name="fk_grants_pool"),
        sa.CheckConstraint("amount BETWEEN 1 AND 9007199254740991", name="ck_grants_amount"),
        sa.CheckConstraint("length(source) BETWEEN 1 AND 64", name="ck_grants_source"),
        sa.CheckConstraint("length(reference) <= 256", name="ck_grants_reference"),
        sa.CheckConstraint("priority BETWEEN 0 AND 1000000", name="ck_grants_priority"),
        sa.CheckConstraint("starts_at >= 0 AND (expires_at IS NULL OR starts_at < expires_at)", name="ck_grants_life"),
    )
    op.create_index("ix_grants_account_id", "grants", ["account", "id"])
    op.create_table(
        "grant_voids",
        _words("grant_id"),
        _big("voided_at"),
        _words("reason"),
        sa.PrimaryKeyConstraint("grant_id", name="pk_grant_voids"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_grant_voids_grant_id"),
    )


def _credentials() -> None:
    op.create_table(
        "credentials",
        *map(_words, ("id", "scope")),
        _words("account", nullable=True),
        *map(_words, ("name", "token_hash")),
        _words("key_hash", nullable=True),
        _big("created_at"),
        _big("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_credentials_account"),
        sa.UniqueConstraint("token_hash", name="uq_credentials_token_hash"),
        sa.CheckConstraint("scope IN ('ingest', 'account', 'admin')", name="ck_credentials_scope"),
        sa.CheckConstraint(
            "(scope = 'admin' AND account IS NULL) OR (scope = 'account' AND account IS NOT NULL) OR scope = 'ingest'",
            name="ck_credentials_belongs",
        ),
        sa.CheckConstraint(
            "length(token_hash) = 64 AND (key_hash IS NULL OR length(key_hash) = 64)", name="ck_credentials_hashes"
        ),
    )
    op.create_index("ix_credentials_account_id", "credentials", ["account", "id"])
    op.create_table(
        "idempotency",
        *map(_words, ("credential_id", "key", "digest")),
        sa.Column("status", sa.Integer, nullable=False),
        _words("response"),
        _big("created_at"),
        sa.PrimaryKeyConstraint("credential_id", "key", name="pk_idempotency"),
        sa.ForeignKeyConstraint(["credential_id"], ["credentials.id"], name="fk_idempotency_credential_id"),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 255", name="ck_idempotency_key"),
        sa.CheckConstraint("length(digest) = 64", name="ck_idempotency_digest"),
    )


def _seed() -> None:
    charges = {"traffic": "bytes", "mobile": "bytes", "unlimited": "nothing", "api": "requests"}
    pools = sa.table("pools", *map(sa.column, ("name", "charge", "created_at")))
    op.bulk_insert(pools, [{"name": name, "charge": charge, "created_at": 0} for name, charge in charges.items()])
    mapping = sa.table("product_pools", *map(sa.column, ("product", "pool", "mapped_at")))
    products = ("mobile", "unlimited", "api")
    op.bulk_insert(mapping, [{"product": product, "pool": product, "mapped_at": 0} for product in products])

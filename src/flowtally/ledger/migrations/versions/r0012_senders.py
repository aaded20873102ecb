"""Senders own sources, so that a credential can be replaced; credentials end, are bound to addresses and have rights of
their own; a request is remembered for its account, whichever of its credentials asks again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _senders()
    _idempotency()
    _credentials()


def _senders() -> None:
    op.create_table(
        "senders",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("account", WORDS),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_senders"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_senders_account"),
    )
    op.create_index("ix_senders_account_id", "senders", ["account", "id"])
    # The keys database has a credential's id as the owner of its sources: so that is the id of its sender.
    op.execute(
        "INSERT INTO senders (id, account, name, created_at) SELECT id, account, name, created_at FROM credentials"
        " WHERE scope IN ('ingest', 'admin')"
    )


def _idempotency() -> None:
    """Of two requests that two credentials of an account sent under one key the first stays."""
    op.execute(
        "CREATE TABLE kept AS SELECT coalesce(c.account, '') AS account, i.key, i.digest, i.status, i.response,"
        " i.created_at, row_number() OVER (PARTITION BY coalesce(c.account, ''), i.key"
        " ORDER BY i.created_at, i.credential_id) AS place"
        " FROM idempotency i JOIN credentials c ON c.id = i.credential_id"
    )
    op.drop_table("idempotency")
    op.create_table(
        "idempotency",
        sa.Column("account", WORDS, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("digest", WORDS, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("response", WORDS, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", "key", name="pk_idempotency"),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 255", name="ck_idempotency_key"),
        sa.CheckConstraint("length(digest) = 64", name="ck_idempotency_digest"),
    )
    op.execute(
        "INSERT INTO idempotency (account, key, digest, status, response, created_at)"
        " SELECT account, key, digest, status, response, created_at FROM kept WHERE place = 1"
    )
    op.drop_table("kept")


def _credentials() -> None:
    """Made anew: SQLite cannot change a constraint. Nothing refers to it any more."""
    op.execute("CREATE TABLE kept AS SELECT * FROM credentials")
    op.drop_table("credentials")
    op.create_table(
        "credentials",
        sa.Column("id", WORDS, nullable=False),
        sa.Column("sender", WORDS),
        sa.Column("scope", WORDS, nullable=False),
        sa.Column("rights", WORDS, nullable=False, server_default=""),
        sa.Column("account", WORDS),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("addresses", WORDS, nullable=False, server_default=""),
        sa.Column("token_hash", WORDS, nullable=False),
        sa.Column("key_hash", WORDS),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sa.Column("replaces", WORDS),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
        sa.UniqueConstraint("token_hash", name="uq_credentials_token_hash"),
        sa.ForeignKeyConstraint(["sender"], ["senders.id"], name="fk_credentials_sender"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_credentials_account"),
        sa.CheckConstraint("scope IN ('ingest', 'account', 'manage', 'admin', 'custom')", name="ck_credentials_scope"),
        sa.CheckConstraint(
            "(scope = 'admin' AND account IS NULL) OR (scope IN ('account', 'manage') AND account IS NOT NULL)"
            " OR scope IN ('ingest', 'custom')",
            name="ck_credentials_belongs",
        ),
        sa.CheckConstraint(
            "length(token_hash) = 64 AND (key_hash IS NULL OR length(key_hash) = 64)", name="ck_credentials_hashes"
        ),
    )
    op.create_index("ix_credentials_account_id", "credentials", ["account", "id"])
    op.create_index("ix_credentials_sender", "credentials", ["sender"])
    op.execute(
        "INSERT INTO credentials (id, sender, scope, account, name, token_hash, key_hash,"
        " created_at, revoked_at)"
        " SELECT id, CASE WHEN scope IN ('ingest', 'admin') THEN id END,"
        " CASE WHEN manages = 1 THEN 'manage' ELSE scope END, account, name, token_hash, key_hash,"
        " created_at, revoked_at FROM kept"
    )
    op.drop_table("kept")

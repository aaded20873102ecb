"""The tables and their constraints, the same on SQLite and PostgreSQL.

Owns the present shape only; `migrations/` says how an older ledger gets there, and a test holds the two together.
The constraints repeat what the commands check: they are the last line against our own mistakes, not the error messages.
Instants are BIGINT milliseconds since 1970 UTC, amounts BIGINT in the pool's unit.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    select,
    text,
)

from flowtally.core.events import MAX_QUANTITY

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# Compared byte by byte on both databases, whatever locale a PostgreSQL server was made with: pages have one order.
Words = Text().with_variant(Text(collation="C"), "postgresql")

# One row: whose ledger this is, and how many write transactions it has seen.
installation = Table(
    "installation",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("id", Words, nullable=False),  # of the installation, '' until it is bound to its keys and usage
    Column("generation", Words, nullable=False),  # another after each restore: numbers then mean other rows
    Column("promises", BigInteger, nullable=False),  # write transactions, ever
    Column("last_at", BigInteger, nullable=False),  # the latest instant of one
    Column("epoch", BigInteger, nullable=False),  # of the lease, counted up by whoever takes it
    Column("holder", Words, nullable=False),  # who took it, for people
    # Of the last row of `audit`; and the promise from which on each is recorded there.
    Column("audited", BigInteger, nullable=False, server_default="0"),
    Column("audit_head", Words, nullable=False, server_default=""),
    Column("audit_since", BigInteger, nullable=False, server_default="0"),
    Column("revived_from", BigInteger, nullable=False, server_default="0"),  # see `revived`
    CheckConstraint("one = 1", name="one"),
)


def _promise() -> Column[int]:
    """The number of the transaction that wrote the row: 0 where that was before they were counted."""
    this = select(installation.c.promises + 1).scalar_subquery()
    return Column("promise", BigInteger, nullable=False, server_default="0", default=this)


accounts = Table(
    "accounts",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("timezone", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("carry_from", BigInteger, nullable=False),
    Column("overage", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    # When its erasure was asked for, and since when nothing holds a text of it any more (`erased_accounts`).
    Column("erased_at", BigInteger),
    Column("erasure_finished_at", BigInteger),
    CheckConstraint("length(id) BETWEEN 1 AND 256", name="id"),
    CheckConstraint("status IN ('active', 'suspended', 'closed')", name="status"),
    CheckConstraint("overage IN ('carry', 'forgive')", name="overage"),
    CheckConstraint("carry_from >= 0", name="carry_from"),
)

# A user is only an id: its names come and go in user_names.
users = Table(
    "users",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("account", "id"),  # pages of an account's users; what user_names refers to
)

# Who was called `name` from valid_from until valid_to (end excluded; NULL: still).
user_names = Table(
    "user_names",
    metadata,
    Column("account", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("user_id", Words, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger),
    _promise(),
    Column("taken_at", BigInteger, nullable=False, server_default="0"),
    Column("ended_promise", BigInteger, nullable=False, server_default="0"),
    Column("ended_at", BigInteger, nullable=False, server_default="0"),  # of that promise; valid_to may be a bit later
    PrimaryKeyConstraint("account", "name", "valid_from"),
    ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"]),
    CheckConstraint("length(name) BETWEEN 1 AND 256", name="name"),
    CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="valid"),
)
Index("ix_user_names_user_id", user_names.c.user_id)
_STILL = text("valid_to IS NULL")
Index(
    "uq_user_names_one_holder",
    user_names.c.account,
    user_names.c.name,
    unique=True,
    sqlite_where=_STILL,
    postgresql_where=_STILL,
)
Index("uq_user_names_one_name", user_names.c.user_id, unique=True, sqlite_where=_STILL, postgresql_where=_STILL)

# What somebody set about a user; one that ingest made at first sight has no row until then. `name` is what it bears
# now, once in its account; NULL once deleted. `password` is encrypted.
managed_users = Table(
    "managed_users",
    metadata,
    Column("user_id", Words, primary_key=True),
    Column("account", Words, nullable=False),
    Column("name", Words),
    Column("product", Words),
    Column("status", Words, nullable=False),
    Column("funded", Integer, nullable=False),
    Column("limit_amount", BigInteger),
    Column("limit_unit", Words),
    Column("limit_window", Words),
    Column("password", Words),
    Column("changed_at", BigInteger, nullable=False),
    ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"]),
    UniqueConstraint("account", "name"),
    CheckConstraint("length(name) BETWEEN 1 AND 256", name="name"),
    CheckConstraint("status IN ('active', 'disabled', 'deleted')", name="status"),
    CheckConstraint("(status = 'deleted') = (name IS NULL)", name="named"),
    CheckConstraint("funded IN (0, 1)", name="funded"),
    CheckConstraint(f"limit_amount BETWEEN 0 AND {MAX_QUANTITY}", name="limit_amount"),
    CheckConstraint("limit_unit IN ('bytes', 'requests')", name="limit_unit"),
    CheckConstraint("limit_window IN ('lifetime', 'day', 'month')", name="limit_window"),
    CheckConstraint(
        "(limit_amount IS NULL) = (limit_unit IS NULL) AND (limit_amount IS NULL) = (limit_window IS NULL)",
        name="limit_whole",
    ),
)
Index("ix_managed_users_account_funded", managed_users.c.account, managed_users.c.funded)

# What held until the promise that replaced it. Never updated, never deleted from.
past_zones = Table(
    "past_zones",
    metadata,
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("promise", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("timezone", Words, nullable=False),
    PrimaryKeyConstraint("account", "promise"),
)
past_settings = Table(
    "past_settings",
    metadata,
    Column("user_id", Words, ForeignKey("users.id"), nullable=False),
    Column("promise", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("status", Words, nullable=False),
    Column("limit_amount", BigInteger),
    Column("limit_unit", Words),
    Column("limit_window", Words),
    PrimaryKeyConstraint("user_id", "promise"),
)

# A user in here bears no name in any other table, and is shown by its id. `finished_at`: nothing else holds its text.
erasures = Table(
    "erasures",
    metadata,
    Column("user_id", Words, primary_key=True),
    Column("account", Words, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"]),
)

pools = Table(
    "pools",
    metadata,
    Column("name", Words, primary_key=True),
    Column("charge", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("length(name) BETWEEN 1 AND 64", name="name"),
    CheckConstraint("charge IN ('bytes', 'requests', 'nothing')", name="charge"),
)

# Products not named here belong to the default pool.
product_pools = Table(
    "product_pools",
    metadata,
    Column("product", Words, primary_key=True),
    Column("pool", Words, ForeignKey("pools.name"), nullable=False),
    Column("mapped_at", BigInteger, nullable=False),
)

products_used = Table(
    "products_used",
    metadata,
    Column("product", Words, primary_key=True),
    Column("first_used_at", BigInteger, nullable=False),
)

# Never updated, never deleted from: a void is a row of its own. Of an erased account all texts are emptied, here and in
# the tables below, and nothing else is (decision 0102).
grants = Table(
    "grants",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("pool", Words, ForeignKey("pools.name"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("source", Words, nullable=False),
    Column("reference", Words, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    _promise(),
    CheckConstraint(f"amount BETWEEN 1 AND {MAX_QUANTITY}", name="amount"),
    CheckConstraint("length(source) BETWEEN 1 AND 64", name="source"),
    CheckConstraint("length(reference) <= 256", name="reference"),
    CheckConstraint("priority BETWEEN 0 AND 1000000", name="priority"),
    CheckConstraint("starts_at >= 0 AND (expires_at IS NULL OR starts_at < expires_at)", name="life"),
)
Index("ix_grants_account_id", grants.c.account, grants.c.id)

grant_voids = Table(
    "grant_voids",
    metadata,
    Column("grant_id", Words, ForeignKey("grants.id"), primary_key=True),
    Column("voided_at", BigInteger, nullable=False),
    Column("reason", Words, nullable=False),
    _promise(),
)

# Never updated, never deleted from. One row is both sides: a draw on the account's purse and a grant to the user's.
allocations = Table(
    "allocations",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, nullable=False),
    Column("user_id", Words, nullable=False),
    Column("pool", Words, ForeignKey("pools.name"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),  # of the user's grant alone: the account's draw stays
    _promise(),
    Column("starts_at", BigInteger),  # of the user's grant alone; old rows have none: then it is `created_at`
    ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"]),
    CheckConstraint(f"amount BETWEEN 1 AND {MAX_QUANTITY}", name="amount"),
    CheckConstraint("expires_at IS NULL OR created_at < expires_at", name="life"),
)
Index("ix_allocations_account_id", allocations.c.account, allocations.c.id)
Index("ix_allocations_user_id_id", allocations.c.user_id, allocations.c.id)

allocation_returns = Table(
    "allocation_returns",
    metadata,
    Column("id", Words, primary_key=True),
    Column("allocation_id", Words, ForeignKey("allocations.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("returned_at", BigInteger, nullable=False),
    _promise(),
    CheckConstraint(f"amount BETWEEN 1 AND {MAX_QUANTITY}", name="amount"),
)
Index("ix_allocation_returns_allocation_id", allocation_returns.c.allocation_id)

# A list is an account's own (no user) or a user's, in one pool; an address is in it once, in its canonical spelling.
whitelist = Table(
    "whitelist",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("user_id", Words),
    Column("pool", Words, ForeignKey("pools.name"), nullable=False),
    Column("address", Words, nullable=False),
    Column("enabled", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    ForeignKeyConstraint(["account", "user_id"], ["users.account", "users.id"], name="fk_whitelist_user"),
    UniqueConstraint("user_id", "pool", "address"),
    CheckConstraint("length(address) BETWEEN 2 AND 43", name="address"),
    CheckConstraint("enabled IN (0, 1)", name="enabled"),
)
_OWN = text("user_id IS NULL")
Index(
    "uq_whitelist_own",
    whitelist.c.account,
    whitelist.c.pool,
    whitelist.c.address,
    unique=True,
    sqlite_where=_OWN,
    postgresql_where=_OWN,
)

# Never updated, never deleted from. A draw on the account's purse. `digest` is keyed and `sealed` encrypted (`codes`):
# no code can be read here.
vouchers = Table(
    "vouchers",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("pool", Words, ForeignKey("pools.name"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("duration_s", BigInteger, nullable=False),
    Column("digest", Words, nullable=False),
    Column("sealed", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    _promise(),
    UniqueConstraint("digest"),
    CheckConstraint(f"amount BETWEEN 1 AND {MAX_QUANTITY}", name="amount"),
    CheckConstraint("duration_s >= 1", name="duration_s"),
    CheckConstraint("length(digest) = 64", name="digest"),
)
Index("ix_vouchers_account_id", vouchers.c.account, vouchers.c.id)

# How a voucher ended, once: redeemed by an account into a grant, or (both NULL) revoked.
voucher_ends = Table(
    "voucher_ends",
    metadata,
    Column("voucher_id", Words, ForeignKey("vouchers.id"), primary_key=True),
    Column("ended_at", BigInteger, nullable=False),
    Column("redeemed_by", Words, ForeignKey("accounts.id")),
    Column("grant_id", Words, ForeignKey("grants.id")),
    _promise(),
    UniqueConstraint("grant_id"),
    CheckConstraint("(redeemed_by IS NULL) = (grant_id IS NULL)", name="whole"),
)

# Never updated, never deleted from: an account's reward of one local date, `day`, of the zone it had then.
check_ins = Table(
    "check_ins",
    metadata,
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("day", Words, nullable=False),
    Column("timezone", Words, nullable=False),
    Column("checked_in_at", BigInteger, nullable=False),
    Column("grant_id", Words, ForeignKey("grants.id"), nullable=False),
    PrimaryKeyConstraint("account", "day"),
    UniqueConstraint("grant_id"),
    CheckConstraint("length(day) = 10", name="day"),
)

# Who owns sources: its credentials come and go. Those made before there were senders have the id of their credential.
senders = Table(
    "senders",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id")),
    Column("name", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
Index("ix_senders_account_id", senders.c.account, senders.c.id)

# Secrets are random, so their SHA-256 (hex) is all that is kept. An imported token has no key. `rights` are those
# beyond its scope's own, `addresses` the networks it may come from (empty: any), both with spaces between them.
credentials = Table(
    "credentials",
    metadata,
    Column("id", Words, primary_key=True),
    Column("sender", Words, ForeignKey("senders.id")),
    Column("scope", Words, nullable=False),
    Column("rights", Words, nullable=False, server_default=""),
    Column("account", Words, ForeignKey("accounts.id")),
    Column("name", Words, nullable=False),
    Column("addresses", Words, nullable=False, server_default=""),
    Column("token_hash", Words, nullable=False),
    Column("key_hash", Words),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("replaces", Words),  # the credential it took over from when that was rotated
    UniqueConstraint("token_hash"),
    CheckConstraint("scope IN ('ingest', 'account', 'manage', 'admin', 'custom')", name="scope"),
    CheckConstraint(
        "(scope = 'admin' AND account IS NULL) OR (scope IN ('account', 'manage') AND account IS NOT NULL)"
        " OR scope IN ('ingest', 'custom')",
        name="belongs",
    ),
    CheckConstraint("length(token_hash) = 64 AND (key_hash IS NULL OR length(key_hash) = 64)", name="hashes"),
)
Index("ix_credentials_account_id", credentials.c.account, credentials.c.id)
Index("ix_credentials_sender", credentials.c.sender)

# Kept for ever: a retry is answered like the first time, however late it comes. `account`: whose credentials; '' are
# those of the installation.
idempotency = Table(
    "idempotency",
    metadata,
    Column("account", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("status", Integer, nullable=False),
    Column("response", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "key"),
    CheckConstraint("length(key) BETWEEN 1 AND 255", name="key"),
    CheckConstraint("length(digest) = 64", name="digest"),
)

# Keys an account names its writes by, over all operations: kept for ever, as those above.
used_keys = Table(
    "used_keys",
    metadata,
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("key", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "key"),
    CheckConstraint("length(key) BETWEEN 1 AND 255", name="key"),
    CheckConstraint("length(digest) = 64", name="digest"),
)

# Never updated, never deleted from: the statement is what was frozen. That spans do not overlap is the command's to see
# to (one writer at a time); that none starts twice, and that closings are numbered without a fork, is said here again.
periods = Table(
    "periods",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("timezone", Words, nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=False),
    Column("statement", Words, nullable=False),
    _promise(),
    Column("known_promise", BigInteger, nullable=False, server_default="0"),  # what the statement knows of the ledger
    UniqueConstraint("account", "number"),
    UniqueConstraint("account", "starts_at"),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint("starts_at < ends_at AND ends_at <= closed_at", name="span"),
    CheckConstraint("block >= 0", name="block"),
)
Index("ix_periods_account_id", periods.c.account, periods.c.id)

# Movements of money, in whole millionths of the currency. Never updated, never deleted from.
transfers = Table(
    "transfers",
    metadata,
    Column("id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("currency", Words, nullable=False),
    Column("reference", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("kind IN ('deposit', 'adjustment', 'purchase')", name="kind"),
    CheckConstraint("length(currency) = 3", name="currency"),
    CheckConstraint("length(reference) <= 256", name="reference"),
)

# What a transfer puts into a book (below zero: takes out of it); over all books it is nothing. `account` is whose
# wallet the book is; the operator's own have none. That no wallet is overdrawn is the command's to see to.
transfer_entries = Table(
    "transfer_entries",
    metadata,
    Column("transfer_id", Words, ForeignKey("transfers.id"), nullable=False),
    Column("book", Words, nullable=False),
    Column("account", Words, ForeignKey("accounts.id")),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("transfer_id", "book"),
    CheckConstraint("book IN ('wallet', 'deposits', 'adjustments', 'sales')", name="book"),
    CheckConstraint("(book = 'wallet') = (account IS NOT NULL)", name="whose"),
    CheckConstraint(f"amount BETWEEN -{MAX_QUANTITY} AND {MAX_QUANTITY} AND amount <> 0", name="amount"),
)
Index(
    "ix_transfer_entries_account_transfer_id_amount",
    transfer_entries.c.account,
    transfer_entries.c.transfer_id,
    transfer_entries.c.amount,  # so that a balance is added up from the index alone
)

# Only `retired_at` is ever set; all else of a plan stays.
plans = Table(
    "plans",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("pool", Words, ForeignKey("pools.name"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", Words, nullable=False),
    Column("days", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    CheckConstraint("length(id) BETWEEN 1 AND 256", name="id"),
    CheckConstraint("length(name) BETWEEN 1 AND 256", name="name"),
    CheckConstraint(f"amount BETWEEN 1 AND {MAX_QUANTITY}", name="amount"),
    CheckConstraint(f"price BETWEEN 1 AND {MAX_QUANTITY}", name="price"),
    CheckConstraint("length(currency) = 3", name="currency"),
    CheckConstraint("days BETWEEN 1 AND 36500", name="days"),
)

# The hosts and ports that customers connect to; a removed one is gone. Places are '' where any will do.
gateways = Table(
    "gateways",
    metadata,
    Column("id", Words, primary_key=True),
    Column("product", Words, nullable=False),
    Column("host", Words, nullable=False),
    Column("first_port", Integer, nullable=False),
    Column("last_port", Integer, nullable=False),
    Column("session", Words, nullable=False),
    Column("hold_s", Integer),
    Column("country", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("city", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("product", "host", "first_port"),
    CheckConstraint("length(id) BETWEEN 1 AND 256", name="id"),
    CheckConstraint("length(product) BETWEEN 1 AND 256", name="product"),
    CheckConstraint("length(host) BETWEEN 1 AND 253", name="host"),
    CheckConstraint("first_port BETWEEN 1 AND last_port AND last_port <= 65535", name="ports"),
    CheckConstraint("session IN ('sticky', 'rotating')", name="session"),
    CheckConstraint("hold_s IS NULL OR (hold_s BETWEEN 1 AND 31536000 AND session = 'sticky')", name="hold"),
    CheckConstraint("length(country) IN (0, 2) AND length(state) <= 64 AND length(city) <= 64", name="place"),
    CheckConstraint("country <> '' OR (state = '' AND city = '')", name="country"),
)

# What was bought, kept as it was then. Never updated, never deleted from: one transfer and one grant each.
purchases = Table(
    "purchases",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("plan_id", Words, ForeignKey("plans.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("pool", Words, ForeignKey("pools.name"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", Words, nullable=False),
    Column("days", Integer),
    Column("transfer_id", Words, ForeignKey("transfers.id"), nullable=False),
    Column("grant_id", Words, ForeignKey("grants.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("transfer_id"),
    UniqueConstraint("grant_id"),
    CheckConstraint(f"amount BETWEEN 1 AND {MAX_QUANTITY}", name="amount"),
    CheckConstraint(f"price BETWEEN 1 AND {MAX_QUANTITY}", name="price"),
)
Index("ix_purchases_account_id", purchases.c.account, purchases.c.id)

# What can be leased: addresses and servers. `port` 0: none. `sealed`: the password, encrypted. `free_at`: the instant
# from which nobody holds it any more nor is it kept for anybody, as its leases say. One that is retired stays.
stock = Table(
    "stock",
    metadata,
    Column("id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("address", Words, nullable=False),
    Column("port", Integer, nullable=False),
    Column("username", Words, nullable=False),
    Column("sealed", Words),
    Column("name", Words, nullable=False),  # of its host
    Column("country", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("city", Words, nullable=False),
    Column("region", Words, nullable=False),
    Column("cpu_cores", Integer),
    Column("memory_mib", Integer),
    Column("bandwidth_mbps", Integer),
    Column("free_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    CheckConstraint("length(kind) BETWEEN 1 AND 64", name="kind"),
    CheckConstraint("length(address) BETWEEN 1 AND 253", name="address"),
    CheckConstraint("port BETWEEN 0 AND 65535", name="port"),
    CheckConstraint("cpu_cores >= 1 AND memory_mib >= 1 AND bandwidth_mbps >= 1", name="size"),
)
_IN_STOCK = text("retired_at IS NULL")
Index(
    "uq_stock_endpoint",
    stock.c.address,
    stock.c.port,
    unique=True,
    sqlite_where=_IN_STOCK,
    postgresql_where=_IN_STOCK,
)
Index("ix_stock_free", stock.c.kind, stock.c.free_at, stock.c.id, sqlite_where=_IN_STOCK, postgresql_where=_IN_STOCK)
Index("ix_stock_address", stock.c.address)
Index("ix_stock_name", stock.c.name)

# For how much something in stock is leased, for how long; of which place and size, where it says so. Only `retired_at`
# is ever set.
lease_plans = Table(
    "lease_plans",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("days", Integer, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", Words, nullable=False),
    Column("country", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("city", Words, nullable=False),
    Column("region", Words, nullable=False),
    Column("cpu_cores", Integer),
    Column("memory_mib", Integer),
    Column("bandwidth_mbps", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    CheckConstraint("length(id) BETWEEN 1 AND 256", name="id"),
    CheckConstraint("length(name) BETWEEN 1 AND 256", name="name"),
    CheckConstraint("length(kind) BETWEEN 1 AND 64", name="kind"),
    CheckConstraint("days BETWEEN 1 AND 36500", name="days"),
    CheckConstraint(f"price BETWEEN 1 AND {MAX_QUANTITY}", name="price"),
    CheckConstraint("length(currency) = 3", name="currency"),
    CheckConstraint("cpu_cores >= 1 AND memory_mib >= 1 AND bandwidth_mbps >= 1", name="size"),
)

# Who holds what, from when until when, as its terms say; kept for ever. `grace_ms`: for so long after its end it can be
# renewed, and nobody else can have it.
leases = Table(
    "leases",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("stock_id", Words, ForeignKey("stock.id"), nullable=False),
    Column("plan_id", Words, ForeignKey("lease_plans.id")),  # what it is renewed by
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger),
    Column("grace_ms", BigInteger, nullable=False),
    Column("auto_renew", Integer, nullable=False),
    Column("released_at", BigInteger),
    Column("cpu_cores", Integer),
    Column("memory_mib", Integer),
    Column("bandwidth_mbps", Integer),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("starts_at >= 0 AND (ends_at IS NULL OR starts_at < ends_at)", name="life"),
    CheckConstraint("grace_ms >= 0", name="grace"),
    CheckConstraint("auto_renew IN (0, 1)", name="auto_renew"),
    CheckConstraint("released_at >= starts_at", name="released"),
    CheckConstraint("cpu_cores >= 1 AND memory_mib >= 1 AND bandwidth_mbps >= 1", name="size"),
)
Index("ix_leases_account_id", leases.c.account, leases.c.id)
Index("ix_leases_stock_id_id", leases.c.stock_id, leases.c.id)
_RENEWED = text("auto_renew = 1 AND released_at IS NULL")
Index("ix_leases_auto_renew", leases.c.ends_at, sqlite_where=_RENEWED, postgresql_where=_RENEWED)

# Never updated, never deleted from: how a lease became what it is. `price`: of the plan for this stretch of time; paid
# by that transfer together with the other terms of the order, or by nobody.
lease_terms = Table(
    "lease_terms",
    metadata,
    Column("lease_id", Words, ForeignKey("leases.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("what", Words, nullable=False),
    Column("order_id", Words, nullable=False),
    Column("plan_id", Words, ForeignKey("lease_plans.id")),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger),
    Column("price", BigInteger, nullable=False),
    Column("currency", Words, nullable=False),
    Column("transfer_id", Words, ForeignKey("transfers.id")),
    Column("cpu_cores", Integer),
    Column("memory_mib", Integer),
    Column("bandwidth_mbps", Integer),
    Column("created_at", BigInteger, nullable=False),
    _promise(),
    PrimaryKeyConstraint("lease_id", "number"),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint("what IN ('given', 'bought', 'renewed', 'upgraded', 'released')", name="what"),
    CheckConstraint("ends_at IS NULL OR starts_at <= ends_at", name="span"),
    CheckConstraint(f"price BETWEEN 0 AND {MAX_QUANTITY}", name="price"),
    CheckConstraint("transfer_id IS NULL OR what IN ('bought', 'renewed', 'upgraded')", name="paid"),
)
Index("ix_lease_terms_order_id", lease_terms.c.order_id)
Index("ix_lease_terms_transfer_id", lease_terms.c.transfer_id)

# Never deleted from: what a holder asked of its server, and what became of it. `outcome`: empty until it is answered;
# `taken_by`: the credential of whoever does it.
actions = Table(
    "actions",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("lease_id", Words, ForeignKey("leases.id"), nullable=False),
    Column("stock_id", Words, ForeignKey("stock.id"), nullable=False),
    Column("what", Words, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("taken_at", BigInteger),
    Column("taken_by", Words, nullable=False),
    Column("answered_at", BigInteger),
    Column("outcome", Words, nullable=False),
    Column("detail", Words, nullable=False),
    CheckConstraint("length(what) BETWEEN 1 AND 64", name="what"),
    CheckConstraint("requested_at >= 0 AND requested_at < expires_at", name="life"),
    CheckConstraint("requested_at <= taken_at AND taken_at <= answered_at", name="order"),
    CheckConstraint("(taken_at IS NULL) = (taken_by = '')", name="taken"),
    CheckConstraint("(answered_at IS NULL) = (outcome = '')", name="answered"),
    CheckConstraint("answered_at IS NULL OR taken_at IS NOT NULL", name="after_taken"),
    CheckConstraint("outcome IN ('', 'done', 'failed')", name="outcome"),
)
Index("ix_actions_lease_id_id", actions.c.lease_id, actions.c.id)
_UNANSWERED = text("outcome = ''")
Index("ix_actions_open", actions.c.expires_at, sqlite_where=_UNANSWERED, postgresql_where=_UNANSWERED)

# Which users of its account may use what is leased.
bound_users = Table(
    "bound_users",
    metadata,
    Column("lease_id", Words, ForeignKey("leases.id"), nullable=False),
    Column("user_id", Words, ForeignKey("users.id"), nullable=False),
    Column("bound_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("lease_id", "user_id"),
    CheckConstraint("bound_at >= 0", name="bound_at"),
)

# Never deleted from, never updated but where an account is erased (`audit_erased`): what was done, one row each, in the
# transaction that did it (`trail`). Without `credential`: by the server itself; `of_account`: whose credential it was.
# `account`: whom it is about, if anybody.
audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("promise", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("credential", Words, nullable=False),
    Column("of_account", Words, nullable=False),
    Column("door", Words, nullable=False),
    Column("request_id", Words, nullable=False),
    Column("address", Words, nullable=False),
    Column("action", Words, nullable=False),
    Column("account", Words),
    Column("subject", Words, nullable=False),
    Column("before", Words, nullable=False),
    Column("after", Words, nullable=False),
    Column("digest", Words, nullable=False),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint("length(digest) = 64", name="digest"),
)
Index("ix_audit_account_number", audit.c.account, audit.c.number)
Index("ix_audit_credential_number", audit.c.credential, audit.c.number)
Index("ix_audit_subject_number", audit.c.subject, audit.c.number)

# Rows of `audit` whose texts were taken away with their account: `digest` is of the row as it is now, beside the one it
# was written with, and the record of the transaction that did it (`promise`) covers them all.
audit_erased = Table(
    "audit_erased",
    metadata,
    Column("number", BigInteger, ForeignKey("audit.number"), primary_key=True, autoincrement=False),
    Column("digest", Words, nullable=False),
    _promise(),
    CheckConstraint("length(digest) = 64", name="digest"),
)
Index("ix_audit_erased_promise", audit_erased.c.promise)

# Accounts at vendors, asked with the customer's own key. `name` is the series of what they say, and never another's: a
# provider that was removed stays, without its secrets. `settings` and `rules` are JSON. From `state` on it is what the
# pulls came to.
providers = Table(
    "providers",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("vendor", Words, nullable=False),
    Column("address", Words, nullable=False),  # '': the vendor's own
    Column("settings", Words, nullable=False),
    Column("rules", Words, nullable=False),  # how its figures are reconciled
    Column("since", BigInteger, nullable=False),
    Column("every_s", Integer),  # NULL: as often as the vendor's figures move
    Column("paused", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    Column("state", Words, nullable=False),
    Column("state_since", BigInteger, nullable=False),
    Column("detail", Words, nullable=False),
    Column("failures", Integer, nullable=False),  # in a row
    Column("tried_at", BigInteger),
    Column("pulled_at", BigInteger),
    Column("next_at", BigInteger, nullable=False),
    UniqueConstraint("name"),
    CheckConstraint("length(name) BETWEEN 1 AND 64", name="name"),
    CheckConstraint("state IN ('new', 'ok', 'late', 'denied', 'changed_shape', 'removed')", name="state"),
    CheckConstraint("(state = 'removed') = (removed_at IS NOT NULL)", name="removed"),
    CheckConstraint("paused IN (0, 1)", name="paused"),
    CheckConstraint("failures >= 0", name="failures"),
)
Index("ix_providers_account_id", providers.c.account, providers.c.id)

# What a provider is asked with, sealed by the vault; gone when it is removed.
provider_secrets = Table(
    "provider_secrets",
    metadata,
    Column("id", Words, primary_key=True),  # of the provider, a slash, and which secret it is
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("sealed", Words, nullable=False),
    UniqueConstraint("provider", "name"),
)

# Of which stretches of time a provider has told its usage, and when it was asked last: they do not overlap.
provider_stretches = Table(
    "provider_stretches",
    metadata,
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("grain", Words, nullable=False),
    Column("zone", Words, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("provider", "starts_at"),
    CheckConstraint("starts_at < ends_at", name="span"),
    CheckConstraint("grain IN ('hour', 'day', 'pull')", name="grain"),
    CheckConstraint("step >= 1", name="step"),
)

# What a provider says is left: a row each time that it says something else.
provider_balances = Table(
    "provider_balances",
    metadata,
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("label", Words, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("quantity", Words, nullable=False),
    Column("left", BigInteger),  # NULL: it is not told any more
    Column("used", BigInteger),
    Column("total", BigInteger),
    Column("currency", Words, nullable=False),
    Column("expires_at", BigInteger),
    Column("step", BigInteger, nullable=False),
    PrimaryKeyConstraint("provider", "label", "seen_at"),
    CheckConstraint("quantity IN ('bytes', 'requests', 'money')", name="quantity"),
)

# The grants a provider lists, as it said them last; `gone_at`: since when it lists one no more. `baseline`: what had
# been used of it when the provider was added.
provider_grants = Table(
    "provider_grants",
    metadata,
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("id", Words, nullable=False),
    Column("said_order", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("quantity", Words, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("baseline", BigInteger, nullable=False),
    Column("created_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("standing", Words, nullable=False),
    Column("raw_created", Words, nullable=False),
    Column("raw_expires", Words, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("gone_at", BigInteger),
    PrimaryKeyConstraint("provider", "id"),
    CheckConstraint("quantity IN ('bytes', 'requests')", name="quantity"),
    CheckConstraint("standing IN ('active', 'ended')", name="standing"),
)

# The sub-users a provider lists, as it said them last.
provider_sub_users = Table(
    "provider_sub_users",
    metadata,
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("enabled", Integer, nullable=False),
    Column("limit_bytes", BigInteger),
    Column("used", BigInteger),
    Column("first_at", BigInteger, nullable=False),
    Column("gone_at", BigInteger),
    PrimaryKeyConstraint("provider", "name"),
    CheckConstraint("enabled IN (0, 1)", name="enabled"),
)

# The last pulls of each provider, for people.
provider_pulls = Table(
    "provider_pulls",
    metadata,
    Column("id", Words, primary_key=True),
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("detail", Words, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("figures", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    CheckConstraint("outcome IN ('ok', 'late', 'denied', 'changed_shape')", name="outcome"),
    CheckConstraint("began_at <= ended_at", name="span"),
)
Index("ix_provider_pulls_provider_id", provider_pulls.c.provider, provider_pulls.c.id)

# What a bill and what was measured said of each other, as somebody kept it.
provider_reconciliations = Table(
    "provider_reconciliations",
    metadata,
    Column("id", Words, primary_key=True),
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("kept_at", BigInteger, nullable=False),
    Column("match", Words, nullable=False),
    Column("answer", Words, nullable=False),
    CheckConstraint("starts_at < ends_at", name="span"),
    CheckConstraint("match IN ('matches', 'within_tolerance', 'beyond')", name="match"),
)
Index("ix_provider_reconciliations_provider_id", provider_reconciliations.c.provider, provider_reconciliations.c.id)

# Whose calls of which dialect are asked of the vendor, too, with which provider. `share`: of so many of a hundred.
# `detail`: why the last one that failed did.
shadows = Table(
    "shadows",
    metadata,
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("dialect", Words, nullable=False),
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("enabled", Integer, nullable=False),
    Column("share", Integer, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("detail", Words, nullable=False),
    Column("detail_at", BigInteger),
    PrimaryKeyConstraint("account", "dialect"),
    CheckConstraint("enabled IN (0, 1)", name="enabled"),
    CheckConstraint("share BETWEEN 1 AND 100", name="share"),
)

# How often the vendor's answer to a route of a dialect was ours.
shadow_routes = Table(
    "shadow_routes",
    metadata,
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("dialect", Words, nullable=False),
    Column("route", Words, nullable=False),
    Column("agreed", BigInteger, nullable=False),
    Column("differed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "dialect", "route"),
    CheckConstraint("agreed >= 0 AND differed >= 0 AND failed >= 0", name="counts"),
)

# The newest answers of vendors that were not ours, for a while. `fields` is JSON: which differ, and by how much.
shadow_differences = Table(
    "shadow_differences",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id"), nullable=False),
    Column("dialect", Words, nullable=False),
    Column("provider", Words, ForeignKey("providers.id"), nullable=False),
    Column("route", Words, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("question", Words, nullable=False),
    Column("ours", Words, nullable=False),
    Column("theirs", Words, nullable=False),
    Column("fields", Words, nullable=False),
    Column("count", Integer, nullable=False),
    CheckConstraint("count >= 1", name="count"),
)
Index("ix_shadow_differences_account_id", shadow_differences.c.account, shadow_differences.c.id)
Index("ix_shadow_differences_at", shadow_differences.c.at)

# The places a product has: how many of each kind, since when, and the digest of all of them.
place_catalogues = Table(
    "place_catalogues",
    metadata,
    Column("product", Words, primary_key=True),
    Column("countries", BigInteger, nullable=False),
    Column("states", BigInteger, nullable=False),
    Column("cities", BigInteger, nullable=False),
    Column("asns", BigInteger, nullable=False),
    Column("digest", Words, nullable=False),
    Column("replaced_at", BigInteger, nullable=False),
    CheckConstraint("length(product) BETWEEN 1 AND 256", name="product"),
    CheckConstraint("countries >= 1 AND states >= 0 AND cities >= 0 AND asns >= 0", name="counts"),
)

# `state`: of a city, the code of its state. `key` is the order of a list: one range of it is a country, or a state.
places = Table(
    "places",
    metadata,
    Column("product", Words, ForeignKey("place_catalogues.product"), nullable=False),
    Column("kind", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("country", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("code", Words, nullable=False),
    Column("name", Words, nullable=False),
    PrimaryKeyConstraint("product", "kind", "key"),
    CheckConstraint("kind IN ('country', 'state', 'city', 'asn')", name="kind"),
    CheckConstraint("length(country) = 2 AND length(code) >= 1 AND length(name) BETWEEN 1 AND 128", name="texts"),
    CheckConstraint("kind = 'city' OR state = ''", name="state"),
    CheckConstraint(
        "key = CASE kind WHEN 'country' THEN country WHEN 'city' THEN country || '/' || state || '/' || code "
        "ELSE country || '/' || code END",
        name="key",
    ),
    CheckConstraint("kind <> 'country' OR code = country", name="country"),
)

# Where messages go. Without an account it is the operator's, and gets what is about every account. `types` has spaces
# between them ('': all). After a rotation both secrets sign until `old_until`. From `state` on it is what delivering
# came to; `held_until`: its server asked to be left alone until then.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Words, primary_key=True),
    Column("account", Words, ForeignKey("accounts.id")),
    Column("url", Words, nullable=False),
    Column("description", Words, nullable=False),
    Column("types", Words, nullable=False),
    Column("sealed", Words),
    Column("old_sealed", Words),
    Column("old_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    Column("state", Words, nullable=False),
    Column("detail", Words, nullable=False),
    Column("failing_since", BigInteger),
    Column("delivered_at", BigInteger),
    Column("held_until", BigInteger),
    CheckConstraint("state IN ('active', 'disabled', 'removed')", name="state"),
    CheckConstraint("(state = 'removed') = (removed_at IS NOT NULL)", name="removed"),
    CheckConstraint("(state = 'removed') = (sealed IS NULL)", name="sealed"),
    CheckConstraint("(old_sealed IS NULL) = (old_until IS NULL)", name="rotated"),
)
Index("ix_webhooks_account_id", webhooks.c.account, webhooks.c.id)

# What is told: once for each key. `body` is JSON, and exactly what is sent.
messages = Table(
    "messages",
    metadata,
    Column("id", Words, primary_key=True),
    Column("key", Words, nullable=False),
    Column("account", Words, ForeignKey("accounts.id")),
    Column("type", Words, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", Words, nullable=False),
    UniqueConstraint("key"),
    CheckConstraint("length(key) BETWEEN 1 AND 512", name="key"),
)
Index("ix_messages_account_id", messages.c.account, messages.c.id)

# A message on its way to a webhook. `next_at`: when it is tried next, while it waits; `status`: the last answer's.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Words, primary_key=True),
    Column("webhook", Words, ForeignKey("webhooks.id"), nullable=False),
    Column("message", Words, ForeignKey("messages.id"), nullable=False),
    Column("state", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger),
    Column("tried_at", BigInteger),
    Column("status", Integer),
    Column("duration_ms", Integer),
    Column("detail", Words, nullable=False),
    UniqueConstraint("webhook", "message"),
    CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="state"),
    CheckConstraint("(state = 'waiting') = (next_at IS NOT NULL)", name="waiting"),
    CheckConstraint("attempts >= 0", name="attempts"),
)
Index("ix_deliveries_next_at", deliveries.c.next_at)
Index("ix_deliveries_webhook_id", deliveries.c.webhook, deliveries.c.id)
Index("ix_deliveries_webhook_state", deliveries.c.webhook, deliveries.c.state)
Index("ix_deliveries_message", deliveries.c.message)

"""Users: limits, names, passwords, whitelists, what is passed on to them."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from flowtally.protocol.balance import PoolBalance
from flowtally.protocol.words import AsOf, Totals


class LimitSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `amount` of `unit` in each `window` of the account's calendar. A limit never pays, it only refuses."""

    amount: int
    unit: Literal["bytes", "requests"] = "bytes"
    window: Literal["lifetime", "day", "month"] = "lifetime"


class UserRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`funded` is fixed when the user is made: its use is paid from its own purse only."""

    name: str
    product: str | None = None
    limit: LimitSetting | None = None
    funded: bool = False
    status: Literal["active", "disabled"] = "active"
    password: str | None = None


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays; null takes a product, limit or password away."""

    name: str | UnsetType = UNSET
    product: str | UnsetType | None = UNSET
    limit: LimitSetting | UnsetType | None = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET
    password: str | UnsetType | None = UNSET


class UserAnswer(msgspec.Struct, frozen=True):
    """`managed`: somebody made or changed it; the others are only known from traffic. Passwords are never shown here.
    `used`: all it ever used, only in a list that was asked for it."""

    id: str
    account: str
    name: str
    created_at: str
    product: str | None = None
    status: Literal["active", "disabled", "deleted"] = "active"
    funded: bool = False
    limit: LimitSetting | None = None
    has_password: bool = False
    managed: bool = False
    erased_at: str | None = None
    used: Totals | None = None


class PasswordAnswer(msgspec.Struct, frozen=True):
    """A user's password, in clear."""

    account: str
    user_id: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"PasswordAnswer(account={self.account!r}, user_id={self.user_id!r}, user={self.user!r}, password='...')"


class ErasureAnswer(msgspec.Struct, frozen=True):
    """`pending` until nothing that flowtally keeps holds the name or a label of the user: `step`, `done` of `total` and
    `detail` (why it stopped, where it did) are then of the work on all pending erasures."""

    account: str
    user_id: str
    user: str
    state: Literal["pending", "finished"]
    asked_at: str
    finished_at: str | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""


class NameAnswer(msgspec.Struct, frozen=True):
    """What a user was called, and until when (excluded; null: still). Null `from`: since ever."""

    name: str
    start: str | None = msgspec.field(name="from")
    end: str | None = msgspec.field(name="to")


class AllocationRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in the pool's unit; what is not spent of it at `expires_at` is lost."""

    amount: int
    pool: str = "traffic"
    expires_at: str | None = None


class ReturnRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in the pool's unit; left out: everything that is unspent."""

    amount: int | None = None


class AllocationAnswer(msgspec.Struct, frozen=True):
    """Traffic passed on to a user until `expires_at` (null: for ever); `returned` of it was taken back. `spent`, `left`
    and `expired` are only known where a balance was computed: amount = returned + spent + left + expired."""

    id: str
    account: str
    user: str
    user_id: str
    pool: str
    amount: int
    returned: int
    created_at: str
    spent: int | None = None
    left: int | None = None
    expires_at: str | None = None
    expired: int | None = None


class WhitelistRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Everything a whitelist shall hold: IPv4, IPv6, networks."""

    addresses: list[str]


class WhitelistChange(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool = True


class WhitelistAnswer(msgspec.Struct, frozen=True):
    """An address or network on the whitelist of a pool: the account's own where `user` and `user_id` are null."""

    account: str
    user: str | None
    user_id: str | None
    pool: str
    address: str
    enabled: bool
    created_at: str
    changed_at: str


class LimitState(msgspec.Struct, frozen=True):
    """A limit at an instant; `exceeded`: nothing is left of it. `resets_at` is null for `lifetime`."""

    unit: Literal["bytes", "requests"]
    window: Literal["lifetime", "day", "month"]
    limit: int
    used: int
    left: int
    exceeded: bool
    resets_at: str | None


class UserBalanceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`pools` and `allocations` are a funded user's own purses; empty for others: their account pays for them. `as_of`:
    of which moment it is; its token asks for it again."""

    account: str
    user: str
    user_id: str
    at: str
    status: Literal["active", "disabled", "deleted"]
    funded: bool
    limit: LimitState | None
    pools: dict[str, PoolBalance]
    allocations: list[AllocationAnswer]
    as_of: AsOf | None = None

"""Users: limits, names, passwords, whitelists, what is passed on to them."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from flowtally.core.edges import Instant
from flowtally.core.unshown import repr_without
from flowtally.core.words import LimitWindow, SetUserStatus, Unit, UserStatus
from flowtally.protocol.balance import NeverPaid, PoolBalance
from flowtally.protocol.words import AsOf, Totals

ErasureState = Literal["pending", "finished"]


class LimitSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The most a user may use. flowtally counts and says who is over it; it does not stop traffic by itself.

    amount: The most it may use in each window.
    window: Over what it is counted: for ever, or by the day or month of the account's calendar.
    """

    amount: int
    unit: Unit = "bytes"
    window: LimitWindow = "lifetime"


class UserRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A new user.

    name: The user's name, which nobody else in the account has, or only traffic brought.
    product: What the user buys; null: not said.
    limit: The most it may use; null: no limit.
    funded: Whether its use is paid from its own allocations only. It cannot be changed later.
    status: Whether it may go on.
    password: The password of its proxies; null: none.
    """

    name: str
    product: str | None = None
    limit: LimitSetting | None = None
    funded: bool = False
    status: SetUserStatus = "active"
    password: str | None = None

    def __repr__(self) -> str:
        return repr_without(self, "password")


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays; null takes a product, limit or password away.

    name: Its new name; the use so far stays with it.
    product: What the user buys.
    limit: The most it may use.
    status: Whether it may go on.
    password: The password of its proxies.
    """

    name: str | UnsetType = UNSET
    product: str | UnsetType | None = UNSET
    limit: LimitSetting | UnsetType | None = UNSET
    status: SetUserStatus | UnsetType = UNSET
    password: str | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return repr_without(self, "password")


class UserAnswer(msgspec.Struct, frozen=True):
    """A user inside an account. Passwords are never shown here.

    id: The user's id, which never changes.
    name: The user's present name.
    product: What the user buys; null: not said.
    status: Whether it may go on. A deleted user's use stays on record.
    limit: The most it may use; null: no limit.
    has_password: Whether it has a password.
    managed: Whether somebody made or changed it; the others are only known from traffic.
    erased_at: When its name was erased; null: it was not.
    used: All it ever used; null in lists that were not asked for it.
    limit_state: Where its limit stands now; null without a limit, and in lists that were not asked for it.
    """

    id: str
    account: str
    name: str
    created_at: Instant
    product: str | None = None
    status: UserStatus = "active"
    funded: bool = False
    limit: LimitSetting | None = None
    has_password: bool = False
    managed: bool = False
    erased_at: Instant | None = None
    used: Totals | None = None
    limit_state: LimitState | None = None


class PasswordAnswer(msgspec.Struct, frozen=True):
    """A user's password.

    password: The password, in clear.
    """

    account: str
    user_id: str
    user: str
    password: str

    def __repr__(self) -> str:
        return repr_without(self, "password")


class ErasureAnswer(msgspec.Struct, frozen=True):
    """How far the erasure of a user is. Until it is finished, `step`, `done` of `total` and `detail` are of the work
    on all pending erasures.

    state: `pending` until nothing that the server keeps holds the name or a label of the user.
    asked_at: When it was asked for.
    finished_at: When it was finished; null: not yet.
    total: How much there is to do in this step.
    detail: Why it stopped; empty where it did not.
    """

    account: str
    user_id: str
    user: str
    state: ErasureState
    asked_at: Instant
    finished_at: Instant | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""


class AccountErasureAnswer(msgspec.Struct, frozen=True):
    """How far the erasure of an account is. Until it is finished, `step`, `done` of `total` and `detail` are of the
    work on all pending erasures.

    state: `pending` until nothing that the server keeps holds a text of the account.
    asked_at: When it was asked for.
    finished_at: When it was finished; null: not yet.
    total: How much there is to do in this step.
    detail: Why it stopped; empty where it did not.
    """

    account: str
    state: ErasureState
    asked_at: Instant
    finished_at: Instant | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""


class NameAnswer(msgspec.Struct, frozen=True):
    """What a user was called.

    from: From when on; null: since ever.
    to: Until when, which no longer belongs to it; null: still.
    """

    name: str
    start: Instant | None = msgspec.field(name="from")
    end: Instant | None = msgspec.field(name="to")


class AllocationRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Traffic to pass on to a user.

    expires_at: What is not spent of it by then is lost; null: it never ends.
    """

    amount: int
    pool: str = "traffic"
    expires_at: Instant | None = None


class ReturnRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What to take back.

    amount: How much, in the unit of the pool; null: everything that is unspent.
    """

    amount: int | None = None


class AllocationAnswer(msgspec.Struct, frozen=True):
    """Traffic passed on to a user. `spent`, `left` and `expired` are only known where a balance was computed: amount =
    returned + spent + left + expired.

    returned: What was taken back of it.
    spent: What it has paid for; null: not computed here.
    left: What of it can still be used; null: not computed here.
    expired: What was unspent when it ended; null: not computed here.
    """

    id: str
    account: str
    user: str
    user_id: str
    pool: str
    amount: int
    returned: int
    created_at: Instant
    spent: int | None = None
    left: int | None = None
    expires_at: Instant | None = None
    expired: int | None = None


class WhitelistRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Everything a whitelist shall hold.

    addresses: IPv4 and IPv6 addresses and networks.
    """

    addresses: list[str]


class WhitelistChange(msgspec.Struct, forbid_unknown_fields=True):
    """An address to put on a whitelist.

    enabled: Whether traffic may come from it.
    """

    enabled: bool = True


class WhitelistAnswer(msgspec.Struct, frozen=True):
    """An address or network on the whitelist of a pool.

    user: The name of the user whose list it is on; null: the account's own.
    user_id: The id of the user whose list it is on; null: the account's own.
    address: The IP address or network.
    enabled: Whether traffic may come from it.
    changed_at: When it was last enabled or disabled.
    """

    account: str
    user: str | None
    user_id: str | None
    pool: str
    address: str
    enabled: bool
    created_at: Instant
    changed_at: Instant


class LimitState(msgspec.Struct, frozen=True):
    """A limit at an instant.

    window: Over what it is counted: for ever, or by the day or month of the account's calendar.
    limit: The most that may be used in each window.
    used: What was used in the present window.
    left: What can still be used in it.
    exceeded: Whether nothing is left of it.
    resets_at: When the next window begins; null for `lifetime`.
    """

    unit: Unit
    window: LimitWindow
    limit: int
    used: int
    left: int
    exceeded: bool
    resets_at: Instant | None


class UserBalanceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is left of a user's limit and of its own balances. `pools` and `allocations` are empty for users that are
    not funded: their account pays for them.

    status: Whether it may go on.
    limit: Its limit now; null: it has none.
    pools: The figures of each of its balances, by the name of the pool.
    allocations: What was passed on to it.
    never_paid: Use of the user that nothing will pay. Left out where there is none.
    """

    account: str
    user: str
    user_id: str
    at: Instant
    status: UserStatus
    funded: bool
    limit: LimitState | None
    pools: dict[str, PoolBalance]
    allocations: list[AllocationAnswer]
    as_of: AsOf | None = None
    never_paid: list[NeverPaid] = []

"""Thordata's proxy users: listed, made, changed, deleted.

A proxy user is a managed user of the account that is not funded, of the family its product belongs to. Its figures are
all its bytes, whatever product they came under, because that is what its limit counts. Leaves usage by day and hour to
`usage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from flowtally.answers.statement import lifetime_use
from flowtally.core.times import LAST_INSTANT
from flowtally.core.words import SetUserStatus
from flowtally.funding.user_funds import delete_user as delete_managed
from flowtally.ledger.people import managed, roster, users
from flowtally.ledger.people.roster import Managed
from flowtally.ledger.people.users import Limit, User
from flowtally.ledger.pools import Pools, read_pools
from flowtally.ledger.traffic import grants
from flowtally.vendors.base import Adapted, DialectCall, Effect, Route, declaring
from flowtally.vendors.printing import Unit
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.clients import COUNTS_KB, client_of
from flowtally.vendors.thordata.parameters import CreateUser, Family, OfFamily, OneUser, UpdateUser, WhichUser
from flowtally.vendors.thordata.wire import IN_KB, IN_MB, ProxyUser, ThordataError, UserList, Written, decimal, show_day

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)

MOST_LISTED: Final = 10_000  # their list has no pages; natively it has
NO_END: Final = 1_000_000  # how many users there may be where there is no limit: the wire needs a number


def is_proxy_user(user: User, family: Family, pools: Pools) -> bool:
    """Whether the dialect knows the user, among those of this family."""
    same = pools.pool_of(user.product or "") == pools.pool_of(family)
    return user.managed and not user.funded and user.status != "deleted" and same


def read_proxy_users(call: DialectCall, names: Sequence[str], family: Family) -> list[User]:
    """Who bears these names now, read together. ThordataError 10020 if one is nobody's, also for an id: their names are
    no ids."""
    known, bearers = read_pools(call.tx), users.users_named(call.tx, call.account, names)
    found = [bearers[name] for name in names if name in bearers and is_proxy_user(bearers[name], family, known)]
    if len(found) < len(names):
        raise ThordataError(wire.NO_SUCH_USER)
    return found


def _read_proxy_user(call: DialectCall, which: WhichUser) -> User:
    [found] = read_proxy_users(call, [which.name], which.family)
    return found


def cap_of(user: User) -> int | None:
    """Its limit in bytes; None where it has none that counts traffic."""
    return user.limit.amount if user.limit is not None and user.limit.unit == "bytes" else None


def whole(cap: int | None, unit: int) -> int:
    """A cap in whole units, as their typed clients need it: 0 means no cap, so the least that one can say is 1."""
    return 0 if cap is None else max(1, cap // unit)


@route(
    "GET",
    "/api/proxy-users/user-list",
    may="users:read",
    summary="List proxy users",
    takes=OfFamily,
    answer=UserList,
    example=UserList(100, 99, 1, [ProxyUser("2025-01-01", "user123", "password123", True, 0, Decimal(0))]),
)
def list_proxy_users(call: DialectCall, given: OfFamily) -> UserList | Adapted:
    """The users of one kind, in the order they were made, with their caps and what they ever used, both in MB; with
    their passwords in clear for a credential of scope `manage`, empty for others. `remaining_limit` is how many users
    of any kind may still be made. Their own Python client (`User-Agent: thordata-python-sdk/...`) is told what was used
    in KB, which is what it reads; the setting `list_unit` says one unit for all."""
    listed, room = listed_users(call, given.family())
    used = lifetime_use(call.tx, call.usage, call.account, [one.user.id for one in listed], LAST_INSTANT)
    bytes_of = {user: sum(one.bytes for one in each.values()) for user, each in used.items()}
    rows = [_row(call, one) for one in listed]

    def show(unit: Unit) -> UserList:
        used = [decimal(unit, unit.steps(bytes_of[one.user.id])) for one in listed]
        shown = [replace(row, usage_traffic=amount) for row, amount in zip(rows, used, strict=True)]
        return UserList(len(listed) + room, room, len(listed), shown)

    wanted = call.settings.list_unit
    if wanted == "client" and client_of(call.asked) in COUNTS_KB:
        return Adapted(show(IN_KB), show(IN_MB))
    return show(IN_KB if wanted == "KB" else IN_MB)


def listed_users(call: DialectCall, family: Family) -> tuple[list[Managed], int]:
    """The users of one kind, in the order they were made, and how many of any kind may still be made. ThordataError
    where there are more than a list without pages can have."""
    pool = read_pools(call.tx).pool_of(family)
    if roster.count_managed(call.tx, call.account, pool=pool, funded=False) > MOST_LISTED:
        raise ThordataError(wire.PARAMETER, f"Parameter error: more than {MOST_LISTED} users")
    return roster.list_managed(call.tx, call.account, pool=pool, funded=False, limit=MOST_LISTED), _room(call)


def _room(call: DialectCall) -> int:
    """How many more proxy users may be made: funded users are none, but count where the installation has a limit."""
    own, every = call.settings.max_users or NO_END, call.services.config.max_users or NO_END
    there = roster.count_managed(call.tx, call.account, funded=False), roster.count_managed(call.tx, call.account)
    return max(0, min(own - there[0], every - there[1]))


def _row(call: DialectCall, one: Managed) -> ProxyUser:
    """All but what it used."""
    return ProxyUser(
        show_day(one.user.created_at, call.settings.timezone),
        one.user.name,
        call.password(one.sealed),
        one.user.status == "active",
        whole(cap_of(one.user), wire.MB),
        Decimal(0),
    )


@route(
    "POST",
    "/api/proxy-users/create-user",
    may="users:write",
    summary="Create a proxy user",
    takes=CreateUser,
    takes_example={"username": "user123", "password": "password123", "traffic_limit": "0", "status": "true"},
    answer=Written,
    example=Written(),
    writes=True,
    effects=(Effect.NAMES,),
)
def create_proxy_user(call: DialectCall, given: CreateUser) -> Written:
    """Its name is borne once in the account. It begins with nothing used, also if traffic under this name came before
    it: that stays the account's. The cap is in MB, 0 is none."""
    user = given.new_user(lenient_limits=call.settings.lenient_limits)
    if call.settings.package_first:
        _require_package(call, user.family)
    managed.create_user(
        call.tx,
        call.account,
        user.name,
        now=call.now,
        product=user.family,
        limit=_limit(user.cap),
        status=_status(user.active),
        password=call.services.vault.seal(user.password),
        most=call.services.config.max_users,
    )
    most = call.settings.max_users
    if most and roster.count_managed(call.tx, call.account, funded=False) > most:
        raise ThordataError(wire.TOO_MANY)
    return Written()


def _limit(cap: int | None) -> Limit | None:
    return None if cap is None else Limit(cap)


def _status(active: bool) -> SetUserStatus:
    return "active" if active else "disabled"


def _require_package(call: DialectCall, family: Family) -> None:
    """10017 without a grant in force for this kind of users; what charges nothing needs none."""
    pools = read_pools(call.tx)
    pool, now = pools.pool_of(family), call.now
    given = [one for one in grants.grants_of(call.tx, call.account) if one.pool == pool and one.voided_at is None]
    in_force = any(one.starts_at <= now and (one.expires_at is None or now < one.expires_at) for one in given)
    if pools.charge(pool) != "nothing" and not in_force:
        raise ThordataError(wire.NO_PACKAGE)


@route(
    "POST",
    "/api/proxy-users/update-user",
    may="users:write",
    summary="Change a proxy user",
    takes=UpdateUser,
    takes_example={"username": "user123", "new_username": "user456", "new_traffic_limit": "500", "new_status": "false"},
    answer=Written,
    example=Written(),
    writes=True,
    effects=(Effect.NAMES,),
)
def update_proxy_user(call: DialectCall, given: UpdateUser) -> Written:
    """What is missing stays as it is. A new name keeps the use so far; a new cap counts all that was ever used."""
    found = _read_proxy_user(call, given.which())
    new = given.changes(lenient_limits=call.settings.lenient_limits)
    managed.change_user(
        call.tx,
        call.account,
        found.id,
        now=call.now,
        name=new.name,
        password=UNSET if new.password is UNSET else call.services.vault.seal(new.password),
        limit=UNSET if new.cap is UNSET else _limit(new.cap),
        status=UNSET if new.active is UNSET else _status(new.active),
    )
    return Written()


@route(
    "POST",
    "/api/proxy-users/delete-user",
    may="users:write",
    summary="Delete a proxy user",
    takes=OneUser,
    takes_example={"username": "user123"},
    answer=Written,
    example=Written(),
    writes=True,
    effects=(Effect.NAMES,),
)
def delete_proxy_user(call: DialectCall, given: OneUser) -> Written:
    """Its name is free from now on; what it used stays on record, and in the account's figures."""
    found = _read_proxy_user(call, given.which())
    delete_managed(call.tx, call.usage, call.account, found.id, now=call.now)
    return Written()

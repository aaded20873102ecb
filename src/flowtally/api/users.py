"""Users of an account: made by hand or with their first event, changed, renamed, deleted; their usage and balance."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, UnsetType

from flowtally.answers.limits import limit_states
from flowtally.answers.statement import lifetime_use, total
from flowtally.answers.user_balance import make_user_balance
from flowtally.api.as_of import EXAMPLE as AS_OF
from flowtally.api.balance import BalanceQuery, instant_of
from flowtally.api.usage import EXAMPLE as USAGE
from flowtally.api.usage import USAGE_ERRORS, UsageQuery, answer_usage
from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import (
    AsOfGone,
    BadRange,
    BadRequest,
    Conflict,
    LimitReached,
    NameTaken,
    NotFound,
    NotYet,
    RowsCompacted,
    UnknownAccount,
    UnknownUser,
    Unprocessable,
)
from flowtally.core.media import ARROW, CSV
from flowtally.funding.user_funds import delete_user as delete_funded_user
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage
from flowtally.ledger.people import managed, names, users
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.people.names import Borne
from flowtally.ledger.people.users import User
from flowtally.protocol import (
    AllocationAnswer,
    LimitSetting,
    LimitState,
    NameAnswer,
    PoolBalance,
    Totals,
    UsageAnswer,
    UserAnswer,
    UserBalanceAnswer,
    UserChange,
    UserRequest,
)
from flowtally.web.call import Call, Reply
from flowtally.web.capacity.weights import of_users
from flowtally.web.lists import Cursor, Limit, show_page
from flowtally.web.operation import Listed, operation
from flowtally.web.transaction import Effect

ID = "usr_0199f2c47b3a7c11a1f0b2c3d4e5f607"
LIMIT = LimitSetting(5_000_000_000, "bytes", "month")
EXAMPLE = UserAnswer(
    ID, "acme", "alice", "2026-03-01T09:31:00Z", "residential", "active", False, LIMIT, has_password=True, managed=True
)


class UsersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    deleted: Annotated[bool, Meta(description="Also users that were deleted.")] = False
    pool: Annotated[
        str | None, Meta(description="Only users whose product this pool pays; without a product: `traffic`.")
    ] = None
    product: Annotated[str | None, Meta(description="Only users of this product.")] = None
    usage: Annotated[bool, Meta(description="Adds all that each user ever used, as `used`.")] = False
    limits: Annotated[bool, Meta(description="Adds where the limit of each user stands now, as `limit_state`.")] = False
    exceeded: Annotated[
        bool, Meta(description="Only users of whose limit nothing is left now, with its `limit_state`.")
    ] = False
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


@operation(
    "POST",
    "/v1/accounts/{account}/users",
    may="users:write",
    summary="Create a user",
    body=UserRequest,
    answer=UserAnswer,
    status=201,
    errors=(UnknownAccount, Conflict, NameTaken, LimitReached, Unprocessable),
    body_example={
        "name": "alice",
        "product": "residential",
        "limit": {"amount": 5_000_000_000, "unit": "bytes", "window": "month"},
        "password": "correct horse battery staple",
    },
    example=EXAMPLE,
    holds_password=True,
    effects=(Effect.NAMES,),
)
def create_user(call: Call, account: str, body: UserRequest) -> UserAnswer:
    """Its name is unique in the account while it is in use. It begins empty. A name that only traffic brought can be
    given to it: use under that name is the new user's from now on, and use dated before stays with the user that
    traffic brought, which is deleted. To take that user over with its use so far, change it (PATCH) instead.

    `funded` (fixed here): the user's use is paid only by what is allocated to it, and left out of the account's
    balance. A `limit` never pays, and it stops no traffic by itself: the list with `exceeded=true` says who is over.
    The `password` is kept encrypted and never answered here. An account has `max_users` managed users at most."""
    return show(
        managed.create_user(
            call.tx,
            account,
            body.name,
            now=call.now,
            product=body.product,
            limit=limit_of(body.limit),
            funded=body.funded,
            status=body.status,
            password=None if body.password is None else call.services.vault.seal(body.password),
            most=call.services.config.max_users,
        )
    )


@operation(
    "GET",
    "/v1/accounts/{account}/users",
    may="users:read",
    summary="List users",
    query=UsersQuery,
    weigh=of_users,
    answer=Listed(UserAnswer),
    errors=(UnknownAccount, NotFound),
    example={"items": [EXAMPLE], "next": None},
)
def list_users(call: Call, account: str, query: UsersQuery) -> ListPage[UserAnswer]:
    """In the order they were made. `id` never changes; `name` is what the user is called now, or was last.

    A limit counts, it stops nothing by itself: ask for those who are over (`exceeded`), or for one user's balance, and
    let your proxy refuse. A page of `exceeded` may have fewer items than `limit`, or none, and still a `next`."""
    told = _Limits(call, account)
    page = users.list_users(
        call.tx,
        account,
        query.cursor,
        query.limit,
        deleted=query.deleted,
        pool=query.pool,
        product=query.product,
        over=told.exceeded if query.exceeded else None,
    )
    if query.limits and not query.exceeded:
        told.ask(page.items)
    used: dict[str, Totals] = {}
    if query.usage:
        ids = [one.id for one in page.items]
        by_pool = lifetime_use(call.tx, call.usage, account, ids, call.now)
        used = {id: total(pools.values()) for id, pools in by_pool.items()}
    return show_page(
        page,
        lambda one: msgspec.structs.replace(show(one), used=used.get(one.id), limit_state=told.states.get(one.id)),
    )


class _Limits:
    """Where the limits of the users of one list stand, from one question."""

    def __init__(self, call: Call, account: str) -> None:
        self._call, self._account = call, account
        self.states: dict[str, LimitState] = {}

    def ask(self, listed: list[User]) -> None:
        account = read_account(self._call.tx, self._account)
        self.states = limit_states(account, self._call.usage, listed, self._call.now)

    def exceeded(self, listed: list[User]) -> list[bool]:
        self.ask(listed)
        return [self.states[one.id].exceeded for one in listed]


@operation(
    "GET",
    "/v1/accounts/{account}/users/{user}",
    may="users:read",
    summary="Read a user",
    answer=UserAnswer,
    errors=(UnknownUser,),
    example=EXAMPLE,
)
def read_user(call: Call, account: str, user: str) -> UserAnswer:
    """By id, also when it was deleted, or by present name."""
    return show(users.read_user(call.tx, account, user))


@operation(
    "PATCH",
    "/v1/accounts/{account}/users/{user}",
    may="users:write",
    summary="Change or rename a user",
    body=UserChange,
    answer=UserAnswer,
    errors=(UnknownAccount, UnknownUser, Conflict, NameTaken, Unprocessable),
    body_example={"name": "alice.b", "limit": None, "status": "active"},
    example=EXAMPLE,
    holds_password=True,
    effects=(Effect.NAMES,),
)
def change_user(call: Call, account: str, user: str, body: UserChange) -> UserAnswer:
    """What is left out stays; null takes a product, limit or password away. Use under a new name is the user's from
    now on, use dated before stays whose it was. The name given up is free at once: use dated from now on under it is
    somebody else's. A name that only traffic brought can be the new one; who bore it is deleted, with its past. What
    is set about a user that only traffic brought makes it a managed one, with its use so far."""
    password = body.password
    return show(
        managed.change_user(
            call.tx,
            account,
            user,
            now=call.now,
            name=body.name,
            product=body.product,
            limit=body.limit if isinstance(body.limit, UnsetType) else limit_of(body.limit),
            status=body.status,
            password=call.services.vault.seal(password) if isinstance(password, str) else password,
        )
    )


@operation(
    "DELETE",
    "/v1/accounts/{account}/users/{user}",
    may="users:write",
    summary="Delete a user",
    answer=UserAnswer,
    errors=(UnknownAccount, UnknownUser),
    example=msgspec.structs.replace(EXAMPLE, status="deleted", has_password=False),
    effects=(Effect.NAMES,),
)
def delete_user(call: Call, account: str, user: str) -> UserAnswer:
    """Its name is free from now on, its whitelists are gone; its use stays in the account's history. What a funded
    user has not spent goes back to the account. A second time, by id, changes nothing."""
    return show(delete_funded_user(call.tx, call.usage, account, user, now=call.now))


@operation(
    "GET",
    "/v1/accounts/{account}/users/{user}/names",
    may="users:read",
    summary="List the names of a user",
    answer=Listed(NameAnswer),
    errors=(UnknownUser,),
    example={"items": [NameAnswer("alice", None, "2026-04-01T00:00:00Z")], "next": None},
)
def list_user_names(call: Call, account: str, user: str) -> ListPage[NameAnswer]:
    """All of them, the last one last; none of a user that was erased. An event belongs to whoever bore its user's name
    at the event's own time; the first user of a name has had it from the beginning."""
    borne = names.names_borne(call.tx, users.read_user(call.tx, account, user).id)
    return ListPage([show_name(one) for one in borne], None)


@operation(
    "GET",
    "/v1/accounts/{account}/users/{user}/usage",
    may="usage:read",
    summary="Usage of a user by calendar span",
    query=UsageQuery,
    answer=UsageAnswer,
    errors=USAGE_ERRORS,
    also=(CSV, ARROW),
    example=USAGE,
)
def read_user_usage(call: Call, account: str, user: str, query: UsageQuery) -> UsageAnswer | Reply:
    """As the account's usage, of this user only, whatever it was called then. `user` as a parameter makes no sense
    here and is refused."""
    if query.user:
        raise BadRequest("user: the path names the user already.", parameter="user")
    found = users.read_user(call.tx, account, user, call.moment.known)
    return answer_usage(call, account, query, user_ids=(found.id,))


@operation(
    "GET",
    "/v1/accounts/{account}/users/{user}/balance",
    may="balance:read",
    summary="What a user has left",
    query=BalanceQuery,
    answer=UserBalanceAnswer,
    errors=(BadRange, NotYet, UnknownAccount, UnknownUser, AsOfGone, RowsCompacted),
    example=UserBalanceAnswer(
        "acme",
        "bob",
        "usr_0199f2c47b3a7c11a1f0b2c3d4e5f608",
        "2026-03-15T00:00:00Z",
        "active",
        True,
        LimitState("bytes", "month", 5_000_000_000, 51_200, 4_999_948_800, False, "2026-04-01T00:00:00Z"),
        {"traffic": PoolBalance("bytes", 10_000_000_000, 51_200, 9_999_948_800, 0, 0, 0, 0, 0, 0)},
        [
            AllocationAnswer(
                id="alc_0199f2c47b3a7c11a1f0b2c3d4e5f609",
                account="acme",
                user="bob",
                user_id="usr_0199f2c47b3a7c11a1f0b2c3d4e5f608",
                pool="traffic",
                amount=10_000_000_000,
                returned=0,
                created_at="2026-03-01T09:31:00Z",
                spent=51_200,
                left=9_999_948_800,
            )
        ],
        AS_OF,
    ),
)
def read_user_balance(call: Call, account: str, user: str, query: BalanceQuery) -> UserBalanceAnswer:
    """Where it stands with its limit, in the window that holds `at` (days and months of the account's zone); and, of a
    funded user, its own balances, like the account's. The account pays for all others: they have none.

    `as_of` as for the account: use of blocks up to that moment, what was allocated and taken back by then, and the
    name, status and limit that the user had."""
    return make_user_balance(
        call.tx, call.usage, account, user, instant_of(call, query), call.moment, tell_never_paid=True
    )


def show(user: User) -> UserAnswer:
    return UserAnswer(
        id=user.id,
        account=user.account,
        name=user.name,
        created_at=format_instant(user.created_at),
        product=user.product,
        status=user.status,
        funded=user.funded,
        limit=None if user.limit is None else LimitSetting(user.limit.amount, user.limit.unit, user.limit.window),
        has_password=user.has_password,
        managed=user.managed,
        erased_at=format_if_any(user.erased_at),
    )


def show_name(borne: Borne) -> NameAnswer:
    start, end = borne.start, borne.end
    return NameAnswer(borne.name, None if start == 0 else format_instant(start), format_if_any(end))


def limit_of(setting: LimitSetting | None) -> users.Limit | None:
    return None if setting is None else users.Limit(setting.amount, setting.unit, setting.window)

"""`flowtally user`: proxy users, sub-accounts and API consumers inside an account."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from msgspec import UNSET

from flowtally.cli import ask, erasing
from flowtally.cli.account import Account
from flowtally.cli.dates import FROM, TO, At, Dates
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.hidden import hidden
from flowtally.cli.once import Once, given_once
from flowtally.cli.show import chart, output, unpaid
from flowtally.cli.show.chart import GAUGE
from flowtally.cli.show.output import AsOf, Json, document, facts, printable, raw, say, table, when
from flowtally.cli.show.quantities import REQUESTS, Write, in_one_unit, in_words
from flowtally.cli.show.quantities import amount as parse
from flowtally.cli.usage import names_in, show_usage
from flowtally.client import Client, UsageQuestion, calls
from flowtally.core.units import human_bytes, human_count
from flowtally.core.words import Bucket, LimitWindow, SetUserStatus, Unit
from flowtally.protocol import (
    AllocationAnswer,
    AllocationRequest,
    LimitSetting,
    LimitState,
    ReturnRequest,
    UserAnswer,
    UserBalanceAnswer,
    UserChange,
    UserRequest,
)

commands = typer.Typer(
    name="user",
    help="Users of an account: create, change, rename and delete them; limits and balances.",
    cls=CommandGroup,
)

COLUMNS: Final = ("id", "name", "status", "product", "limit", "funded", "created")
ALLOCATIONS: Final = ("id", "pool", "amount", "returned", "spent", "left", "expired", "made", "expires")
CREATE: Final = """\
\b
Examples:
  flowtally user create acme alice --limit 5GB --window month
  flowtally user create acme shop-7 --funded
  flowtally user create acme bob --product residential --password < bob.txt
"""
LIST: Final = """\
\b
Examples:
  flowtally user list acme
  flowtally user list acme --exceeded
"""
CHANGE: Final = """\
\b
Examples:
  flowtally user change acme alice --limit 10GB --window month
  flowtally user change acme alice --no-limit --status disabled
"""
ALLOCATE: Final = """\
\b
Examples:
  flowtally user allocate acme shop-7 10GB --once order-4711
  flowtally user allocate acme shop-7 10GB --expires 2026-10-01T00:00:00Z
"""
ERASE: Final = """\
\b
Examples:
  flowtally user erase acme alice --yes
  flowtally user erase acme usr_0199f2c47b3a7c11a1f0b2c3d4e5f607 --yes --json

\b
Backups and exports that were made before still hold the name and the labels.
Stopping this command with Ctrl-C does not stop the server, which goes on.
"""

User = Annotated[str, typer.Argument(metavar="USER", help="The user's id or present name.")]
Amount = Annotated[
    str, typer.Argument(metavar="AMOUNT", help="Such as 100GB or 1.5GiB, or a plain number of bytes or requests.")
]
LimitAmount = Annotated[
    str | None,
    typer.Option(
        "--limit",
        help="The most it should use, such as 5GB or a plain number. flowtally counts; it does not stop traffic.",
    ),
]
LimitUnit = Annotated[Unit, typer.Option("--unit", help="What the limit counts.")]
Window = Annotated[
    LimitWindow,
    typer.Option(
        "--window",
        help="The time that the limit is for: all use (lifetime), or each day or month in the account's time zone.",
    ),
]
Product = Annotated[str | None, typer.Option("--product", help="The product that the user is for.")]
Password = Annotated[
    bool,
    typer.Option(
        "--password", help="Set a password. The command asks for it, or reads the first line of standard input."
    ),
]


@commands.command("create", epilog=CREATE)
def create(
    account: Account,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The user's name. Two users of an account cannot have the same name at the same time."
        ),
    ],
    product: Product = None,
    limit: LimitAmount = None,
    unit: LimitUnit = "bytes",
    window: Window = "lifetime",
    funded: Annotated[
        bool,
        typer.Option(
            "--funded",
            help="Give the user a balance of its own, filled with `flowtally user allocate`. This "
            "cannot be changed later.",
        ),
    ] = False,
    password: Password = False,
    json: Json = False,
) -> None:
    """Create a user. If traffic has already made a user with this name, you manage that user from now on."""
    request = UserRequest(
        name=name,
        product=product,
        limit=None if limit is None else LimitSetting(parse(limit), unit, window),
        funded=funded,
        password=_ask_password() if password else None,
    )
    with ask.client() as client:
        _show(client.create_user(account, request), json)


@commands.command("list", epilog=LIST)
def list_all(
    account: Account,
    deleted: Annotated[bool, typer.Option("--deleted", help="Also users that were deleted.")] = False,
    pool: Annotated[str | None, typer.Option("--pool", help="Only users whose product belongs to this pool.")] = None,
    product: Annotated[str | None, typer.Option("--product", help="Only users of this product.")] = None,
    used: Annotated[bool, typer.Option("--usage", help="Also show what each user has used in total.")] = False,
    exceeded: Annotated[bool, typer.Option("--exceeded", help="Only users who are over their limit now.")] = False,
    json: Json = False,
) -> None:
    """List all users of an account, and who of them is disabled or over the limit. Most are made the first time their
    name is seen. flowtally counts; it does not stop traffic by itself: let your proxy refuse those users."""
    with ask.client() as client:
        which = {"deleted": deleted, "usage": used, "limits": True, "exceeded": exceeded}
        found = list(client.users(account, pool=pool, product=product, **which))
    if json:
        document(found)
        return
    if exceeded and not found:
        say("Nobody is over a limit.")
        return
    if used:
        table((*COLUMNS, "used", "requests"), [(*_row(one), *_used(one)) for one in found], right=frozenset({7, 8}))
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command("show", epilog=example("flowtally user show acme alice"))
def show(account: Account, user: User, json: Json = False) -> None:
    """Show one user, and its earlier names."""
    with ask.client() as client:
        found = client.user(account, user)
        if json:
            document(found)
            return
        names = list(client.user_names(account, found.id))
    _show(found, json)
    for one in names[:-1]:
        say(f"called {printable(one.name)} until {one.end}")


@commands.command("password", epilog=example("flowtally user password acme alice"))
def password(account: Account, user: User, json: Json = False) -> None:
    """Print a user's password, in clear text, on one line."""
    with ask.client() as client:
        found = client.user_password(account, user)
    if json:
        document(found)
        return
    raw(f"{found.password}\n")


@commands.command("change", epilog=CHANGE)
def change(
    account: Account,
    user: User,
    product: Product = None,
    no_product: Annotated[bool, typer.Option("--no-product", help="Take the product away.")] = False,
    limit: LimitAmount = None,
    unit: LimitUnit = "bytes",
    window: Window = "lifetime",
    no_limit: Annotated[bool, typer.Option("--no-limit", help="Take the limit away.")] = False,
    status: Annotated[
        SetUserStatus | None, typer.Option("--status", help="The new status. It stops no traffic by itself.")
    ] = None,
    password: Password = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="Take the password away.")] = False,
    json: Json = False,
) -> None:
    """Change what you give, and nothing else. A new limit replaces the old one, with its unit and window. Neither a
    limit nor a status stops traffic by itself: ask who is over (`flowtally user list ACCOUNT --exceeded`), and let
    your proxy refuse."""
    for given, taken, option in (
        (product is not None, no_product, "product"),
        (limit is not None, no_limit, "limit"),
        (password, no_password, "password"),
    ):
        if given and taken:
            raise typer.BadParameter(f"choose one of --{option} and --no-{option}")
    wanted = UserChange(
        product=None if no_product else UNSET if product is None else product,
        limit=None if no_limit else UNSET if limit is None else LimitSetting(parse(limit), unit, window),
        status=UNSET if status is None else status,
        password=None if no_password else _ask_password() if password else UNSET,
    )
    with ask.client() as client:
        _show(client.change_user(account, user, wanted), json)


@commands.command("rename", epilog=example("flowtally user rename acme alice alice.b"))
def rename(
    account: Account,
    user: User,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    json: Json = False,
) -> None:
    """Give a user another name from now on. Its use so far stays its own; the old name is free again."""
    with ask.client() as client:
        _show(client.change_user(account, user, UserChange(name=name)), json)


@commands.command("delete", epilog=example("flowtally user delete acme alice"))
def delete(account: Account, user: User, json: Json = False) -> None:
    """Delete a user: its name is free from now on. Its use stays on record. A funded user's unspent amount goes back
    to the account."""
    with ask.client() as client:
        _show(client.delete_user(account, user), json)


@commands.command("erase", epilog=ERASE)
def erase(
    account: Account,
    user: User,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Erasing cannot be undone.")] = False,
    json: Json = False,
) -> int:
    """Erase a user's name and labels for ever. No total changes. A user that is in use is deleted, too."""
    if not yes:
        typer.confirm(f"Erase the name and all labels of {printable(user)} for ever?", abort=True, err=True)
    with ask.client() as client:
        asked = client.erase_user(account, user)
        answer = erasing.finished(asked, lambda: client.erasure(account, asked.user_id))
    return erasing.show(answer, answer.user, "The name is gone", json)


@commands.command("allocate", epilog=ALLOCATE)
def allocate(
    account: Account,
    user: User,
    amount: Amount,
    pool: Annotated[str, typer.Option("--pool", help="The pool: products that the same grants pay for.")] = "traffic",
    expires: Annotated[
        str | None, typer.Option("--expires", help="End of validity: a date or an instant (RFC 3339). Default: never.")
    ] = None,
    once: Once = None,
    json: Json = False,
) -> None:
    """Give traffic of the account to a funded user. This is refused if the account's balance does not cover it."""
    with ask.client() as client:
        request = AllocationRequest(parse(amount), pool, Dates(client, account).instant(expires))
        made = given_once(client, calls.allocate(account, user, request, once=once))
        _show_allocation(client, made, json)


@commands.command(
    "return", epilog=example("flowtally user return acme shop-7 alc_0199f2c47b3a7c11a1f0b2c3d4e5f609 4GB")
)
def take_back(
    account: Account,
    user: User,
    allocation: Annotated[
        str, typer.Argument(metavar="ALLOCATION", help="The allocation's id, from `flowtally user balance`.")
    ],
    amount: Annotated[
        str | None,
        typer.Argument(
            metavar="AMOUNT",
            help="Such as 100GB or 1.5GiB, or a plain number of bytes or requests. Default: all that is unspent.",
        ),
    ] = None,
    once: Once = None,
    json: Json = False,
) -> None:
    """Take back what a funded user has not spent of an allocation."""
    with ask.client() as client:
        request = ReturnRequest(amount=None if amount is None else parse(amount))
        back = given_once(client, calls.take_back(account, user, allocation, request, once=once))
        _show_allocation(client, back, json)


@commands.command("usage", epilog=example("flowtally user usage acme alice --from 2026-07-01 --bucket month"))
def usage(
    account: Account,
    user: User,
    start: Annotated[str | None, typer.Option("--from", help=FROM)] = None,
    end: Annotated[str | None, typer.Option("--to", help=TO)] = None,
    tz: Annotated[
        str | None,
        typer.Option("--tz", help="Time zone of the days (IANA), such as Asia/Kolkata. Default: the account's."),
    ] = None,
    bucket: Annotated[Bucket, typer.Option("--bucket", help="The length of one row of the answer.")] = "day",
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Split by product, status, source or label:NAME. Repeatable.")
    ] = None,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    """Show what a user used, also under earlier names."""
    with ask.client() as client:
        dates = Dates(client, account, tz)
        start, end = dates.range(start, end)
        known = dates.known(as_of)
        question = UsageQuestion(start=start, end=end, tz=tz, bucket=bucket, by=names_in(by), as_of=known)
        answer = client.user_usage(account, user, **question)
    if json:
        document(answer)
    else:
        show_usage(answer, past=as_of is not None)


@commands.command("balance", epilog=example("flowtally user balance acme alice"))
def balance(
    account: Account,
    user: User,
    at: At = None,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    """Show what is left of a user's limit, and of a funded user's own balance."""
    with ask.client() as client:
        dates = Dates(client, account)
        answer = client.user_balance(account, user, at=dates.instant(at), as_of=dates.known(as_of))
    if json:
        document(answer)
        return
    show_balance(answer, past=as_of is not None)


def show_balance(answer: UserBalanceAnswer, *, past: bool = False) -> None:
    """The limit with a bar of what is left of it, then the purses with their allocations."""
    known = f", as known at block {answer.as_of.block}" if past and answer.as_of else ""
    say(f"{printable(answer.user)} of {printable(answer.account)} at {answer.at}{known}", style="bold")
    writes = {unit: in_one_unit(unit, _all_in(answer, unit)) for unit in ("bytes", "requests")}
    if answer.status != "active":
        say(answer.status, style="yellow")
    if answer.limit is not None:
        say(_limit_line(answer.limit, writes[answer.limit.unit]), style="yellow" if answer.limit.exceeded else "green")
    if not answer.funded:
        say(f"{'' if answer.limit else 'No limit. '}{printable(answer.account)} pays for its use.")
    for name, pool in answer.pools.items():
        write = writes[pool.unit]
        bar = chart.gauge(pool.left, pool.left + pool.spent, GAUGE, unicode=output.unicode_blocks())
        over = f", {write(pool.overage)} over" if pool.overage else ""
        say(f"{printable(name)}  {bar}  {write(pool.left)} left{over}", style="yellow" if pool.overage else "green")
    if answer.allocations:
        units = {name: pool.unit for name, pool in answer.pools.items()}
        rows = [_allocation(one, writes[units[one.pool]]) for one in answer.allocations]
        table(ALLOCATIONS, rows, right=frozenset({2, 3, 4, 5, 6}))
    unpaid.show(answer.account, answer.never_paid, user=answer.user)


def _all_in(answer: UserBalanceAnswer, unit: str) -> Iterator[int]:
    """The figures of the screen that are in this unit."""
    if answer.limit is not None and answer.limit.unit == unit:
        yield from (answer.limit.left, answer.limit.used, answer.limit.limit)
    for pool in answer.pools.values():
        if pool.unit == unit:
            yield from (pool.left, pool.overage)
    for one in answer.allocations:
        if answer.pools[one.pool].unit == unit:
            yield from _counts(one)


def _limit_line(state: LimitState, write: Write) -> str:
    bar = chart.gauge(state.left, state.limit, GAUGE, unicode=output.unicode_blocks())
    until = f", resets at {state.resets_at}" if state.resets_at else ""
    limit = in_words(state.limit, state.unit) if state.unit == REQUESTS else write(state.limit)
    used = f"{write(state.used)} of {limit} per {state.window} used"
    return f"limit  {bar}  {write(state.left)} left: {used}{until}"


def _ask_password() -> str:
    """Never an argument: those are seen by every user of the machine and kept by the shell."""
    if sys.stdin.isatty():
        return hidden("Password: ")
    return sys.stdin.readline().rstrip("\r\n")


def _limit(limit: LimitSetting | None) -> str:
    return "" if limit is None else f"{in_words(limit.amount, limit.unit)} per {limit.window}"


def _row(one: UserAnswer) -> tuple[str, ...]:
    funded = "yes" if one.funded else ""
    status = f"{one.status}, over limit" if one.limit_state is not None and one.limit_state.exceeded else one.status
    return one.id, one.name, status, one.product or "", _limit(one.limit), funded, when(one.created_at)


def _used(one: UserAnswer) -> tuple[str, str]:
    return ("", "") if one.used is None else (human_bytes(one.used.bytes), human_count(one.used.requests))


def _show(one: UserAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    row = dict(zip(("user", *COLUMNS[1:]), _row(one), strict=True))
    facts(row | {"password": "set" if one.has_password else "", "managed": "" if one.managed else "not yet"})


def _show_allocation(client: Client, one: AllocationAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    pool = client.user_balance(one.account, one.user_id).pools.get(one.pool)
    values = _allocation(one, in_one_unit(pool.unit if pool else None, _counts(one)))
    facts({"user": one.user} | dict(zip(("allocation", *ALLOCATIONS[1:]), values, strict=True)))


def _allocation(one: AllocationAnswer, write: Write) -> tuple[str, ...]:
    counts = (one.amount, one.returned, one.spent, one.left, one.expired)
    told = ("" if count is None else write(count) for count in counts)
    return one.id, one.pool, *told, when(one.created_at), when(one.expires_at) or "never"


def _counts(one: AllocationAnswer) -> Iterator[int]:
    yield from (n for n in (one.amount, one.returned, one.spent, one.left, one.expired) if n is not None)

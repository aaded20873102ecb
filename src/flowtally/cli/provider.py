"""`flowtally provider`: accounts at vendors, asked with the customer's own key, and what they say."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import UNSET

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.hidden import hidden
from flowtally.cli.show.output import Json, document, facts, note, say, table, when
from flowtally.cli.show.quantities import human
from flowtally.cli.show.steps import Steps
from flowtally.client import Client
from flowtally.core.errors import Unprocessable
from flowtally.core.units import counted, human_money
from flowtally.protocol import (
    ProviderAnswer,
    ProviderBalanceAnswer,
    ProviderChange,
    ProviderCheckAnswer,
    ProviderRequest,
    VendorInfo,
    VendorSetting,
)

commands = typer.Typer(
    name="provider", help="Providers: accounts at vendors, and what the vendors say.", cls=CommandGroup
)

ADD: Final = """\
\b
Examples:
  flowtally provider add thor --account acme --vendor thordata             (asks for the token)
  flowtally provider add thor --account acme --vendor thordata --secrets thor.env --set grain=hour
  flowtally provider add wp --account acme --vendor whitepages --since 2026-01-01 < key.env

\b
A file of secrets, or standard input, has a line NAME=VALUE for each. `flowtally provider vendors` lists the names.
"""
COLUMNS: Final = ("provider", "account", "vendor", "state", "told until", "asked", "next", "detail")
PATIENCE_S: Final = 600  # of `pull`: longer than most vendors take for everything
Name = Annotated[str, typer.Argument(metavar="NAME", help="The provider's name.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="What its vendor wants to know. Repeat it.")
]
Secrets = Annotated[
    Path | None,
    typer.Option(
        "--secrets", metavar="FILE", help="A file with a line NAME=VALUE for each secret. Default: asks for them, or "
        "reads standard input.",
    ),
]  # fmt: skip
Gone = Annotated[bool, typer.Option("--gone", help="Also what the vendor lists no more.")]


@commands.command("vendors", epilog=example("flowtally provider vendors"))
def vendors(json: Json = False) -> None:
    """List the vendors whose accounts can be connected, and what each must be told."""
    with ask.client() as client:
        found = client.vendors()
    if json:
        document(found)
        return
    for number, one in enumerate(found):
        if number:
            say()
        say(f"{one.vendor}  {one.title}, asked at {one.address}", style="bold")
        for each in one.secrets:
            say(f"  {each.name} (secret): {_meaning(each)}")
        for each in one.settings:
            say(f"  {each.name}: {_meaning(each)}")


def _meaning(one: VendorSetting) -> str:
    choices = f" One of {', '.join(one.choices)}." if one.choices else ""
    default = "" if one.default is None else f" Default: {one.default or 'none'}."
    return f"{one.meaning.rstrip('.')}.{choices}{default}"


@commands.command("add", epilog=ADD)
def add(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A name of your own: small letters, digits, dots, dashes. It stays for ever."
        ),
    ],
    vendor: Annotated[str, typer.Option("--vendor", help="Which vendor, from `flowtally provider vendors`.")],
    account: Annotated[
        str | None, typer.Option("--account", help="The account it belongs to. Default: the key's own.")
    ] = None,
    secrets: Secrets = None,
    settings: Settings = None,
    since: Annotated[
        str | None, typer.Option("--since", help="From when on usage is wanted. Default: at most 90 days back.")
    ] = None,
    every: Annotated[int | None, typer.Option("--every", metavar="SECONDS", help="Seconds between two pulls.")] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Ask there instead of at the vendor's own address (administrators).")
    ] = None,
    check: Annotated[bool, typer.Option(help="Make a test call at once.")] = True,
    json: Json = False,
) -> None:
    """Connect an account at a vendor. Its secrets are kept encrypted and never shown; a test call says whether they
    work. What the vendor says becomes a series of this name."""
    with ask.client() as client:
        whose = account or _own_account(client)
        known = _vendor(client, vendor)
        request = ProviderRequest(
            name, vendor, _secrets(known, secrets), _settings(settings or ()), since, every, address
        )
        made = client.add_provider(whose, request)
        seen = _checked(client, made) if check else None
        if json:
            document({"provider": made, "check": seen})
        else:
            _show(made)
            if seen is not None:
                _tell(seen)
    if seen is not None and seen.outcome != "ok":
        raise typer.Exit(1)


@commands.command("list", epilog=example("flowtally provider list"))
def list_all(
    account: Annotated[str | None, typer.Option("--account", help="Only those of this account.")] = None,
    removed: Annotated[bool, typer.Option("--removed", help="Also providers that were removed.")] = False,
    json: Json = False,
) -> None:
    """List providers, how each is, and up to when its usage is known."""
    with ask.client() as client:
        whose = account or client.own_credential().account
        found = list(client.providers(whose, removed=removed))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command("show", epilog=example("flowtally provider show thor"))
def show(name: Name, json: Json = False) -> None:
    """Show one provider, its settings and its last pulls."""
    with ask.client() as client:
        found = client.find_provider(name)
        pulls = list(client.provider_pulls(found.account, name))
    if json:
        document({"provider": found, "pulls": pulls})
        return
    _show(found)
    if pulls:
        say()
        rows = [
            (when(one.began_at), one.outcome, str(one.calls), f"{one.figures:,}", f"{one.changed:,}", one.detail)
            for one in pulls[-10:]
        ]
        table(("pull", "came to", "calls", "figures", "changed", "why"), rows, right=frozenset({2, 3, 4}))


@commands.command("check", epilog=example("flowtally provider check thor"))
def check(name: Name, json: Json = False) -> None:
    """Make a test call, and say whether its secrets work and what they can see."""
    with ask.client() as client:
        seen = _checked(client, client.find_provider(name))
    if json:
        document(seen)
    else:
        _tell(seen)
    if seen.outcome != "ok":
        raise typer.Exit(1)


def _checked(client: Client, one: ProviderAnswer) -> ProviderCheckAnswer:
    """It takes as long as the vendor wants between its calls: who waits is told for what."""
    with Steps() as steps:
        steps.show(f"Asking {one.vendor} what {one.name} can see")
        return client.check_provider(one.account, one.name)


@commands.command("pull", epilog=example("flowtally provider pull thor"))
def pull(
    name: Name,
    wait: Annotated[bool, typer.Option(help="Wait until it was asked.")] = True,
    json: Json = False,
) -> None:
    """Have a provider asked now, and tell what came of it."""
    with ask.client() as client:
        before = client.find_provider(name)
        asked = client.pull_provider(before.account, name)
        if wait:
            with Steps() as steps:
                steps.show(f"Asking {before.vendor} for what is new of {name}")
                asked = _pulled(client, asked)
    if json:
        document(asked)
    else:
        _show(asked)
    if wait and asked.state != "ok":
        raise typer.Exit(1)


def _pulled(client: Client, asked: ProviderAnswer) -> ProviderAnswer:
    """When the pull that was asked for has ended: not one that was under way, after which its turn is still to come."""
    until = time.monotonic() + PATIENCE_S
    pause_s = 0.2
    while time.monotonic() < until:
        found = client.provider(asked.account, asked.name)
        if (found.tried_at != asked.tried_at and found.next_at != asked.next_at) or found.removed_at is not None:
            return found
        time.sleep(pause_s)
        pause_s = min(2.0, pause_s * 1.5)
    note(f"{asked.name} is still being asked; `flowtally provider show {asked.name}` tells how it went.")
    raise typer.Exit(1)


@commands.command("change", epilog=example("flowtally provider change thor --secrets new.env"))
def change(
    name: Name,
    secrets: Secrets = None,
    ask_secrets: Annotated[
        bool, typer.Option("--ask", help="Ask for new secrets, or read them from standard input.")
    ] = False,
    settings: Settings = None,
    every: Annotated[int | None, typer.Option("--every", metavar="SECONDS", help="Seconds between two pulls.")] = None,
    pause: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Ask it no more by the clock, or again.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Ask there; empty: at the vendor's own address (administrators).")
    ] = None,
    json: Json = False,
) -> None:
    """Change a provider. With other secrets or settings it is asked at once."""
    with ask.client() as client:
        was = client.find_provider(name)
        known = _vendor(client, was.vendor)
        wanted = ProviderChange(
            secrets=_secrets(known, secrets) if secrets or ask_secrets else UNSET,
            settings=UNSET if settings is None else was.settings | _settings(settings),
            every_s=UNSET if every is None else every,
            paused=UNSET if pause is None else pause,
            address=UNSET if address is None else address,
        )
        changed = client.change_provider(was.account, name, wanted)
    if json:
        document(changed)
        return
    _show(changed)


@commands.command("remove", epilog=example("flowtally provider remove thor"))
def remove(name: Name, json: Json = False) -> None:
    """Ask it no more and destroy its secrets. What it said stays, and nobody else gets its name."""
    with ask.client() as client:
        gone = client.remove_provider(client.find_provider(name).account, name)
    if json:
        document(gone)
        return
    _show(gone)


@commands.command("balance", epilog=example("flowtally provider balance thor"))
def balance(name: Name, json: Json = False) -> None:
    """What the vendor says is left, and when it runs out."""
    with ask.client() as client:
        found = client.provider_balance(client.find_provider(name).account, name)
    if json:
        document(found)
        return
    _show_balance(found)


@commands.command("grants", epilog=example("flowtally provider grants thor"))
def grants(name: Name, gone: Gone = False, json: Json = False) -> None:
    """List the grants that the vendor tells."""
    with ask.client() as client:
        found = list(client.provider_grants(client.find_provider(name).account, name, gone=gone))
    if json:
        document(found)
        return
    rows = [
        (
            one.id,
            one.kind,
            one.order,
            human(one.amount, one.quantity),
            human(one.used, one.quantity),
            human(one.left, one.quantity),
            when(one.created_at) or one.raw_created,
            when(one.expires_at) or one.raw_expires,
            one.standing if one.gone_at is None else f"gone {when(one.gone_at)}",
        )
        for one in found
    ]
    columns = ("grant", "kind", "order", "amount", "used", "left", "given", "ends", "is")
    table(columns, rows, right=frozenset({3, 4, 5}))


@commands.command("sub-users", epilog=example("flowtally provider sub-users thor"))
def sub_users(name: Name, gone: Gone = False, json: Json = False) -> None:
    """List the sub-users that the vendor tells."""
    with ask.client() as client:
        found = list(client.provider_sub_users(client.find_provider(name).account, name, gone=gone))
    if json:
        document(found)
        return
    rows = [
        (
            one.name,
            "enabled" if one.enabled else "disabled",
            "" if one.limit is None else human(one.limit, "bytes"),
            "" if one.used is None else human(one.used, "bytes"),
            "" if one.gone_at is None else when(one.gone_at),
        )
        for one in found
    ]
    table(("sub-user", "is", "limit", "used", "gone"), rows, right=frozenset({2, 3}))


def _own_account(client: Client) -> str:
    """The account of the key that asks."""
    own = client.own_credential().account
    if own is None:
        raise typer.BadParameter(
            "This key is of no account: say which the provider belongs to.", param_hint="--account"
        )
    return own


def _vendor(client: Client, vendor: str) -> VendorInfo:
    found = {one.vendor: one for one in client.vendors()}
    if vendor not in found:
        raise typer.BadParameter(f"{vendor[:80]!r}: one of {', '.join(found)}.", param_hint="--vendor")
    return found[vendor]


def _secrets(vendor: VendorInfo, file: Path | None) -> dict[str, str]:
    """By name: from the file, from a terminal that is asked, or from standard input. They stand in no argument, which
    others on the machine could read."""
    if file is not None:
        return _read_secrets(vendor, file.read_text().splitlines(), str(file))
    if not sys.stdin.isatty():
        return _read_secrets(vendor, sys.stdin.read().splitlines(), "standard input")
    found = {}
    for one in vendor.secrets:
        optional = "" if one.default is None else ", or nothing"
        given = hidden(f"{vendor.title} {one.name} ({one.meaning.rstrip('.')}{optional}): ")
        if given:
            found[one.name] = given
    return found


def _read_secrets(vendor: VendorInfo, lines: Iterable[str], where: str) -> dict[str, str]:
    """Nothing of a line is told that is not as it should be: all of it may be the secret."""
    names = [one.name for one in vendor.secrets]
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name not in names:
            raise Unprocessable(f"line {number} of {where} is not NAME=VALUE with a NAME of {', '.join(names)}")
        if name in found:
            raise Unprocessable(f"line {number} of {where} says {name} a second time")
        found[name] = value
    return found


def _settings(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, one in enumerate(given, start=1):
        name, equals, value = (part.strip() for part in one.partition("="))
        if not equals or not name:
            raise typer.BadParameter(f"number {number} is not NAME=VALUE.", param_hint="--set")
        found[name] = value
    return found


def _row(one: ProviderAnswer) -> tuple[str, ...]:
    state = "paused" if one.paused and one.removed_at is None else one.state.replace("_", " ")
    return (
        one.name,
        one.account,
        one.vendor,
        state,
        when(one.told_until),
        when(one.tried_at),
        _next(one),
        one.detail,
    )


def _next(one: ProviderAnswer) -> str:
    """Its time may have come: then others have theirs before it, or it is being asked."""
    if one.next_at is None or datetime.fromisoformat(one.next_at).timestamp() > time.time():
        return when(one.next_at)
    return "now"


def _show(one: ProviderAnswer) -> None:
    values = dict(zip(COLUMNS, _row(one), strict=True))
    shown = values | {
        "state": f"{values['state']} since {when(one.state_since)}",
        "wanted from": when(one.since),
        "told from": when(one.told_from),
        "every": f"{one.every_s} s",
        "settings": ", ".join(f"{name}={value}" for name, value in sorted(one.settings.items())),
        "secrets": ", ".join(one.secrets),
        "address": one.address or "",
        "failures": counted(one.failures, "pull") + " in a row" if one.failures else "",
    }
    facts({name: value for name, value in shown.items() if name != "detail"} | {"detail": one.detail})


def _tell(seen: ProviderCheckAnswer) -> None:
    if seen.outcome != "ok":
        said = {"denied": "The vendor refuses these secrets", "late": "The vendor gave no answer that could be used"}
        say(f"{said.get(seen.outcome, 'The vendor said what nobody understands')}: {seen.detail}", style="red")
        return
    say("The secrets work.", style="green")
    for one in seen.works:
        say(f"  sees: {one}")
    for one in seen.cannot:
        say(f"  does not see: {one}")


def _show_balance(found: ProviderBalanceAnswer) -> None:
    rows = [
        (
            one.label,
            _amount(one.left, one.quantity, one.currency),
            _amount(one.used, one.quantity, one.currency),
            _amount(one.total, one.quantity, one.currency),
            when(one.expires_at),
            when(one.seen_at),
        )
        for one in found.balances
    ]
    table(("balance", "left", "used", "of", "ends", "as of"), rows, right=frozenset({1, 2, 3}))
    out = found.run_out
    say()
    if out.at is None:
        say(f"When it runs out cannot be said: {out.reason}.")
        return
    pace = f"at {human(out.per_day or 0, _unit(found))} a day, the mean of {counted(out.days, 'day')}"
    if out.expires:
        say(f"What is left expires {when(out.at)} ({_in_days(out.at)}), before it is used up {pace}.")
        return
    say(f"Runs out {when(out.at)} ({_in_days(out.at)}), {pace}.")


def _unit(found: ProviderBalanceAnswer) -> str:
    return "bytes" if any(one.quantity == "bytes" for one in found.balances) else "requests"


def _in_days(at: str) -> str:
    left_s = datetime.fromisoformat(at).timestamp() - time.time()
    return "now" if left_s <= 0 else f"in {counted(int(left_s // 86_400), 'day')}"


def _amount(value: int | None, quantity: str, currency: str) -> str:
    if value is None:
        return ""
    return human_money(value, currency) if quantity == "money" else human(value, quantity)

"""`flowtally lease`: what an account leases: bought or given, renewed, upgraded, released."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.once import Once, given_once
from flowtally.cli.show.inventory import address_of, place_of
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.client import calls
from flowtally.core.units import human_money
from flowtally.core.words import LeaseState
from flowtally.protocol import (
    GivenLeaseRequest,
    LeaseAnswer,
    LeaseChange,
    LeaseOrderAnswer,
    LeaseRenewal,
    LeaseRequest,
    LeaseTermAnswer,
    LeaseUpgrade,
)

commands = typer.Typer(name="lease", help="Leases: addresses and servers for a time.", cls=CommandGroup)

COLUMNS: Final = ("lease", "kind", "address", "place", "from", "until", "plan", "status", "renews")
TERMS: Final = ("what", "at", "plan", "from", "until", "price", "order")
BUY: Final = """\
\b
Examples:
  flowtally lease buy acme isp-30 --count 5
  flowtally lease buy acme isp-30 --country DE --once order-4711
  flowtally lease buy acme server-8 --stock stk_0199f2c47b3a7c11a1f0b2c3d4e5f610
"""
GIVE: Final = """\
\b
Examples:
  flowtally lease give acme stk_0199f2c47b3a7c11a1f0b2c3d4e5f610 --plan isp-30
  flowtally lease give acme stk_0199f2c47b3a7c11a1f0b2c3d4e5f610 --ends 2026-07-01T00:00:00Z
"""

LEASE: Final = "lse_0199f2c47b3a7c11a1f0b2c3d4e5f611"
Which = Annotated[str, typer.Argument(metavar="LEASE", help="The lease's id, from `flowtally lease list`.")]
AutoRenew = Annotated[bool, typer.Option("--auto-renew", help="Renew it by itself before it ends, from the wallet.")]
Free = Annotated[bool, typer.Option("--free", help="Nobody pays for it. Only for whoever may give grants.")]


@commands.command("buy", epilog=BUY)
def buy(
    account: Account,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan, from `flowtally lease-plan list`.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many.")] = 1,
    stock: Annotated[list[str] | None, typer.Option("--stock", help="Which one; may be given several times.")] = None,
    country: Annotated[str, typer.Option("--country", help="Only stock of this country.")] = "",
    state: Annotated[str, typer.Option("--state", help="Only stock of this part of the country.")] = "",
    city: Annotated[str, typer.Option("--city", help="Only stock of this city.")] = "",
    region: Annotated[str, typer.Option("--region", help="Only stock of this region.")] = "",
    auto_renew: AutoRenew = False,
    once: Once = None,
    json: Json = False,
) -> None:
    """Lease from stock, paid from the account's wallet: all or nothing."""
    request = LeaseRequest(plan, count, stock or [], country, state, city, region, auto_renew)
    with ask.client() as client:
        _show_order(given_once(client, calls.buy_lease(account, request, once=once)), json)


@commands.command("give", epilog=GIVE)
def give(
    account: Account,
    stock: Annotated[str, typer.Argument(metavar="STOCK", help="The entry's id, from `flowtally stock list`.")],
    plan: Annotated[str | None, typer.Option("--plan", help="The plan that says when it ends.")] = None,
    starts_at: Annotated[str | None, typer.Option("--starts", help="Since when, an instant. Default: now.")] = None,
    ends_at: Annotated[
        str | None, typer.Option("--ends", help="When it ends, an instant. Without it and a plan: it has no end.")
    ] = None,
    auto_renew: AutoRenew = False,
    once: Once = None,
    json: Json = False,
) -> None:
    """Let an account have something from stock for nothing."""
    request = GivenLeaseRequest(stock, plan, starts_at, ends_at, auto_renew)
    with ask.client() as client:
        _show_order(given_once(client, calls.give_lease(account, request, once=once)), json)


@commands.command("list", epilog=example("flowtally lease list acme --status active"))
def list_all(
    account: Account,
    kind: Annotated[str | None, typer.Option("--kind", help="Only leases of this kind of stock.")] = None,
    status: Annotated[
        LeaseState | None,
        typer.Option("--status", help="Only leases of this status."),
    ] = None,
    json: Json = False,
) -> None:
    """List what an account leases and leased."""
    with ask.client() as client:
        found = list(client.leases(account, kind=kind, status=status))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command("show", epilog=example(f"flowtally lease show acme {LEASE}"))
def show(account: Account, lease: Which, json: Json = False) -> None:
    """Show a lease, and what happened to it."""
    with ask.client() as client:
        one, terms = client.lease(account, lease), list(client.lease_terms(account, lease))
    if json:
        document({"lease": one, "terms": terms})
        return
    _show(one, json)
    table(TERMS, [_term(term) for term in terms], right=frozenset({5}))


@commands.command("password", epilog=example(f"flowtally lease password acme {LEASE}"))
def password(account: Account, lease: Which, json: Json = False) -> None:
    """Show what the holder of a lease logs in with, in clear."""
    with ask.client() as client:
        found = client.lease_password(account, lease)
    if json:
        document(found)
        return
    facts({"lease": found.lease, "user": found.username, "password": found.password})


@commands.command("renew", epilog=example(f"flowtally lease renew acme {LEASE} --plan isp-30"))
def renew(
    account: Account,
    lease: Which,
    plan: Annotated[str | None, typer.Option("--plan", help="By which plan. Default: the one it has.")] = None,
    free: Free = False,
    once: Once = None,
    json: Json = False,
) -> None:
    """Go on with a lease from its end, paid from the account's wallet."""
    with ask.client() as client:
        call = calls.renew_lease(account, lease, LeaseRenewal(plan, free), once=once)
        _show_order(given_once(client, call), json)


@commands.command("change", epilog=example(f"flowtally lease change acme {LEASE} --auto-renew"))
def change(
    account: Account,
    lease: Which,
    auto_renew: Annotated[
        bool, typer.Option("--auto-renew/--no-auto-renew", help="Whether it is renewed by itself before it ends.")
    ],
    json: Json = False,
) -> None:
    """Change whether a lease is renewed by itself, paid from the account's wallet."""
    with ask.client() as client:
        _show(client.change_lease(account, lease, LeaseChange(auto_renew)), json)


@commands.command("upgrade", epilog=example(f"flowtally lease upgrade acme {LEASE} server-16"))
def upgrade(
    account: Account,
    lease: Which,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A plan for a larger size.")],
    free: Free = False,
    once: Once = None,
    json: Json = False,
) -> None:
    """Make a lease larger for the rest of its time, for the difference in price."""
    with ask.client() as client:
        call = calls.upgrade_lease(account, lease, LeaseUpgrade(plan, free), once=once)
        _show_order(given_once(client, call), json)


@commands.command("release", epilog=example(f"flowtally lease release acme {LEASE}"))
def release(account: Account, lease: Which, json: Json = False) -> None:
    """End a lease now. Nothing is paid back."""
    with ask.client() as client:
        _show(client.release_lease(account, lease), json)


def _row(one: LeaseAnswer) -> tuple[str, ...]:
    until = one.released_at or one.ends_at
    return (
        *(one.id, one.kind, address_of(one), place_of(one), when(one.starts_at), when(until) if until else ""),
        *(one.plan or "", one.status, "by itself" if one.auto_renew else ""),
    )


def _term(one: LeaseTermAnswer) -> tuple[str, ...]:
    price = human_money(one.price_micros, one.currency) if one.currency else ""
    if price and one.transfer is None:
        price = f"({price})"
    until = when(one.ends_at) if one.ends_at else ""
    return one.what, when(one.created_at), one.plan or "", when(one.starts_at), until, price, one.order


def _show_order(one: LeaseOrderAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    price = human_money(one.price_micros, one.currency) if one.currency else ""
    facts({"order": one.id, "what": one.what, "price": price if one.transfer else f"{price}, nobody paid".lstrip(", ")})
    table(COLUMNS, [_row(lease) for lease in one.leases])


def _show(one: LeaseAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts(dict(zip(COLUMNS, _row(one), strict=True)))

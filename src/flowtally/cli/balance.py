"""`flowtally balance`: what is left, per pool and per grant."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask, chart, output
from flowtally.cli.account import Account
from flowtally.cli.output import AsOf, Json, document, printable, say
from flowtally.cli.quantities import human
from flowtally.protocol import BalanceAnswer, GrantAnswer, PoolBalance

EXAMPLES: Final = """\
\b
Examples:
  flowtally balance acme
  flowtally balance acme --at 2026-07-01T00:00:00Z --json
  flowtally balance acme --as-of 2026-07-01T00:00:00Z
"""
GAUGE: Final = 20
MIN_GAUGE: Final = 4  # narrower says nothing
POOL_FIGURES: Final = ("granted", "spent", "pending", "expired", "voided", "overage", "credit", "drawn")
STYLES: Final = {"active": "", "spent": "dim", "expired": "dim", "voided": "dim", "pending": "cyan"}


def balance(
    account: Account,
    at: Annotated[str | None, typer.Option("--at", help="As of this instant, RFC 3339; default now.")] = None,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    """What an account has left in each pool, and of each grant."""
    with ask.client() as client:
        answer = client.balance(account, at=at, as_of=as_of)
    if json:
        document(answer)
        return
    show_balance(answer, past=as_of is not None)


def show_balance(answer: BalanceAnswer, *, past: bool = False) -> None:
    """Pools with a bar of what is left, their grants below them."""
    known = f", as known at block {answer.as_of.block}" if past and answer.as_of else ""
    say(f"{printable(answer.account)} at {answer.at}{known}", style="bold")
    if not answer.pools:
        say("No grants and no use.")
    for name, pool in answer.pools.items():
        say()
        say(_headline(name, pool), style="yellow" if pool.overage else "green")
        say("  " + _figures(pool))
        grants = [one for one in answer.grants if one.pool == name]
        for one, line in zip(grants, grant_lines(grants, pool.unit, output.width()), strict=True):
            say(line, style=STYLES.get(one.state or "", ""))


def _headline(name: str, pool: PoolBalance) -> str:
    live = pool.left + pool.spent
    bar = chart.gauge(pool.left, live, GAUGE, unicode=output.unicode_blocks())
    line = f"{printable(name)}  {bar}  {human(pool.left, pool.unit)} left"
    return line + (f", {human(pool.overage, pool.unit)} over" if pool.overage else "")


def _figures(pool: PoolBalance) -> str:
    """`granted 5 GB, spent 1 GB`: granted and spent always, the others when there is something to say."""
    values = [(name, getattr(pool, name)) for name in POOL_FIGURES]
    return ", ".join(f"{name} {human(value, pool.unit)}" for name, value in values if value or name in POOL_FIGURES[:2])


def grant_lines(grants: list[GrantAnswer], unit: str, width: int) -> list[str]:
    """One line per grant with a gauge of what is left of it, aligned, at most `width` columns where names allow.

    A grant goes by its reference here; `flowtally grant list` has the ids."""
    rows = [_cells(one, unit) for one in grants]
    names, lefts, states, untils = (max((len(row[column]) for row in rows), default=0) for column in range(4))
    gauge = min(GAUGE, width - names - lefts - states - untils - 12)
    lines = []
    for one, (name, left, state, until) in zip(grants, rows, strict=True):
        bar = (
            chart.gauge(one.left or 0, one.amount, gauge, unicode=output.unicode_blocks()) if gauge >= MIN_GAUGE else ""
        )
        cells = (name.ljust(names), bar, left.rjust(lefts), state.ljust(states), until)
        lines.append(("  " + "  ".join(cell for cell in cells if cell)).rstrip())
    return lines


def _cells(one: GrantAnswer, unit: str) -> tuple[str, str, str, str]:
    """Name, what is left, state and end of a grant."""
    return (
        printable(one.reference or one.source),
        f"{human(one.left or 0, unit)} of {human(one.amount, unit)}",
        one.state or "",
        f"until {one.expires_at}" if one.expires_at else "",
    )

"""`flowtally balance`: what is left, per pool and per grant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

import msgspec

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.dates import At, Dates
from flowtally.cli.show import chart, output, unpaid
from flowtally.cli.show.cells import cells, left, right
from flowtally.cli.show.chart import GAUGE
from flowtally.cli.show.output import AsOf, Json, document, printable, say, when
from flowtally.cli.show.quantities import Write, in_one_unit
from flowtally.protocol import BalanceAnswer, GrantAnswer, PoolBalance

EXAMPLES: Final = """\
\b
Examples:
  flowtally balance acme
  flowtally balance acme --at 2026-07-01T00:00:00Z --json
  flowtally balance acme --as-of 2026-07-01T00:00:00Z
"""
MIN_GAUGE: Final = 4  # narrower says nothing
PARTS: Final = ("left", "spent", "pending", "expired", "voided")  # of what was granted
WORDS: Final = {  # what the other figures mean, as docs/glossary.md says it at length
    "overage": "used, and no grant paid for it",
    "credit": "given back by corrections; it pays for later use before any grant does",
    "drawn": "passed on to funded users or set aside in vouchers",
}
STYLES: Final = {"active": "", "spent": "dim", "expired": "dim", "voided": "dim", "pending": "cyan"}


class Line(msgspec.Struct, frozen=True):
    text: str
    style: str


def balance(
    account: Account,
    at: At = None,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    """Show what an account has left, in each pool and of each grant."""
    with ask.client() as client:
        dates = Dates(client, account)
        answer = client.balance(account, at=dates.instant(at), as_of=dates.known(as_of))
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
        grants = [one for one in answer.grants if one.pool == name]
        write = in_one_unit(pool.unit, _all_of(pool, grants))
        say()
        say(_headline(name, pool, write), style="yellow" if pool.overage else "green")
        for line in _figures(pool, write):
            for part in wrap(line, output.width(), initial_indent="  ", subsequent_indent="    "):
                say(part)
        for told in grant_lines(grants, write, output.width()):
            say(told.text, style=told.style)
    if answer.never_paid:
        say()
        unpaid.show(answer.account, answer.never_paid)


def _headline(name: str, pool: PoolBalance, write: Write) -> str:
    bar = chart.gauge(pool.left, pool.left + pool.spent, GAUGE, unicode=output.unicode_blocks())
    line = f"{printable(name)}  {bar}  {write(pool.left)} left"
    return line + (f", {write(pool.overage)} over" if pool.overage else "")


def _figures(pool: PoolBalance, write: Write) -> Iterator[str]:
    """`granted 5 GB = left 2.7 GB + spent 2.3 GB`, and a line for whatever else there is, with what it means."""
    shown = [(name, getattr(pool, name)) for name in PARTS]
    parts = " + ".join(f"{name} {write(value)}" for name, value in shown if value or name in PARTS[:2])
    yield f"granted {write(pool.granted)} = {parts}"
    for name, meaning in WORDS.items():
        if value := getattr(pool, name):
            yield f"{name} {write(value)}: {meaning}"


def _all_of(pool: PoolBalance, grants: Sequence[GrantAnswer]) -> Iterator[int]:
    yield from (getattr(pool, name) for name in ("granted", *PARTS, *WORDS))
    for one in grants:
        yield from (one.left or 0, one.amount)


def grant_lines(grants: list[GrantAnswer], write: Write, width: int) -> list[Line]:
    """One line per grant with a gauge of what is left of it, aligned. A name that is too long for `width` cells stands
    above its line; where most are, the gauges are left out first.

    A grant goes by its reference here; `flowtally grant list` has the ids."""
    rows = [_cells(one, write) for one in grants]
    lefts, states, untils = (max((cells(row[column]) for row in rows), default=0) for column in (1, 2, 3))
    names, gauge = _widths([cells(row[0]) for row in rows], width - 2 - lefts - states - untils - 2 * 3)
    lines: list[Line] = []
    for one, (name, amount, state, until) in zip(grants, rows, strict=True):
        style = STYLES.get(one.state or "", "")
        if above := cells(name) > names:
            lines.append(Line(f"  {name}", style))
        bar = chart.gauge(one.left or 0, one.amount, gauge, unicode=output.unicode_blocks()) if gauge else ""
        shown = (left("" if above else name, names), bar, right(amount, lefts), left(state, states), until)
        lines.append(Line(("  " + "  ".join(text for text in shown if text)).rstrip(), style))
    return lines


def _widths(names: list[int], room: int) -> tuple[int, int]:
    """How wide the names are, and the gauges: 0 for none."""
    most = sorted(names)[(len(names) - 1) // 2 :]
    for size in reversed(most):
        if (gauge := min(GAUGE, room - size - 4)) >= MIN_GAUGE:
            return size, gauge
    return max((size for size in names if size <= room), default=0), 0


def _cells(one: GrantAnswer, write: Write) -> tuple[str, str, str, str]:
    """Name, what is left, state and end of a grant."""
    return (
        printable(one.reference or one.source),
        f"{write(one.left or 0)} of {write(one.amount)}",
        one.state or "",
        f"until {when(one.expires_at)}" if one.expires_at else "",
    )

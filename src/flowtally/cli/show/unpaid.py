"""Use that nothing will pay, in sentences: how much, since when and why, and what to do about it.

Owns the words. What is never paid is the server's to say, in a balance and in the answer to events.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from textwrap import wrap
from typing import Final

from flowtally.cli.show.output import printable, say, width
from flowtally.cli.show.quantities import human, in_words
from flowtally.client import ApiError, Client
from flowtally.core import clock
from flowtally.core.edges import parse_instant
from flowtally.core.units import counted, human_count
from flowtally.protocol import NeverPaid, NeverPaidEvents
from flowtally.protocol.words import DEFAULT_POOL, MAX_PRIORITY

STYLE: Final = "yellow"


def show(account: str, found: Sequence[NeverPaid], *, user: str = "", pool: str | None = None) -> None:
    """A sentence for each, of one pool where that is named, and the command that ends it. `user`: in whose purse."""
    for one in found:
        if pool in (None, one.pool):
            _say(sentence(account, one, user=user))
            last = one.why == "not_covered"
            say(f"  {_way_out(account, one.pool, one.amount, one.first or one.before, user, last=last)}")


def show_events(found: Sequence[NeverPaidEvents], more: int) -> None:
    """The same of events that were sent."""
    for one in found:
        are, it = ("is", "it") if one.events == 1 else ("are", "them")
        amount = f" ({human(one.amount, one.unit)})" if one.unit == "bytes" else ""
        began = _what(one.account, one.began, one.grant, one.user, one.before)
        events = counted(one.events, "event")
        _say(f"{events}{amount} {are} dated before {one.before}, when {began}; nothing will pay for {it}.")
        say(f"  {_way_out(one.account, one.pool, one.amount, one.first, one.user)}")
    if more:
        say(f"The same is true of {human_count(more)} more: see `flowtally balance ACCOUNT`.", style=STYLE)


def show_after(client: Client, account: str, pool: str) -> None:
    """The same after something was done; it is done, whether or not the key may ask for the balance."""
    with suppress(ApiError):
        show(account, client.balance(account).never_paid, pool=pool)


def sentence(account: str, one: NeverPaid, *, user: str = "") -> str:
    """How much was used before what."""
    quantity = in_words(one.amount, one.unit)
    many = "was" if quantity == "1 request" else "were"
    more = ", and the grants of that time did not cover it" if one.why == "not_covered" else ""
    began = _what(account, one.began, one.grant, user, one.before)
    return f"{quantity} {many} used before {one.before}, when {began}{more}; nothing will pay for it."


def _say(text: str) -> None:
    for line in wrap(text, width(), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False):
        say(line, style=STYLE)


def _what(account: str, began: str, grant: str | None, user: str, before: str) -> str:
    begins = "begins" if parse_instant(before) > clock.now_ms() else "began"
    if began == "grant":
        return f"{'allocation' if user else 'grant'} {printable(grant or '')} {begins}"
    if began == "user":
        return f"user {printable(user)} was made"
    return f"account {printable(account)} {begins} (its carry_from)"


def _way_out(account: str, pool: str, amount: int, first: str, user: str, *, last: bool = False) -> str:
    if user:
        return "An allocation pays from the second it is made in, so it stays unpaid."
    return f"To pay for it: {command(account, pool, amount, first, last=last)}"


def command(account: str, pool: str, amount: int, first: str, *, last: bool = False) -> str:
    """What gives a grant that pays for exactly this. `last`: there are grants that pay for other use of that time; a
    grant that pays before them would leave something of them unspent."""
    words = ["flowtally", "grant", "give", account, str(amount)]
    if pool != DEFAULT_POOL:
        words += ["--pool", pool]
    if last:
        words += ["--priority", str(MAX_PRIORITY)]
    return shlex.join([*words, "--starts", _second(first)])


def _second(instant: str) -> str:
    """Without the part of a second: what begins with the second has all of it."""
    return instant[:19] + "Z" if instant.endswith("Z") and "." in instant else instant

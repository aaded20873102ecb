"""Use that nothing will pay, in sentences: how much, since when and why, and what to do about it.

Owns the words. What is never paid is the server's to say, in a balance and in the answer to events.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from textwrap import wrap
from typing import Final

from flowtally.cli.output import printable, say, width
from flowtally.cli.quantities import human
from flowtally.client import ApiError, Client
from flowtally.protocol import NeverPaid

STYLE: Final = "yellow"
DEFAULT_POOL: Final = "traffic"


def show(account: str, found: Sequence[NeverPaid], *, user: str = "", pool: str | None = None) -> None:
    """A sentence for each, of one pool where that is named, and the command that ends it. `user`: in whose purse."""
    for one in found:
        if pool in (None, one.pool):
            said = sentence(account, one, user=user)
            for line in wrap(said, width(), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False):
                say(line, style=STYLE)
            say(f"  {way_out(account, one, user=user)}")


def show_after(client: Client, account: str, pool: str) -> None:
    """The same after something was done; it is done, whether or not the key may ask for the balance."""
    with suppress(ApiError):
        show(account, client.balance(account).never_paid, pool=pool)


def sentence(account: str, one: NeverPaid, *, user: str = "") -> str:
    """How much was used before what."""
    many = "were" if one.amount != 1 or one.unit == "bytes" else "was"
    quantity = human(one.amount, one.unit)
    if one.unit == "requests":
        quantity += " requests" if one.amount != 1 else " request"
    why = "; nothing will pay for it"
    if one.why == "not_covered":
        why = ", and the grants of that time did not cover it" + why
    return f"{quantity} {many} used before {one.before}, when {_what(account, one, user)}{why}."


def _what(account: str, one: NeverPaid, user: str) -> str:
    if one.began == "grant":
        return f"{'allocation' if user else 'grant'} {printable(one.grant or '')} began"
    if one.began == "user":
        return f"user {printable(user)} was made"
    return f"account {printable(account)} began (its carry_from)"


def way_out(account: str, one: NeverPaid, *, user: str = "") -> str:
    if user:
        return "An allocation pays from the second it is made in, so it stays unpaid."
    return f"To pay for it: {command(account, one)}"


def command(account: str, one: NeverPaid) -> str:
    """What gives a grant that pays for exactly this."""
    words = ["flowtally", "grant", "give", account, str(one.amount)]
    if one.pool != DEFAULT_POOL:
        words += ["--pool", one.pool]
    return shlex.join([*words, "--starts", seconds(one.first or one.before)])


def seconds(instant: str) -> str:
    """Without the part of a second: what begins with the second has all of it."""
    return instant[:19] + "Z" if instant.endswith("Z") and "." in instant else instant

"""`flowtally check-in`: the day's reward."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.show.output import Json, document, say, table, when
from flowtally.cli.show.quantities import BYTES, human

EXAMPLES: Final = """\
\b
Examples:
  flowtally check-in acme
  flowtally check-in acme --list
"""
COLUMNS: Final = ("day", "zone", "amount", "ends", "grant")


def check_in(
    account: Account,
    list_all: Annotated[bool, typer.Option("--list", help="List the check-ins so far instead.")] = False,
    json: Json = False,
) -> None:
    """Take the daily reward of an account, once a day in its time zone."""
    with ask.client() as client:
        if list_all:
            found = list(client.check_ins(account))
            rows = [(one.day, one.timezone, human(one.amount, BYTES), when(one.expires_at), one.grant) for one in found]
            document(found) if json else table(COLUMNS, rows, right=frozenset({2}))
            return
        made = client.check_in(account)
    if json:
        document(made)
    else:
        say(f"{human(made.amount, BYTES)} until {when(made.expires_at)}; again from {made.next_at} on", style="green")

"""Whether the accounts of a log are there, asked before anything of it is sent.

A misspelled account would otherwise be told after the first batch, or, where others of the log are right, by events
that are held. Any key that may send events may ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Final

from flowtally.client import ApiError, Client
from flowtally.protocol import TakenAccount
from flowtally.protocol.words import MAX_ACCOUNTS_ASKED

NEAR: Final = 3
LOOKED_THROUGH: Final = 1_000  # accounts that a name may be near to
_CANNOT_ASK: Final = (
    "forbidden",
    "not_found",
    "method_not_allowed",
    "bad_request",
)  # or a server of an earlier version


class NoSuchAccount(Exception):
    """No account that the log names takes events, so nothing was sent.

    Cause: The accounts are not made yet, they are closed, or the log names them otherwise than the server.

    Do: Make the account (`flowtally account create`), or name it with `--account`. Then run the same command again.
    """


def check_accounts(client: Client, accounts: Iterable[str]) -> list[TakenAccount]:
    """Those that take no events. Raises NoSuchAccount where none of them does, and the client's ApiError."""
    asked = list(islice(dict.fromkeys(one for one in accounts if one), MAX_ACCOUNTS_ASKED))
    if not asked:
        return []
    try:
        answer = client.taken_accounts(asked).accounts
    except ApiError as error:
        if error.code not in _CANNOT_ASK:
            raise
        return []
    refused = [one for one in answer if not one.takes]
    if len(refused) == len(asked):
        raise NoSuchAccount(told(client, refused))
    return refused


def told(client: Client, refused: list[TakenAccount]) -> str:
    """What is wrong with them, what may be meant, and how the first one is made."""
    first = refused[0]
    others = f", and {len(refused) - 1} more of its accounts take no events" if len(refused) > 1 else ""
    if first.code != "unknown_account":
        return f"{first.detail}{others}"
    near = get_close_matches(first.account, _known(client), NEAR)
    meant = f"; there is {', '.join(near)}" if near else ""
    return f"{first.detail}{meant}{others}. Make it: `flowtally account create {first.account}`"


def _known(client: Client) -> list[str]:
    """Names that may be meant; none where the key may not list them."""
    try:
        return [one.id for one in islice(client.accounts(), LOOKED_THROUGH)]
    except ApiError:
        return []

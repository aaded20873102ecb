"""What is given once: `--once KEY`, and asking before the same reference is given a second time.

A command that moves traffic or money does it again each time it is run. Two things guard against that: a key of the
user's own, under which the server does it once for ever; and, without one, a look for what has the same reference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

import typer

from flowtally.cli.show.output import note, printable
from flowtally.client import ApiError, Client
from flowtally.client.call import ClientCall
from flowtally.protocol.words import MAX_KEY_CHARS

T = TypeVar("T")


class AlreadyThere(Exception):
    """Something with the same reference is there already, and nobody can be asked whether a second one is meant.

    Cause: A script ran twice.

    Do: Nothing, if it was the same. Add `--again` to do it a second time; `--once KEY` makes a command safe to repeat.
    """


def _checked(key: str | None) -> str | None:
    if key is not None and not (1 <= len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise typer.BadParameter(f"a key is 1 to {MAX_KEY_CHARS} printable ASCII characters, such as an order's number")
    return key


Once = Annotated[
    str | None,
    typer.Option(
        "--once",
        metavar="KEY",
        callback=_checked,
        help="A key of your own, such as an order number: the same command with the same key is done only once.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Do it even if there is one with the same reference. Do not ask.")]


def given_once(client: Client, call: ClientCall[T]) -> T:
    """The answer; a note beside it where it was given before, under the same key."""
    answer, replayed = client.told(call)
    if replayed:
        note("This was done before, with the same --once. Nothing was done again.", style="yellow")
    return answer


def look_for(reference: str, once: str | None, again: bool, find: Callable[[], Iterable[str]]) -> None:
    """Ask in a terminal, and refuse elsewhere, where something of that reference is there already. `find` tells what
    there is, in words. A key says by itself whether it is the same, and without a reference nothing can be."""
    if again or once is not None or not reference:
        return
    try:
        found = next(iter(find()), None)
    except ApiError as error:
        if error.code != "forbidden":  # who may give need not be one who may look
            raise
        return
    if found is None:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise AlreadyThere(f"there is one of this reference already: {printable(found)}; nothing was done")
    note(f"There is one of this reference already: {printable(found)}.", style="yellow")
    typer.confirm("Do it a second time?", default=False, abort=True, err=True)

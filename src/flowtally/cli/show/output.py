"""Where words go: tables and lines for people, exactly one JSON document for programs.

Owns the decision what stdout can show (colour, width, block characters). With `--json` nothing but the document is
written to stdout; notes and progress go to stderr, so a pipe always carries the answer alone. Whatever is said may come
from a server, a file or an argument: no character of it may drive the terminal, so every line passes `printable` here.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from flowtally.cli.show.cells import cells, left
from flowtally.cli.show.layout import aligned, lay_out
from flowtally.core import texts

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document, for programs.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", help="Show what was known at a past moment: the token of an earlier answer (--json), or an instant."
    ),
]

PIPE_WIDTH: Final = 100  # charts in a pipe, unless COLUMNS says otherwise
MIN_WIDTH: Final = 20


def plain(stream: IO[str] | None = None) -> bool:
    """Whether to write text only: the stream is no terminal, or the user asked for no colour (https://no-color.org)."""
    stream = stream or sys.stdout
    return not stream.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def width() -> int:
    """Columns to fill: the terminal's, or COLUMNS, or a fair line for a pipe."""
    return max(MIN_WIDTH, shutil.get_terminal_size((PIPE_WIDTH, 24)).columns)


def unicode_blocks() -> bool:
    """Whether stdout can carry block characters."""
    return "utf" in (sys.stdout.encoding or "").lower()


def document(value: object) -> None:
    """The answer as one JSON document, indented for the eye; characters that a terminal would obey are escaped as JSON
    escapes them, which changes no value."""
    lines = msgspec.json.format(msgspec.json.encode(value), indent=2).decode().split("\n")
    _write(sys.stdout, "\n".join(map(_escaped, lines)) + "\n")


def say(text: str = "", *, style: str = "") -> None:
    """One line of the answer, never wrapped or interpreted."""
    _print(sys.stdout, text, style)


def raw(text: str) -> None:
    """The answer as the server wrote it (CSV): character for character into a pipe or a file, printable lines on a
    terminal."""
    if sys.stdout.isatty():
        lines = text.replace("\r\n", "\n").split("\n")
        text = "\n".join(map(texts.printable, lines))
    _write(sys.stdout, text)


def note(text: str, *, style: str = "") -> None:
    """A line beside the answer: progress, hints, warnings."""
    _print(sys.stderr, text, style)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> None:
    """Rows under a header; columns in `right` are aligned there. One line a row in a pipe and wherever there is room;
    on a terminal that is too narrow long cells get lines of their own (`layout`): what is copied stays whole."""
    shown = [[printable(cell) for cell in row] for row in rows]
    lines = aligned(columns, shown, right)
    head, body = (lines[:1], lines[1:]) if not sys.stdout.isatty() else lay_out(columns, shown, right, width())
    for line in head:
        say(line, style="bold")
    for line in body:
        say(line)


def facts(values: Mapping[str, str]) -> None:
    """Names and values below each other; what is empty is left out. Values stay whole, to be copied."""
    columns = max(cells(name) for name in values)
    for name, value in values.items():
        if value:
            say(f"{left(name, columns)}  {printable(value)}")


def printable(text: str) -> str:
    """`text` without what a terminal obeys or hides: a mark for each such character, so that tables stay short. Errors
    and raw lines write them out (`texts.printable`), and `--json` has the text as it is."""
    return texts.printable(text, mark="�")


def when(instant: str | None) -> str:
    """An instant for a table: midnight UTC as a date, others to the minute."""
    if not instant or not instant.endswith("Z"):
        return instant or ""
    return instant[:10] if instant.endswith("T00:00:00Z") else f"{instant[:16]}Z"


def _escaped(line: str) -> str:
    r"""A line of JSON with `\u009b` for the character itself; outside of strings there is none."""
    return line if line.isprintable() else "".join(c if printable(c) == c else json.dumps(c)[1:-1] for c in line)


def _print(stream: IO[str], text: str, style: str) -> None:
    text = printable(text)
    if plain(stream) or not style:
        _write(stream, text + "\n")
        return
    Console(file=stream, highlight=False, soft_wrap=True).print(Text(text, style=style))


def _write(stream: IO[str], text: str) -> None:
    """Write, and end quietly when the reader has seen enough (`flowtally usage acme | head`)."""
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError as error:  # `LANG=C`: what it has no byte for is written out as in Python
            stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the interpreter complains when it flushes
        raise typer.Exit(0) from None

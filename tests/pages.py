"""Pages of the documentation, run as they are written.

A page is one story: all its `bash` blocks are run in order by one shell in an empty directory, against a server that is
new. A `text` block right after one shows what it prints; where a part of that differs from day to day the page says
`...`: alone on its line for any number of lines, within a line for anything. Blocks of another kind (`sh`, `python`,
`nginx` ...) are for the reader alone.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

DOCS: Final = Path(__file__).parent.parent / "docs"
FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK: Final = "=== block {} ==="  # on a line of its own, also after what ends without a newline
ANY: Final = "..."
ID: Final = re.compile(r"\b([a-z]{3}_)[0-9a-f]{32}\b")
PATIENCE_S: Final = 300


class Block(msgspec.Struct, frozen=True):
    """What a page tells to run, and what it says this prints: None where it says nothing."""

    line: int
    script: str
    prints: str | None


def blocks(page: str) -> list[Block]:
    """The `bash` blocks of a page's text, in order."""
    found: list[Block] = []
    fenced = list(FENCED.finditer(page))
    for at, one in enumerate(fenced):
        if one[1] != "bash":
            continue
        after = fenced[at + 1] if at + 1 < len(fenced) else None
        shown = after is not None and after[1] == "text" and not page[one.end() : after.start()].strip()
        line = page.count("\n", 0, one.start()) + 1
        found.append(Block(line, one[2], after[2] if shown and after is not None else None))
    return found


def run(page: Sequence[Block], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Run the blocks in one shell that stops at the first failure, and say what each printed, errors among it."""
    steps = [f"printf '\\n{MARK.format(number)}\\n'\n{block.script}" for number, block in enumerate(page)]
    command = ["bash", "-c", "exec 2>&1\nset -euo pipefail\n" + "\n".join(steps)]
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    printed = re.split(r"\n=== block \d+ ===\n", done.stdout)[1:]
    if done.returncode:
        failed = page[max(0, len(printed) - 1)]
        shown = printed[-1] if printed else done.stdout
        raise AssertionError(f"line {failed.line}, exit {done.returncode}:\n{failed.script}\n{shown}")
    return printed


def prints_what_it_says(block: Block, printed: str) -> None:
    """AssertionError where a page shows something else than what was printed."""
    if block.prints is not None and not is_like(block.prints, printed):
        raise AssertionError(f"line {block.line}: the page says\n{block.prints}\nand it printed\n{printed}")


def is_like(said: str, printed: str) -> bool:
    """Whether `printed` is what `said` shows, where `...` stands for anything; blanks at ends of lines are nothing."""
    lines = [line.rstrip() for line in said.strip("\n").splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == ANY else rf"{_line(line)}\n" for line in lines)
    given = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, given) is not None


def _line(text: str) -> str:
    """Ids are made anew each time, so one stands for any other of its kind."""
    return ID.sub(r"\1[0-9a-f]{32}", ".*?".join(map(re.escape, text.split(ANY))))

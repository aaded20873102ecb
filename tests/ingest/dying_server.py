"""`python -m tests.ingest.dying_server MOMENT N serve ...`: `flowtally serve ...` that is killed in one of its worst
moments, when it comes there for the N-th time. A kill at random seldom meets one.

What is flushed soon and forgotten soon here is so that all of them come within seconds. With a moment that has no name
of these nothing is done to it but that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from flowtally.cli.app import main
from flowtally.ingest.sources import Sources
from flowtally.keys.store import Keys
from flowtally.usage import flusher, own_tables
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.journal import Journal

FORGET_EVERY_S: Final = 0.5
MIDDLE_S: Final = 0.01  # an insert and a move take longer


def _always(*_: Any) -> bool:
    return True


def _is_staging(_: Any, table: str, *__: Any) -> bool:
    return table.startswith("usage_staged_")


def _is_move(_: Any, text: str, *__: Any) -> bool:
    return "MOVE PARTITION" in text


# Of whom, which method, of which of its calls, and when.
MOMENTS: Final[dict[str, tuple[Any, str, Callable[..., bool], str]]] = {
    "before the journal's commit": (Journal, "commit", _always, "before"),
    "after the journal's commit": (Journal, "commit", _always, "after"),
    "before readers see it": (ClickHouseStore, "append", _always, "before"),
    "between the readers' sight of it and the keys' commit": (ClickHouseStore, "publish", _always, "after"),
    "after the keys' commit, before anybody is told": (Sources, "move", _always, "before"),
    "in the middle of the staging insert": (Engine, "insert", _is_staging, "amid"),
    "between insert and move": (Engine, "command", _is_move, "before"),
    "in the middle of the move": (Engine, "command", _is_move, "amid"),
    "between move and forgetting": (Engine, "command", _is_move, "after"),
    "when the disk is synced and nothing forgotten": (Journal, "forget", _always, "before"),
    "while the journal forgets": (Journal, "_forget_some", _always, "after"),
}
AT_A_START: Final[dict[str, tuple[Any, str, Callable[..., bool], str]]] = {
    "after the take-over": (ClickHouseStore, "take_over", _always, "after"),
    "before the keys begin": (Keys, "start", _always, "before"),
    "while what another left is dropped": (own_tables, "drop_all", _always, "before"),
    "with part of the tail": (ClickHouseStore, "append", _always, "after"),
}


def die_at(moment: str, number: int) -> None:
    whose, name, is_one, when = (MOMENTS | AT_A_START)[moment]
    work, calls = getattr(whose, name), count(1)

    def deadly(*arguments: Any, **named: Any) -> Any:
        dies = is_one(*arguments) and next(calls) == number
        if dies and when == "before":
            _die()
        if dies and when == "amid":
            threading.Timer(MIDDLE_S, _die).start()
        done = work(*arguments, **named)
        if dies:
            _die()
        return done

    setattr(whose, name, deadly)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    flusher.FORGET_EVERY_S = FORGET_EVERY_S  # type: ignore[misc]
    if sys.argv[1] in MOMENTS | AT_A_START:
        die_at(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))

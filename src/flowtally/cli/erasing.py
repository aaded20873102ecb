"""Waiting for an erasure that the server does: how far it is, until it is finished or has stopped; what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from flowtally.cli.care import LOOK_S
from flowtally.cli.failures import FAILED
from flowtally.cli.show.output import document, printable, say
from flowtally.cli.show.steps import Steps
from flowtally.protocol import AccountErasureAnswer, ErasureAnswer

E = TypeVar("E", ErasureAnswer, AccountErasureAnswer)


def finished(asked: E, look: Callable[[], E]) -> E:
    """The erasure when it is finished or has stopped."""
    answer = asked
    with Steps() as steps:
        while answer.state == "pending" and not answer.detail:
            steps.show(answer.step, answer.done, answer.total)
            time.sleep(LOOK_S)
            answer = look()
    return answer


def show(answer: E, whose: str, done_so_far: str, json: bool) -> int:
    """What came of it, and the exit code. `done_so_far` is said where it has stopped."""
    done = answer.state == "finished"
    if json:
        document(answer)
    elif done:
        say(f"{printable(whose)} is erased.", style="green")
    else:
        say(f"{done_so_far}; the rest is not finished: {printable(answer.detail)}", style="red")
    return 0 if done else FAILED

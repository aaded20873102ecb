"""Waiting for an erasure that the server does: how far it is, until it is finished or has stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from flowtally.cli.care import LOOK_S
from flowtally.cli.steps import Steps
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

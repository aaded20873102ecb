"""Pulling from a script, and what becomes of the statements of vendors that tell spans and sub-users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from flowtally.core.reported import (
    BalanceSaid,
    BalancesSaid,
    FigureSaid,
    Statement,
    SubUserSaid,
    SubUsersSaid,
    UseSaid,
    check_said,
)
from flowtally.providers.puller import VendorAnswer

TRIES: Final = 3

Answers = Callable[[str, dict[str, str]], Any]  # by path and query: a body as values, or as it is


class AskScript:
    """Every call is answered by `answers`, without a wait; `asked` has them all."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[Mapping[str, str]] = []

    def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] = {},
        form: Mapping[str, str] | None = None,
        safe: bool = False,
        again: Callable[[VendorAnswer], float | None] | None = None,
    ) -> VendorAnswer:
        assert (method, form) == ("GET", None), "a puller only reads"
        for _ in range(TRIES):
            self.asked.append((path, dict(query)))
            self.headers.append(headers)
            answer = self.answer(path, dict(query), headers)
            if again is None or again(answer) is None:
                break
        return answer

    def answer(self, path: str, query: dict[str, str], headers: Mapping[str, str]) -> VendorAnswer:
        return as_answer(self._answers(path, query))

    def paths(self) -> Counter[str]:
        return Counter(path for path, _ in self.asked)


def as_answer(made: Any) -> VendorAnswer:
    if isinstance(made, VendorAnswer):
        return made
    if isinstance(made, (str, bytes)):
        return VendorAnswer(200, {"content-type": "text/html"}, made.encode() if isinstance(made, str) else made)
    return VendorAnswer(200, {"content-type": "application/json"}, msgspec.json.encode(made))


class Told:
    """What stands after some statements: what was said last under each key."""

    def __init__(self, statements: Iterable[Statement] = ()) -> None:
        self.figures: dict[str, FigureSaid] = {}
        self.balances: dict[str, BalanceSaid] = {}
        self.sub_users: dict[str, SubUserSaid] = {}
        self.said: list[UseSaid] = []
        for one in statements:
            self.hear(one)

    def hear(self, one: Statement) -> None:
        if isinstance(one, BalancesSaid):
            self.balances = {each.label: each for each in one.balances}
            assert len(self.balances) == len(one.balances)
        elif isinstance(one, SubUsersSaid):
            self.sub_users = {each.name: each for each in one.sub_users}
            assert len(self.sub_users) == len(one.sub_users)
        elif isinstance(one, UseSaid):
            check_said(one)
            assert one.step >= 1
            self.said.append(one)
            for key in [key for key, stood in self.figures.items() if is_of(stood, one)]:
                del self.figures[key]
            self.figures |= {each.key: each for each in one.figures}

    @property
    def step(self) -> int:
        return max(one.step for one in self.said)

    def total(self, of: str | None = None, product: str | None = None, since: int = 0, until: int = 2**62) -> int:
        return sum(
            one.amount
            for one in self.figures.values()
            if of in (None, one.sub_user) and product in (None, one.product) and since <= one.time < until
        )

    def rows(self) -> dict[tuple[str, str, int], int]:
        """(user, product, instant) -> amount, of all that is not nothing."""
        return {(one.sub_user, one.product, one.time): one.amount for one in self.figures.values() if one.amount}


def is_of(stood: FigureSaid, said: UseSaid) -> bool:
    """Whether the statement says something of what stands there."""
    in_stretch = said.starts_at <= stood.time < said.ends_at and stood.key.startswith(f"{said.grain} ")
    return in_stretch and said.means(stood.sub_user, stood.product)


def closed(told: Told) -> list[tuple[int, int]]:
    """The stretches of which all was said, in the order they were."""
    return [(one.starts_at, one.ends_at) for one in told.said if one.closes]


def until_it_fails(statements: Iterator[Statement]) -> tuple[list[Statement], Exception | None]:
    """What was said before it failed, and how it did."""
    said: list[Statement] = []
    try:
        for one in statements:
            said.append(one)
    except Exception as error:
        return said, error
    return said, None

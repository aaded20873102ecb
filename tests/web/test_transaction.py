"""One runner under both doors: its order, and what follows a write whatever came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.core.errors import Unavailable
from flowtally.vendors import VENDORS
from flowtally.web.operation import OPERATIONS
from flowtally.web.transaction import HEARD, Effect, Transaction, ask, write


class Told:
    """Services that write down what is asked of them, in order."""

    def __init__(self, fails: str = "") -> None:
        self.said: list[str] = []
        self.fails = fails
        self.usage = self.ledger = self.clock = self.moments = self.doorkeeper = self
        self.ingest = self.care = self.providers = self.shadowing = self.waiting = self
        self.deliverer = Worker(self)

    def _say(self, what: str) -> None:
        self.said.append(what)
        if what == self.fails:
            raise Unavailable(what)

    @contextmanager
    def begin(self, actor: object) -> Iterator[str]:
        if actor is None or isinstance(actor, str):  # `moments.begin`, of the present or as of
            raise AssertionError("a question began a write")
        self._say("begin")
        yield "tx"
        self._say("commit")

    @contextmanager
    def read(self) -> Iterator[str]:
        self._say("read")
        yield "tx"
        self._say("end")

    def published(self) -> str:
        self._say("block")
        return "block"

    def date(self) -> int:
        self._say("clock")
        return 7

    def __call__(self) -> int:
        self._say("clock")
        return 7

    def forget(self) -> None:
        self._say("credentials")

    def forget_names(self, account: str) -> None:
        self._say(f"names {account}")

    def gave(self, account: str) -> None:
        self._say(f"promises {account}")

    def look_again(self, account: str) -> None:
        self._say(f"opening {account}")

    def nudge(self) -> None:
        self._say("providers")

    def switches_changed(self) -> None:
        self._say("shadows")

    def wake(self) -> None:
        self._say("actions")

    def finish_erasures(self) -> None:
        self._say("erasures")


class Worker:
    """`nudge` is asked of two."""

    def __init__(self, told: Told) -> None:
        self.nudge = lambda: told._say("webhooks")


class Asking(Told):
    """The same, whose moments begin with a block."""

    def begin(self, as_of: Any = None) -> Any:
        self._say(f"begin as of {as_of}")
        return type("Begun", (), {"commit": "block"})

    def hold(self, tx: str, begun: object) -> Any:
        self._say("moment")
        return type("Moment", (), {"instant": 5})


def worked(services: Told) -> Any:
    def work(inside: Transaction) -> int:
        services._say("work")
        return inside.now

    return work


EVERY = [
    *("credentials", "names acme", "promises acme", "opening acme", "providers", "shadows", "actions", "webhooks"),
    "erasures",
]


def test_a_write_begins_then_knows_its_instant_then_works_then_tells_in_one_order() -> None:
    services: Any = Told()
    assert write(services, object(), worked(services), account="acme", effects=reversed(list(Effect))) == 7  # type: ignore[arg-type]
    assert services.said == ["begin", "block", "clock", "work", "commit", *EVERY]


@pytest.mark.parametrize("fails", ["begin", "work", "commit"])
def test_others_hear_of_it_whatever_came_of_the_write(fails: str) -> None:
    services: Any = Told(fails)
    with pytest.raises(Unavailable):
        write(services, object(), worked(services), account="acme", effects=tuple(Effect))  # type: ignore[arg-type]
    assert services.said[-len(EVERY) :] == EVERY


def test_every_write_of_an_account_follows_as_a_promise_and_one_of_none_does_not() -> None:
    services: Any = Told()
    write(services, object(), worked(services), account="acme")  # type: ignore[arg-type]
    assert services.said[5:] == ["promises acme"]
    services = Told()
    write(services, object(), worked(services))  # type: ignore[arg-type]
    assert services.said[5:] == []


def test_of_an_account_whose_id_is_made_by_the_write_nobody_remembers_anything() -> None:
    house: Any = Told()
    write(house, object(), worked(house), account=None, effects=tuple(Effect))  # type: ignore[arg-type]
    assert house.said[5:] == ["credentials", "webhooks", "erasures"]


@pytest.mark.parametrize(("tells_moment", "then", "now"), [(False, "clock", 7), (True, "moment", 5)])
def test_a_question_knows_its_block_before_the_ledger_and_nobody_hears_of_it(
    tells_moment: bool, then: str, now: int
) -> None:
    services: Any = Asking()
    assert ask(services, worked(services), as_of="then", tells_moment=tells_moment) == now
    assert services.said == ["begin as of then", "read", then, "work", "end"]


def test_every_effect_has_its_deed() -> None:
    assert list(HEARD) == list(Effect)


def test_only_writes_declare_effects_and_none_declares_what_follows_anyway() -> None:
    declared = [(op.path, op.writes, op.effects) for op in OPERATIONS]
    declared += [(one.path, one.writes, one.effects) for vendor in VENDORS for one in vendor.routes]
    assert [path for path, writes, effects in declared if effects and not writes] == []
    assert [path for path, _, effects in declared if Effect.PROMISES in effects] == []
    assert {effect for _, _, effects in declared for effect in effects} == set(Effect) - {Effect.PROMISES}

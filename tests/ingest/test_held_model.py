"""Any interleaving of sends, repeats, contradictions, accounts that appear, moves of the clock, drops, restarts and
deaths: at the end each number is exactly one of stored, refused, held, dropped, as a slow obvious model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import NOW
from tests.ingest.conftest import Death, Services, run, services_in
from tests.ingest.test_held import by_hand
from tests.soak import sampled

from flowtally.core.edges import format_instant
from flowtally.core.errors import FlowtallyError, HoldsFull, SequenceGap, Unavailable
from flowtally.ledger.people import accounts
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import HeldFilter

STEP_MS: Final = 400_000  # more than the clock rule's five minutes
PER_SOURCE: Final = 4
NAMES: Final = ("acme", "one", "two")
Content = tuple[str, int]


class Model:
    """Numbers of one source, one at a time. What is held is (content, the instant it was sent for)."""

    def __init__(self) -> None:
        self.now, self.accounts = NOW, {"acme"}
        self.stored: dict[int, tuple[Content, int]] = {}
        self.refused: dict[int, str] = {}
        self.held: dict[int, tuple[Content, int]] = {}
        self.mark = 0

    def code(self, content: Content, at: int) -> str:
        if content[0] not in self.accounts:
            return "unknown_account"
        return "time_in_future" if at > self.now + 300_000 else ""

    def send(self, sent: list[tuple[int, Content, int, bool]]) -> list[str]:
        """`stop` where no more may be held."""
        if sent[0][0] > self.mark + 1:
            return ["gap"]
        whys = ["invalid_event" if bad else self.code(content, at) for _, content, at, bad in sent]
        if not self.stored and all(whys):  # the source is not there
            return [f"refused {why}" for why in whys]
        told: list[str] = []
        before = self.mark, dict(self.stored), dict(self.refused), dict(self.held)
        for one in sent:
            told.append(self._one(*one))
            if told[-1] == "stop":
                break
        if not self.stored:
            self.mark, self.stored, self.refused, self.held = before
            return ["stop"]
        return told

    def _one(self, number: int, content: Content, at: int, bad: bool) -> str:
        if number in self.refused:
            return f"refused {self.refused[number]}"
        if number in self.held:
            if bad or self.held[number][0] != content:  # what cannot be read is not the same
                return "conflict"
            return self._again(number)
        if number <= self.mark:
            return "duplicate"
        code = "invalid_event" if bad else self.code(content, at)
        if code and not bad and len(self.held) == PER_SOURCE:
            return "stop"
        self.mark = number
        if bad:
            self.refused[number] = code
        elif code:
            self.held[number] = content, at
        else:
            self.stored[number] = content, at
        return f"refused {code}" if code else "stored"

    def _again(self, number: int) -> str:
        if code := self.code(*self.held[number]):
            return f"refused {code}"
        self.stored[number] = self.held.pop(number)
        return "stored"

    def look_again(self) -> None:
        for number in sorted(self.held):
            self._again(number)

    def drop(self, number: int) -> None:
        if self.held.pop(number, None):
            self.refused[number] = "dropped"


# -- any life ----------------------------------------------------------------------------------------------------------

sends = st.tuples(
    st.just("send"),
    st.integers(-3, 1),  # where it begins, from the next number on
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 1), st.sampled_from([0, 0, 1, 3]), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["", "", "", "", "insert fails", "in doubt", "dies before", "dies after", "dies at the commit"]),
)
others = st.one_of(
    st.tuples(st.just("again"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("appears"), st.sampled_from(NAMES[1:])),
    st.tuples(st.just("time"), st.integers(1, 3)),
    st.tuples(st.just("drop"), st.integers(1, 12)),
    st.tuples(st.just("look again")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("death")),
)
lives = st.lists(st.one_of(sends, others), max_size=25)


class Life:
    """The server and the model, step by step."""

    def __init__(self, services: Services) -> None:
        self.services, self.model = services, Model()
        self.open()

    def open(self) -> None:
        self.services.open(max_held_per_source=PER_SOURCE)
        by_hand(self.services)

    def step(self, kind: str, *told: Any) -> None:
        getattr(self, kind.replace(" ", "_"))(*told)

    def send(self, first: int, events: list[tuple[str, int, int, bool]], fault: str) -> None:
        start = max(1, self.model.mark + 1 + first)
        sent = [
            (number, (account, size), self.model.now + ahead * STEP_MS, bad and ahead == 0)
            for number, (account, size, ahead, bad) in enumerate(events, start)
        ]
        self.deliver(sent, fault)

    def again(self, which: int, other: bool) -> None:
        """A held number, of another time: as it was, or contradicted."""
        if self.model.held:
            number = sorted(self.model.held)[which % len(self.model.held)]
            account, size = self.model.held[number][0]
            self.deliver([(number, (account, size + other), self.model.now, False)], "")

    def deliver(self, sent: list[tuple[int, Content, int, bool]], fault: str) -> None:
        body = [
            {"source": "log", "sequence": number, "account": account, "bytes_up": size, "time": format_instant(at)}
            | ({"requests": -1} if bad else {})
            for number, (account, size), at, bad in sent
        ]
        stored, mark = set(self.model.stored), self.model.mark
        expected = self.model.send(sent)
        if fault and (set(self.model.stored) - stored or self.model.mark > mark):  # only then there is a block
            expected = self.fail(fault, body, expected, sent)
        assert self.told(body) == expected

    def fail(self, fault: str, body: list[Any], expected: list[str], sent: list[Any]) -> list[str]:
        journal = self.services.journal
        match fault:
            case "insert fails":
                journal.before.append(ConnectionError("no engine"))
                with pytest.raises(Unavailable):
                    self.services.send(*body)
                return expected
            case "in doubt":
                journal.after.append(TimeoutError("no answer"))
                return expected
            case "dies before":
                journal.before.append(Death())
            case "dies after":
                journal.after.append(Death())
            case _:
                self.services.fail_keys("COMMIT", Death())
        self.services.die(*body)
        journal.before.clear()
        journal.after.clear()
        self.open()
        return expected if fault == "dies before" else self.after_death(expected, sent)

    def after_death(self, expected: list[str], sent: list[tuple[int, Content, int, bool]]) -> list[str]:
        """The record is there: all that the block decided is known, also why others were refused."""
        for number, *_ in sent:
            if number in self.model.refused:
                told = self.services.door.event("log", str(number), self.services.credential)
                assert self.model.refused[number] == told.code
        return self.model.send(sent)

    def told(self, body: list[Any]) -> list[str]:
        stopped: FlowtallyError | None = None
        receipts: Any = []
        try:
            receipts = self.services.send(*body).receipts
        except (SequenceGap, HoldsFull) as error:
            stopped = error
        if stopped is None:
            return [_told(one) for one in receipts]
        assert stopped.extra["sequence"] == self.model.mark
        if isinstance(stopped, SequenceGap):
            return ["gap"]
        receipts = stopped.extra["receipts"]
        return [*(_told(one) for one in receipts), "stop"]

    def appears(self, name: str) -> None:
        if name not in self.model.accounts:
            with self.services.ledger.begin() as tx:
                accounts.create_account(tx, name, now=0)
            self.model.accounts.add(name)

    def time(self, steps: int) -> None:
        self.services.clock.at += steps * STEP_MS
        self.model.now += steps * STEP_MS

    def drop(self, number: int) -> None:
        was = number in self.model.held
        asked = HeldFilter(source="log", sequence=number)
        assert run(self.services.door.drop_held(asked, "why", self.services.credential)).refused == was
        self.model.drop(number)

    def look_again(self) -> None:
        before = len(self.model.held)
        self.model.look_again()
        answer = run(self.services.door.retry_held(HeldFilter()))
        left = len(self.model.held)
        assert (answer.stored, answer.refused, answer.held) == (before - left, 0, left)

    def restart(self) -> None:
        self.services.close()
        self.open()

    def death(self) -> None:
        self.services.crash()
        self.open()

    def check(self) -> None:
        """Each number is one of them, and the rows add up."""
        page = self.services.door.held(HeldFilter(), self.services.credential, None, 1000)
        assert [one.sequence for one in page.items] == sorted(self.model.held)
        for number in range(1, self.model.mark + 1):
            event = self.services.door.event("log", str(number), self.services.credential)
            if number in self.model.stored:
                (account, size), at = self.model.stored[number]
                assert (event.status, event.account, event.bytes_up) == ("stored", account, size)
                assert event.time == format_instant(at)
            else:
                assert event.status == "refused"
                assert bool(event.retriable) == (number in self.model.held)
                assert number in self.model.held or event.code == self.model.refused[number]
        rows = self.services.store.inner.rows  # type: ignore[attr-defined]
        assert sorted(row["sequence"] for row in rows) == sorted(self.model.stored)
        assert self.services.door.metrics()["held_events"] == len(self.model.held)
        self.services.whole()


def _told(receipt: Any) -> str:
    return f"refused {receipt.code}" if receipt.status == "refused" else str(receipt.status)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # they die, as they are told
@settings(max_examples=sampled(40, 5), deadline=None, suppress_health_check=list(HealthCheck))
@given(told=lives)
def test_each_number_is_one_of_stored_refused_held_and_dropped(
    told: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory, ledger_of_two: tuple[Path, Credential]
) -> None:
    with services_in(tmp_path_factory.mktemp("life"), ledger_of_two) as services:
        one = Life(services)
        for kind, *more in told:
            one.step(kind, *more)
        if one.model.mark:
            one.check()
        one.restart()
        one.look_again()
        if one.model.mark:
            one.check()

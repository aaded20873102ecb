"""Whose a source is: it comes into being inside the block that stores something of it, belongs to a sender, and an
administrator may hand it over. A request of which nothing is stored leaves nothing behind."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.conftest import NOW
from tests.ingest.conftest import TIME, Death, Services, named, numbered, services_in
from tests.ingest.test_held import by_hand, together
from tests.soak import sampled

from flowtally.core.corrections import DEFAULT_SOURCE
from flowtally.core.errors import FlowtallyError, NotFound, Settling, SourceKindMismatch, SourceNotYours, TooManyNew
from flowtally.keys.salvage import salvage
from flowtally.keys.values import Source
from flowtally.ledger.people import accounts, credentials
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.tables import products_used, user_names

ACCOUNTS: Final = ("acme", "beta")
NAMES: Final = ("one", "two", DEFAULT_SOURCE, "flowtally:bytesflows")
WHOSE: Final = (None, "acme", "beta")


def issue(services: Services, account: str | None, sender: str | None = None) -> Credential:
    with services.ledger.begin() as tx:
        return credentials.issue(tx, "ingest", account, "gateway", NOW, sender=sender)[0]


# -- what a refused request leaves behind ------------------------------------------------------------------------------

event = st.fixed_dictionaries(
    {
        "account": st.sampled_from(["acme", "acme", "beta", "nobody"]),
        "user": st.sampled_from(["ann", "bob", "bad\x00"]),
        "product": st.sampled_from(["residential", "mobile"]),
        "bytes_up": st.sampled_from([1, 1, 2, -1]),
        "id": st.sampled_from(["1", "2", "3"]),
    }
)
step = st.tuples(
    st.integers(0, 3),  # whose credential
    st.sampled_from(NAMES),
    st.sampled_from(["named", "numbered", "numbered", "gap", "correction"]),
    st.lists(event, min_size=1, max_size=3),
    st.booleans(),  # all or nothing
    st.sampled_from(["", "", "", "engine", "death", "restart", "hand over"]),
)


class Life:
    """Requests of four credentials, and what is there before and after each."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.open()
        self.writers = [services.credential, *(issue(services, account) for account in WHOSE)]

    def open(self) -> None:
        self.services.open(max_held_per_source=1)
        by_hand(self.services)

    def step(self, who: int, source: str, kind: str, events: list[dict[str, Any]], atomic: bool, fault: str) -> None:
        writer = self.writers[who]
        before, known = self.sources(), self.promised()
        if fault == "hand over":
            self.hand_over(source, writer)
            return
        if fault == "death" and kind != "correction":
            self.die(self.events(source, kind, events), writer)
            after = self.sources()
            assert before.items() <= after.items()
            assert after.keys() - before.keys() <= self.with_rows()
            return
        if fault == "engine":
            self.services.journal.before.append(ConnectionError("no engine"))
        stored = self.ask(writer, source, kind, events, atomic=atomic)
        engine_failed = fault == "engine" and not self.services.journal.before
        self.services.journal.before.clear()
        if fault == "restart":
            self.services.close()
            self.open()
        self.check(writer, source, kind, stored, before, known, engine_failed=engine_failed)

    def check(
        self, writer: Credential, source: str, kind: str, stored: int, before: Any, known: Any, **how: Any
    ) -> None:
        after = self.sources()
        if stored and source not in before:
            assert after.pop(source) == ("numbered" if kind in ("numbered", "gap") else "named", writer.sender)
        assert after == before
        if not stored and not how["engine_failed"]:  # then users and products were on their way to a row
            assert self.promised() == known
        remembered = self.services.door._committer.sources
        there: dict[str, Source] = self.services.keys.named_sources(NAMES)
        assert {name: remembered[name] for name in remembered} == {name: there[name] for name in remembered}

    def events(self, source: str, kind: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        sent = [{"source": source, "time": TIME, **one} for one in events]
        if kind != "named":
            there = self.services.keys.source(source)
            first = (there.mark if there else 0) + (5 if kind == "gap" else 1)
            sent = [one | {"sequence": number} for number, one in enumerate(sent, first)]
        return sent

    def ask(self, writer: Credential, source: str, kind: str, events: list[Any], *, atomic: bool) -> int:
        try:
            if kind == "correction":
                corrects = {"source": "one", "id": "1"}
                asked = {"source": source, "id": "c1", "corrects": corrects, "void": True, "reason": "wrong"}
                return self.services.correct(asked, credential=writer).stored
            return self.services.send(*self.events(source, kind, events), atomic=atomic, credential=writer).stored
        except FlowtallyError as error:
            stored = error.extra.get("stored", 0)
            assert isinstance(stored, int)
            return stored

    def die(self, sent: list[dict[str, Any]], writer: Credential) -> None:
        """As far as it gets: where nothing is to be written, nothing dies."""
        self.services.journal.before.append(Death())

        async def ask() -> None:
            body = msgspec.json.encode(sent)
            taking = asyncio.ensure_future(self.services.door.take(body, "application/json", None, writer))
            while not taking.done() and self.services.door._committer.alive():  # noqa: ASYNC110 - a thread's end
                await asyncio.sleep(0.001)
            taking.cancel()
            with suppress(FlowtallyError, asyncio.CancelledError):
                await taking

        asyncio.run(ask())
        self.services.journal.before.clear()
        if not self.services.door._committer.alive():
            self.services.crash()
            self.open()

    def hand_over(self, source: str, writer: Credential) -> None:
        assert writer.sender is not None
        before = self.sources()
        if source in before:
            self.services.door.hand_over(source, writer.sender)
            before[source] = (before[source][0], writer.sender)
        else:
            with pytest.raises(NotFound):
                self.services.door.hand_over(source, writer.sender)
        assert self.sources() == before

    def sources(self) -> dict[str, tuple[str, str]]:
        """Kind and owner of each, as the file has them."""
        return {one.name: (one.kind, one.owner) for one in self.services.keys.source_page(None, 0, 100)}

    def with_rows(self) -> set[str]:
        return {row["source"] for row in self.services.store.inner.rows}  # type: ignore[attr-defined]

    def promised(self) -> set[tuple[str, ...]]:
        """Users and used products."""
        with self.services.ledger.read() as tx:
            users = tx.execute(select(user_names.c.account, user_names.c.name)).all()
            return {tuple(row) for row in (*users, *tx.execute(select(products_used.c.product)).all())}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # they die, as they are told
@settings(max_examples=sampled(40, 5), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(step, max_size=15))
def test_a_request_of_which_nothing_is_stored_leaves_no_trace(
    tmp_path_factory: pytest.TempPathFactory, ledger_of_two: tuple[Path, Credential], steps: list[Any]
) -> None:
    with services_in(tmp_path_factory.mktemp("sources"), ledger_of_two) as services:
        life = Life(services)
        for one in steps:
            life.step(*one)


# -- senders -----------------------------------------------------------------------------------------------------------


def test_two_credentials_of_a_sender_share_its_sources(light: Services) -> None:
    old = issue(light, None)
    new = issue(light, None, old.sender)
    assert light.send(*numbered(1, 1), credential=old).stored == 1
    assert light.send(*numbered(2, 2), credential=new).stored == 1
    assert light.send(*numbered(3, 3), credential=old).stored == 1
    with pytest.raises(SourceNotYours):
        light.send(*numbered(4, 4), credential=issue(light, None))


@pytest.mark.parametrize("restarts", [False, True])
def test_a_source_that_was_handed_over_is_the_others_from_the_next_block_on(light: Services, restarts: bool) -> None:
    old, new = issue(light, None), issue(light, None)
    light.send(*numbered(1, 2), credential=old)
    told = light.door.hand_over("log", new.sender or "")
    assert (told.sender, told.sequence, told.position) == (new.sender, 2, "p2")
    if restarts:
        light.crash()
    with pytest.raises(SourceNotYours):
        light.send(*numbered(3, 3), credential=old)
    assert light.send(*numbered(2, 3), credential=new).stored == 1
    assert light.door.source("log", new).sequence == 3
    with pytest.raises(NotFound):
        light.door.source("log", old)
    light.whole()


@pytest.mark.parametrize("statement", ["UPDATE sources", "COMMIT"])
def test_a_hand_over_that_fails_has_changed_nothing(light: Services, statement: str) -> None:
    old, new = issue(light, None), issue(light, None)
    light.send(*numbered(1, 1), credential=old)
    light.fail_keys(statement, sqlite3.OperationalError("disk I/O error"))
    with pytest.raises((FlowtallyError, sqlite3.OperationalError)):
        light.door.hand_over("log", new.sender or "")
    for restarts in (False, True):
        if restarts:
            light.crash()
        assert light.keys.source("log").owner == old.sender
        assert light.send(*numbered(1, 2 + restarts), credential=old).stored == 1
    assert light.door.hand_over("log", new.sender or "").sender == new.sender
    assert light.door.hand_over("log", new.sender or "").sender == new.sender


def test_a_hand_over_waits_for_the_block_in_doubt(light: Services) -> None:
    old, new = issue(light, None), issue(light, None)
    light.send(*numbered(1, 1), credential=old)
    light.journal.after.append(TimeoutError("no answer"))
    light.journal.asking += [TimeoutError("no answer")] * 3
    with pytest.raises(Settling):
        light.send(*numbered(2, 2), credential=old)
    with pytest.raises(Settling):
        light.door.hand_over("log", new.sender or "")
    assert light.statuses(*numbered(2, 2)) == ["duplicate"]
    assert light.door.hand_over("log", new.sender or "").sequence == 2


def test_keys_made_anew_from_the_rows_take_over_who_owns_what(light: Services, tmp_path: Path) -> None:
    old, new = issue(light, None), issue(light, None)
    light.send(*numbered(1, 1), credential=old)
    light.door.hand_over("log", new.sender or "")
    light.close()
    kept = tmp_path / "old.db"
    shutil.copy(light.data / "keys.db", kept)
    with closing(sqlite3.connect(light.data / "keys.db")) as db:
        db.execute("UPDATE sources SET owner = ''")
        db.commit()
    assert salvage(light.data / "keys.db", kept) is not None
    assert light.keys.source("log").owner == new.sender


def test_a_source_of_which_only_rows_tell_is_the_administrators_until_it_is_handed_over(light: Services) -> None:
    gateway = issue(light, "acme")
    light.keys.register("log", "numbered", "")
    with pytest.raises(SourceNotYours):
        light.send(*numbered(1, 1), credential=gateway)
    assert light.door.sources(light.credential, "", None, 9).items[0].source == "log"
    light.door.hand_over("log", gateway.sender or "")
    assert light.send(*numbered(1, 1), credential=gateway).stored == 1


def test_a_list_of_sources_is_of_all_or_of_ones_own(light: Services) -> None:
    mine, other = issue(light, None), issue(light, None)
    for name in ("a", "b"):
        light.send(*named("1", source=name), credential=mine)
    light.send(*numbered(1, 3), credential=other)
    listed = light.door.sources(light.credential, None, None, 2)
    rest = light.door.sources(light.credential, None, listed.next, 2)
    assert [(one.source, one.kind, one.sender, one.sequence) for one in (*listed.items, *rest.items)] == [
        ("a", "named", mine.sender, None),
        ("b", "named", mine.sender, None),
        ("log", "numbered", other.sender, 3),
    ]
    assert rest.next is None
    for asked in (None, mine.sender):
        assert [one.source for one in light.door.sources(mine, asked, None, 9).items] == ["a", "b"]
    assert light.door.sources(mine, other.sender, None, 9).items == []
    assert [one.source for one in light.door.sources(light.credential, other.sender, None, 9).items] == ["log"]


def test_a_credential_of_an_account_is_told_nothing_of_others_in_a_source_it_was_handed(light: Services) -> None:
    wide, bound = issue(light, None), issue(light, "acme")
    with light.ledger.begin() as tx:
        accounts.change_account(tx, "beta", status="closed", now=NOW)
    light.send(*numbered(1, 1), *numbered(2, 2, account="later"), *numbered(3, 3, account="beta"), credential=wide)
    light.send(*named("1"), *named("2", account="acme"), credential=wide)
    for source in ("log", "gw"):
        light.door.hand_over(source, bound.sender or "")
    assert light.door.event("log", "1", bound).account == "acme"
    with pytest.raises(NotFound):
        light.door.event("log", "2", bound)
    refused = light.door.event("log", "3", bound)
    assert (refused.code, refused.detail) == ("account_closed", "")
    assert "beta" in light.door.event("log", "3", light.credential).detail


# -- names that are reserved -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [DEFAULT_SOURCE, "flowtally:bytesflows", "flowtally:"])
@pytest.mark.parametrize("account", [None, "acme"])
def test_names_of_the_administrators_and_of_this_server_are_nobodys_to_take(
    light: Services, name: str, account: str | None
) -> None:
    tenant = issue(light, account)
    light.send(*named("1"), credential=tenant)
    corrects = {"source": "gw", "id": "1"}
    with pytest.raises(SourceNotYours):
        light.correct({"source": name, "id": "c", "corrects": corrects, "void": True, "reason": "x"}, credential=tenant)
    for events in (named("1", source=name), numbered(1, 1, source=name)):
        with pytest.raises(SourceNotYours):
            light.send(*events, credential=tenant)
    assert light.keys.source(name) is None


@pytest.mark.parametrize("kind", ["named", "numbered"])
def test_corrections_go_on_where_a_tenant_took_their_source_before_that_was_refused(light: Services, kind: Any) -> None:
    tenant = issue(light, "acme")
    light.send(*named("1"), credential=tenant)
    light.keys.register(DEFAULT_SOURCE, kind, tenant.sender)
    void = {"id": "c", "corrects": {"source": "gw", "id": "1"}, "void": True, "reason": "x"}
    with pytest.raises(SourceNotYours):
        light.send(*named("9", source=DEFAULT_SOURCE), credential=tenant)
    if kind == "named":
        assert light.correct(void).stored == 1
    else:
        with pytest.raises(SourceKindMismatch, match="name another source"):
            light.correct(void)
    assert light.door.hand_over(DEFAULT_SOURCE, light.credential.sender or "").sender == light.credential.sender


def test_looking_sources_up_is_one_question_however_many_there_are(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    look_up = light.keys.named_sources

    def count(names: set[str]) -> Any:
        asked.append(len(names))
        return look_up(names)

    monkeypatch.setattr(light.keys, "named_sources", count)
    monkeypatch.setattr(light.keys, "source", lambda *_: pytest.fail("one by one"))
    monkeypatch.setattr(light.keys, "claimed", lambda *_: pytest.fail("of what is not there nothing is claimed"))
    events = [one for name in range(500) for one in named("1", source=f"s{name}", account="nobody")]
    assert light.send(*events).refused == 500
    assert asked == [500]


def test_no_more_sources_are_looked_up_than_it_takes_to_refuse_a_request(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    look_up = light.keys.named_sources

    def count(names: Any) -> Any:
        asked.append(len(names))
        return look_up(names)

    monkeypatch.setattr(light.keys, "named_sources", count)
    with pytest.raises(TooManyNew, match="At least 2000 new sources in one request; at most 1000"):
        light.send(*[one for name in range(30_000) for one in named("1", source=f"s{name}")])
    assert sum(asked) == 2000


def test_a_request_may_name_any_number_of_sources_that_are_there(light: Services) -> None:
    light.open(max_new_sources_per_request=3)
    of = [[one for name in range(first, first + 3) for one in named("1", source=f"s{name}")] for first in (0, 3, 6)]
    for part in of:
        assert light.send(*part).stored == 3
    light.door._committer.sources.forget()
    assert light.send(*[one | {"id": "2"} for part in of for one in part]).stored == 9


def test_a_request_may_name_the_sources_that_another_one_of_its_block_begins(light: Services) -> None:
    light.open(max_new_sources_per_request=3)
    of = [one for name in range(3) for one in named("1", source=f"s{name}")]
    more = [one for name in range(6) for one in named("2", source=f"s{name}")]
    told = together(light, (of, False), (more, False))
    assert [one.stored for one in told] == [3, 6]


@pytest.mark.parametrize("atomic", [False, True])
def test_the_source_of_corrections_takes_no_numbers_whoever_sends_them(light: Services, atomic: bool) -> None:
    light.send(*named("1"))
    with pytest.raises(SourceKindMismatch, match="kept for corrections, which have no numbers"):
        light.send(*numbered(1, 2, source=DEFAULT_SOURCE), atomic=atomic)
    assert light.keys.source(DEFAULT_SOURCE) is None
    assert light.correct({"id": "c", "corrects": {"source": "gw", "id": "1"}, "void": True, "reason": "x"}).stored == 1


def test_numbers_of_a_source_of_that_name_that_is_there_already_go_on(light: Services) -> None:
    light.keys.register(DEFAULT_SOURCE, "numbered", light.credential.sender)
    assert light.send(*numbered(1, 2, source=DEFAULT_SOURCE)).stored == 2

"""Whose an event is: by the name at the event's own time, and without asking twice in the usual case."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from tests.conftest import NOW, Clock
from tests.ingest.conftest import Services, named, numbered

from flowtally.core.corrections import Correction
from flowtally.core.edges import format_instant
from flowtally.core.errors import FlowtallyError
from flowtally.ingest import correction_plan
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed, names, users
from flowtally.protocol import EventsAnswer

ANN = ("acme", "ann")
NUMBERS: Final = count()
Turns = list[tuple[list[tuple[str, int]], str, str]]


@pytest.fixture
def resolver(app_ledger: Ledger, clock: Clock) -> NameResolver:
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
    return NameResolver(app_ledger, clock)


def ids(resolver: NameResolver, *events: tuple[str, int]) -> list[str]:
    """The users of events of acme, given as (user, time)."""
    return resolver.user_ids([("acme", user) for user, _ in events], np.array([at for _, at in events], np.int64))


def unknown(resolver: NameResolver, *events: tuple[str, int]) -> set[int]:
    names, times = [("acme", user) for user, _ in events], np.array([at for _, at in events], np.int64)
    return {row for row, user_id in enumerate(resolver.known_ids(names, times)) if user_id is None}


def rename(ledger: Ledger, user: str, name: str, now: int) -> str:
    with ledger.begin() as tx:
        return managed.change_user(tx, "acme", user, name=name, now=now).id


def test_each_event_is_resolved_by_its_own_time(resolver: NameResolver, app_ledger: Ledger) -> None:
    """
    ann   first until 10 | second from 10
    anna  first
    """
    [first] = ids(resolver, ("ann", 5))
    assert rename(app_ledger, "ann", "anna", 10) == first
    resolver.forget("acme")
    found = ids(resolver, ("ann", 9), ("ann", 10), ("", 9), ("anna", 10), ("ann", 3), ("ann", 11))
    second = found[1]
    assert found == [first, second, "", first, first, second]
    assert second != first
    with app_ledger.read() as tx:
        assert users.resolve_users(tx, [ANN], 99) == {ANN: second}


def test_the_status_of_an_account_is_the_one_it_has_now_whoever_changed_it(
    resolver: NameResolver, app_ledger: Ledger
) -> None:
    """Remembered only for as long as the ledger has seen no other transaction."""
    asked = ["acme", "beta", "\ud800"]
    assert resolver.statuses(asked) == {"acme": "active"}
    for status in ("suspended", "active", "closed"):
        with app_ledger.begin() as tx:
            accounts.change_account(tx, "acme", status=status, now=NOW)
        assert resolver.statuses(["acme"]) == {"acme": status}
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "beta", now=NOW)
    assert resolver.statuses(["beta"]) == {"beta": "active"}
    assert resolver.statuses(asked) == {"acme": "closed", "beta": "active"}


def test_accounts_are_looked_up_again_only_where_something_was_written(
    resolver: NameResolver, app_ledger: Ledger
) -> None:
    resolver.statuses(["acme"])
    statements: list[str] = []
    event.listen(app_ledger._engine, "before_cursor_execute", lambda *asked: statements.append(asked[2]))
    assert resolver.statuses(["acme"]) == {"acme": "active"}
    assert statements == []
    assert resolver.statuses(["acme", "nobody"]) == {"acme": "active"}
    assert any("accounts" in text for text in statements)
    statements.clear()
    assert resolver.statuses(["nobody", "acme"]) == {"acme": "active"}
    assert statements == []


EVENTS = st.lists(st.tuples(st.sampled_from(["ann", "anna", "bob", ""]), st.integers(0, 40)), min_size=1, max_size=12)
TURNS = st.lists(st.tuples(EVENTS, st.sampled_from(["ann", "anna", "bob"]), st.sampled_from(["ann", "anna", "x"])))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TURNS)
def test_names_of_many_events_are_whose_they_are_event_by_event(app_ledger: Ledger, turns: Turns) -> None:
    """Each turn: a block of events, then a name goes from one user to another, or to a new one. The model asks the
    ledger's own history for one event after the other."""
    account = f"acc-{next(NUMBERS)}"
    with app_ledger.begin() as tx:
        accounts.create_account(tx, account, now=1)
    made: list[str] = []
    resolver = NameResolver(app_ledger, Clock(), made.extend)
    for turn, (events, old, new) in enumerate(turns):
        with app_ledger.read() as tx:
            before = names.histories(tx, {(account, user) for user, _ in events})
        free = {u for u, at in events if u and names.bearer_at(before.get((account, u), ()), at) is None}
        made.clear()
        distinct = sorted({user for user, _ in events})
        codes = np.array([distinct.index(user) for user, _ in events], dtype=np.int32)
        found, places = resolver.bearers([(account, distinct)], codes, np.array([at for _, at in events], np.int64))
        with app_ledger.read() as tx:
            after = names.histories(tx, {(account, user) for user, _ in events})
        model = [names.bearer_at(after[account, u], at) if u else "" for u, at in events]
        assert [found[place] for place in places.tolist()] == model
        assert len(made) == len(free)
        with suppress(FlowtallyError), app_ledger.begin() as tx:
            if old == new:
                managed.create_user(tx, account, new, now=10 * (turn + 1))
            else:
                managed.change_user(tx, account, old, name=new, now=10 * (turn + 1))
        resolver.forget(account)


def test_a_late_event_of_a_deleted_user_is_its_own_and_makes_nobody(resolver: NameResolver, app_ledger: Ledger) -> None:
    [first] = ids(resolver, ("ann", 5))
    with app_ledger.begin() as tx:
        managed.delete_user(tx, "acme", "ann", now=10)
    resolver.forget("acme")
    assert ids(resolver, ("ann", 9)) == [first]
    with app_ledger.read() as tx:
        assert users.list_users(tx, "acme").items == []


def test_where_users_are_not_made_only_the_events_of_nobody_are_unknown(
    resolver: NameResolver, app_ledger: Ledger
) -> None:
    ids(resolver, ("ann", 5), ("bob", 5))
    rename(app_ledger, "ann", "anna", 10)
    resolver.forget("acme")
    assert unknown(resolver, ("ann", 9), ("ann", 10), ("bob", 99), ("eve", 5), ("", 5), ("anna", 3)) == {1, 3}


def test_what_is_remembered_is_not_asked_again_until_it_is_forgotten(
    resolver: NameResolver, app_ledger: Ledger
) -> None:
    asked: list[str] = []
    event.listen(app_ledger._engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    names = [("ann", 5), ("bob", 7), ("", 7)]
    first = ids(resolver, *names)
    asked.clear()
    assert ids(resolver, *names) == first
    assert asked == []
    resolver.forget("acme")
    assert ids(resolver, *names) == first
    assert asked


def test_a_change_in_one_account_makes_no_other_account_be_asked_again(
    resolver: NameResolver, app_ledger: Ledger
) -> None:
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "beta", now=NOW)
    both, times = [("acme", "ann"), ("beta", "ann")], np.array([5, 5], np.int64)
    found = resolver.user_ids(both, times)
    asked: list[str] = []
    event.listen(app_ledger._engine, "before_cursor_execute", lambda *given: asked.append(repr(given[3])))
    resolver.forget("beta")
    assert resolver.user_ids(both, times) == found
    assert [one for one in asked if "beta" in one]
    assert not [one for one in asked if "acme" in one]


def test_a_name_forgotten_while_the_ledger_is_read_is_asked_again(
    resolver: NameResolver, app_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename that commits after the ledger was read and before its answer is remembered."""
    [first] = ids(resolver, ("ann", 5))
    resolver.forget("acme")
    read = resolver._remember

    def remember_late(found: Any) -> None:
        rename(app_ledger, "ann", "anna", 10)
        resolver.forget("acme")
        read(found)
        monkeypatch.undo()

    monkeypatch.setattr(resolver, "_remember", remember_late)
    assert ids(resolver, ("ann", 20)) == [first]  # both were under way: as if it had come before the rename
    assert ids(resolver, ("ann", 20)) != [first]


def test_a_full_memory_starts_anew(resolver: NameResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowtally.ingest.name_resolver.REMEMBERED", 2)
    first = ids(resolver, ("ann", 5), ("bob", 5))
    assert ids(resolver, ("cid", 5), ("ann", 5))[1] == first[0]
    assert ids(resolver, ("ann", 5), ("bob", 5)) == first


def test_use_before_a_rename_stays_with_the_old_bearer_through_the_door(light: Services) -> None:
    """Numbered and named events, older and newer than the rename, arriving after it."""
    before, after = format_instant(NOW - 1000), format_instant(NOW)
    light.send(*named("a", user="ann", time=before))
    first = rename(light.ledger, "ann", "anna", NOW)
    light.door.forget_names("acme")
    light.send(*named("b", user="ann", time=before), *named("c", user="ann", time=after))
    light.send(*numbered(1, 1, user="ann", time=before), *numbered(2, 2, user="anna", time=after))
    who = {row["id"] or row["sequence"]: row["user"] for row in light.store.inner.rows}  # type: ignore[attr-defined]
    assert (who["a"], who["b"], who[1], who[2]) == (first, first, first, first)
    assert who["c"] != first


@pytest.mark.parametrize("count", [1, 400])
def test_use_under_a_login_of_a_gateway_is_the_users_whatever_its_session(light: Services, count: int) -> None:
    """A retry under the login of another session is a duplicate: it is the same content. Small bodies are read at once,
    large ones on a thread."""

    def send(session: int) -> EventsAnswer:
        logins = [f"td-customer-ann-country-us-sessid-{session}", "td-customer-bob"]
        events = [event for number in range(count) for event in named(str(number), user=logins[number % 2])]
        body = msgspec.json.encode(events)
        return asyncio.run(light.door.take(body, "application/json", None, light.credential, logins="thordata"))

    assert (send(1).stored, send(2).duplicate) == (count, count)
    with light.ledger.read() as tx:
        assert [one.name for one in users.list_users(tx, "acme").items] == ["ann", "bob"][:count]


@pytest.mark.parametrize("funded", [False, True])
def test_use_before_a_user_was_created_stays_with_whom_traffic_brought_through_the_door(
    light: Services, funded: bool
) -> None:
    """Also where it arrives after that; use dated from then on is the new user's, and nobody else is made."""
    before, after = format_instant(NOW - 1), format_instant(NOW)
    light.send(*named("a", user="ann", time=before))
    [seen] = users_of(light)
    with light.ledger.begin() as tx:
        made = managed.create_user(tx, "acme", "ann", funded=funded, now=NOW).id
    light.door.forget_names("acme")
    light.send(*named("b", user="ann", time=before), *named("c", user="ann", time=after))
    light.send(*numbered(1, 1, user="ann", time=before), *numbered(2, 2, user="ann", time=after))
    who = {row["id"] or row["sequence"]: row["user"] for row in light.store.inner.rows}  # type: ignore[attr-defined]
    assert who == {"a": seen, "b": seen, 1: seen, "c": made, 2: made}
    assert users_of(light) == sorted([seen, made])


def test_a_user_deleted_is_refused_from_then_on_where_users_are_not_made(light: Services) -> None:
    with light.ledger.begin() as tx:
        managed.create_user(tx, "acme", "ann", now=NOW - 5000)
    light.open(create_unknown_users=False)
    assert light.statuses(*named("a", user="ann", time=format_instant(NOW - 10))) == ["stored"]
    with light.ledger.begin() as tx:
        managed.delete_user(tx, "acme", "ann", now=NOW)
    light.door.forget_names("acme")
    late, new = format_instant(NOW - 10), format_instant(NOW)
    assert light.statuses(*named("b", user="ann", time=late), *named("c", user="ann", time=new)) == [
        "stored",
        "refused",
    ]
    assert light.statuses(*named("a", user="ann", time=new)) == ["duplicate"]  # a known key meets no rule of today


def strict(light: Services) -> str:
    """Users are not made, and there is one."""
    with light.ledger.begin() as tx:
        made = managed.create_user(tx, "acme", "ann", now=NOW - 5000).id
    light.open(create_unknown_users=False)
    return made


def delete_ann(light: Services) -> None:
    with light.ledger.begin() as tx:
        managed.delete_user(tx, "acme", "ann", now=NOW - 20)
    light.door.forget_names("acme")


def users_of(light: Services) -> list[str]:
    with light.ledger.read() as tx:
        return [user.id for user in users.list_users(tx, "acme", deleted=True).items]


def test_a_user_deleted_between_the_check_and_the_write_is_not_made_anew(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event was under way: it is the deleted user's, as if it had come before, and the next one is refused."""
    ann = strict(light)
    committer = light.door._committer
    claim = committer._claim

    def claim_late(*given: Any) -> Any:
        delete_ann(light)
        monkeypatch.undo()
        return claim(*given)

    monkeypatch.setattr(committer, "_claim", claim_late)
    new = format_instant(NOW - 10)
    assert light.statuses(*named("a", user="ann", time=new)) == ["stored"]
    assert [row["user"] for row in light.store.inner.rows] == [ann]  # type: ignore[attr-defined]
    assert users_of(light) == [ann]
    assert light.statuses(*named("b", user="ann", time=new)) == ["refused"]


def test_nor_is_one_that_an_adjustment_names(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = strict(light)
    digest = correction_plan.digest

    def digest_late(one: Correction) -> int:
        monkeypatch.undo()
        delete_ann(light)
        return digest(one)

    monkeypatch.setattr(correction_plan, "digest", digest_late)
    free = {"account": "acme", "user": "ann", "time": format_instant(NOW - 10), "reason": "goodwill", "bytes_up": -1}
    assert light.correct({"id": "g1", **free}).stored == 1
    assert [row["user"] for row in light.store.inner.rows] == [ann]  # type: ignore[attr-defined]
    assert users_of(light) == [ann]
    assert light.correct({"id": "g2", **free}).receipts[0].code == "unknown_user"


def test_no_reason_of_a_refused_event_that_is_kept_tells_the_name(light: Services) -> None:
    light.open(create_unknown_users=False)
    events = numbered(1, 1, user="Margarethe-M") + numbered(2, 2, user="Margarethe-M\x01")
    assert light.statuses(*events) == ["refused", "refused"]
    light.close()
    assert not any(b"Margarethe" in file.read_bytes() for file in light.data.iterdir())

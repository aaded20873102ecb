"""New sources and users are bounded, in a request and an hour: nothing of what is beyond is stored, nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from tests.ingest.conftest import Services, gather, named, numbered, services_in
from tests.ingest.test_held import together
from tests.ingest.test_sources import issue
from tests.soak import sampled

from flowtally.agents.sending import BATCH_EVENTS
from flowtally.client.outbox import Limits
from flowtally.config import load_config
from flowtally.core.errors import NewTooOften, Settling, SourceKindMismatch, TooManyNew, Unavailable
from flowtally.core.times import HOUR_MS
from flowtally.ledger.people import names
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.tables import user_names

HOUR_S = HOUR_MS // 1000


def sources(services: Services) -> set[str]:
    return {one.name for one in services.keys.source_page(None, 0, 1000)}


def users(services: Services, account: str = "acme") -> int:
    with services.ledger.read() as tx:
        return tx.execute(select(func.count()).where(user_names.c.account == account)).scalar_one()


def of(count: int, prefix: str = "s") -> list[dict[str, Any]]:
    return [one for number in range(count) for one in named("1", source=f"{prefix}{number}")]


def by(count: int, prefix: str = "u", **more: Any) -> list[dict[str, Any]]:
    return [one for number in range(count) for one in named(f"{prefix}{number}", user=f"{prefix}{number}", **more)]


def test_a_request_of_too_many_new_sources_stores_nothing_and_in_parts_all(light: Services) -> None:
    light.open(max_new_sources_per_request=3)
    with pytest.raises(TooManyNew, match="4 new sources in one request; at most 3") as refused:
        light.send(*of(4))
    assert refused.value.extra == {"what": "sources", "limit": 3}
    assert sources(light) == set()
    assert light.send(*of(3)).stored == 3
    assert light.send(*of(4)).stored == 1  # three are known by now


def test_so_many_new_sources_within_an_hour_and_no_more(light: Services) -> None:
    light.open(max_new_sources_per_hour=3)
    bound, other = issue(light, "acme"), issue(light, "acme")
    assert light.send(*of(2), credential=bound).stored == 2
    with pytest.raises(NewTooOften) as refused:
        light.send(*of(2, "t"), credential=other)  # the account's senders together
    assert 0 < int(str(refused.value.extra["retry_after_s"])) <= HOUR_S
    assert light.send(*of(3, "t")).stored == 3  # a sender of no account counts by itself
    assert light.send(*of(2), *named("1", "2"), credential=bound).stored == 2
    assert sources(light) == {"s0", "s1", "gw", "t0", "t1", "t2"}
    light.clock.at += HOUR_MS
    assert light.send(*of(3, "v"), credential=other).stored == 3


def test_a_numbered_source_beyond_the_bound_takes_no_number(light: Services) -> None:
    light.open(max_new_sources_per_hour=1)
    light.send(*named("1"))
    with pytest.raises(NewTooOften):
        light.send(*numbered(1, 3))
    light.clock.at += HOUR_MS
    assert light.send(*numbered(1, 3)).stored == 3


def test_corrections_begin_no_more_sources_than_events(light: Services) -> None:
    light.open(max_new_sources_per_request=1)
    light.send(*named("1"))
    void = {"corrects": {"source": "gw", "id": "1"}, "void": True, "reason": "x", "id": "c"}
    with pytest.raises(TooManyNew):
        light.correct(void | {"source": "a"}, void | {"source": "b"})


def test_a_request_of_too_many_new_users_stores_nothing_and_in_parts_all(light: Services) -> None:
    light.open(max_new_users_per_request=3)
    with pytest.raises(TooManyNew, match="4 new users in one request; at most 3"):
        light.send(*by(4))
    assert (users(light), sources(light)) == (0, set())
    assert light.send(*by(3)).stored == 3
    assert light.send(*by(4)).stored == 1
    assert users(light) == 4


def test_so_many_new_users_of_an_account_within_an_hour_and_no_more(light: Services) -> None:
    light.open(max_new_users_per_hour=3)
    assert light.send(*by(2)).stored == 2
    with pytest.raises(NewTooOften, match="new users of 'acme'"):
        light.send(*by(2, "v"))
    assert light.send(*by(3, "v", account="beta")).stored == 3
    with pytest.raises(NewTooOften):
        light.send(*[one | {"source": "log", "sequence": place} for place, one in enumerate(by(2, "w"), 1)])
    light.clock.at += HOUR_MS
    assert (
        light.send(*[one | {"source": "log", "sequence": place} for place, one in enumerate(by(2, "w"), 1)]).stored == 2
    )
    assert (users(light), users(light, "beta")) == (4, 3)


def test_who_sends_too_much_stands_in_nobodys_way(light: Services) -> None:
    light.open(max_new_users_per_request=3, max_new_users_per_hour=5)
    light.send(*named("first"))
    told = together(
        light, (by(2), False), (by(4, "v"), False), (by(3, "w"), False), (by(1, "x"), False), (by(2), False)
    )
    assert [getattr(one, "stored", one.__class__) for one in told] == [2, TooManyNew, 3, NewTooOften, 0]
    assert users(light) == 5


def test_new_users_beyond_a_block_wait_for_the_next_and_let_others_by(light: Services) -> None:
    """Who makes few, or none, is in the same block as the first who makes many."""
    light.open(max_new_users_per_request=10)  # 11 in a block
    light.send(*named("first", user="ann"))
    others = {number: issue(light, None) for number in range(4)}
    told = together(
        light,
        (by(10, source="a"), False),
        (by(10, "v", source="b"), False),
        (by(1, "x", source="c"), False),
        (named("second", user="ann", source="d"), False),
        by=others,
    )
    assert [one.stored for one in told] == [10, 10, 1, 1]
    assert [block.rows.num_rows for block in light.store.appended] == [1, 12, 10]
    light.whole()


def test_what_waits_for_the_next_block_keeps_the_order_of_its_source(light: Services) -> None:
    light.open(max_new_users_per_request=3)

    def log(first: int, users: int) -> tuple[list[dict[str, Any]], bool]:
        return [
            one | {"sequence": first + place} for place, one in enumerate(by(users, f"u{first}-", source="log"))
        ], False

    told = together(light, log(1, 3), log(4, 3), log(7, 1), log(8, 4), log(8, 2), (by(1, source="log"), False))
    assert [getattr(one, "stored", one.__class__) for one in told] == [3, 3, 1, TooManyNew, 2, SourceKindMismatch]
    assert light.keys.source("log").mark == 9
    assert [block.rows.num_rows for block in light.store.appended] == [3, 3, 1, 2]


def test_a_block_that_the_engine_refuses_answers_each_once_also_who_had_to_wait(light: Services) -> None:
    light.open(max_new_users_per_request=3)
    light.journal.poison = "bad"
    told = together(light, (by(2), False), (named("bad"), False), (by(3, "v"), False), (by(1, "w"), False))
    assert [getattr(one, "stored", one.__class__) for one in told] == [2, Unavailable, 3, 1]
    light.whole()


def test_a_block_in_doubt_answers_each_once_also_who_had_to_wait(light: Services) -> None:
    """Nothing is put back then: who had to wait is told to come again, as the others are."""
    light.open(max_new_users_per_request=3)
    light.journal.after, light.journal.asking = [OSError("lost")], [OSError("gone")] * 3
    sent = [(by(2), False), (by(3, "v"), False), (by(1, "w"), False)]
    assert [one.__class__ for one in together(light, *sent)] == [Settling] * 3
    assert (light.door._queue.events, light.door._queue.bytes) == (0, 0)
    assert [one.stored for one in together(light, *sent)] == [0, 3, 1]  # the rows of the first were there
    light.whole()


def test_who_waits_for_the_next_block_is_written_before_the_end(light: Services) -> None:
    light.open(max_new_users_per_request=3)

    async def ask() -> list[Any]:
        gather(light.door, 4)
        taking = [
            asyncio.ensure_future(
                light.door.take(msgspec.json.encode(by(3, prefix)), "application/json", None, light.credential)
            )
            for prefix in "abcd"
        ]
        for _ in range(1000):
            if light.door._queue._count + len(light.door._committer._taken) >= 4:
                break
            await asyncio.sleep(0.001)
        await asyncio.to_thread(light.door._committer.stop)
        return await asyncio.wait_for(asyncio.gather(*taking), 20)

    assert [one.stored for one in asyncio.run(ask())] == [3] * 4
    assert (users(light), light.door._queue.events) == (12, 0)


def test_names_are_looked_up_for_few_who_have_to_wait(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    light.open(max_new_users_per_request=10)
    asked: list[int] = []
    look_up = names.histories

    def count(tx: Any, wanted: Any) -> Any:
        asked.append(len(wanted := list(wanted)))
        return look_up(tx, wanted)

    monkeypatch.setattr(names, "histories", count)
    told = together(light, *[(by(10, f"{number}-"), False) for number in range(10)])
    assert [one.stored for one in told] == [10] * 10
    assert sum(asked) <= 10 * 10 * 5  # all of them in each block would be 550 and more for the first look alone


@settings(max_examples=sampled(25, 5), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 9), st.booleans()), min_size=1, max_size=9)
)
def test_however_blocks_are_cut_each_is_answered_as_if_one_came_after_the_other(
    tmp_path_factory: pytest.TempPathFactory,
    ledger_of_two: tuple[Path, Credential],
    sent: list[tuple[int, int, int, bool]],
) -> None:
    """By three senders, each with a numbered source of its own: all in one take of a server whose blocks are small."""
    with services_in(tmp_path_factory.mktemp("cut"), ledger_of_two) as services:
        services.open(max_new_users_per_request=4)
        whose = [issue(services, account) for account in ("acme", None, None)]
        marks = [0, 0, 0]
        asked: list[tuple[list[dict[str, Any]], bool]] = []
        for sender, count, first, atomic in sent:
            asked.append(
                (
                    [
                        numbered(
                            marks[sender] + 1 + place,
                            marks[sender] + 1 + place,
                            f"log{sender}",
                            user=f"u{first + place}",
                        )[0]
                        for place in range(count)
                    ],
                    atomic,
                )
            )
            marks[sender] += count
        told = together(services, *asked, by={number: whose[one[0]] for number, one in enumerate(sent)})
        assert [one.stored for one in told] == [count for _, count, _, _ in sent]
        assert [getattr(services.keys.source(f"log{n}"), "mark", 0) for n in range(3)] == marks
        assert users(services) == len({f"u{first + place}" for _, count, first, _ in sent for place in range(count)})
        services.whole()


def test_what_our_own_senders_put_into_one_request_is_never_too_much() -> None:
    """By default each event may be of another new user."""
    most = load_config({}, data="/nowhere").max_new_users_per_request
    assert most >= BATCH_EVENTS
    assert Limits().batch_events <= most


def test_events_that_are_counted_already_need_no_new_user(light: Services) -> None:
    """A conflict stays one, and a duplicate, whatever users it names."""
    light.open(max_new_users_per_request=1)
    light.send(*named("1", "2", "3", user="ann"))
    again = [*named("1", user="new"), *named("2", user="newer"), *named("3", user="ann")]
    assert light.statuses(*again) == ["conflict", "conflict", "duplicate"]
    assert users(light) == 1


def test_what_is_refused_makes_nobody(light: Services) -> None:
    light.open(max_new_users_per_request=1)
    assert light.send(*by(9, account="nobody")).refused == 9
    assert users(light) == 0


steps = st.tuples(st.booleans(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4))


@settings(max_examples=sampled(25, 5), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, max_size=8))
def test_sent_again_hour_by_hour_everything_is_stored_once(
    tmp_path_factory: pytest.TempPathFactory,
    ledger_of_two: tuple[Path, Credential],
    told: list[tuple[bool, list[tuple[int, int]]]],
) -> None:
    """Whatever is answered 429 or 413 comes through in the end, and no hour brings more than it may."""
    with services_in(tmp_path_factory.mktemp("new"), ledger_of_two) as services:
        services.open(max_new_sources_per_hour=2, max_new_users_per_hour=2)
        sent = 0
        for atomic, pairs in told:
            for source, user in pairs:
                sent += 1
                [event] = named(str(sent), source=f"s{source}", user=f"u{user}")
                before = len(sources(services)), users(services)
                try:
                    stored = services.send(event, atomic=atomic).stored
                except NewTooOften:
                    assert (len(sources(services)), users(services)) == before
                    services.clock.at += HOUR_MS
                    stored = services.send(event, atomic=atomic).stored
                assert stored == 1
        assert len(services.store.inner.rows) == sent  # type: ignore[attr-defined]

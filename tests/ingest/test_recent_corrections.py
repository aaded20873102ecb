"""What was read of an event before a correction waited is used only while nothing has corrected it since."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.conftest import Services, named

from flowtally.ingest import recent_corrections
from flowtally.ingest.correction_facts import CorrectionFacts
from flowtally.ingest.recent_corrections import RecentCorrections
from flowtally.ingest.submission import LookedUp
from flowtally.usage.values import Where


@given(
    blocks=st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), max_size=12),
    forgotten=st.integers(0, 12),
    most=st.integers(1, 6),
    asked=st.tuples(st.integers(0, 13), st.sets(st.sampled_from("abcdef"))),
)
def test_it_may_say_too_much_and_never_too_little(
    blocks: list[set[str]], forgotten: int, most: int, asked: tuple[int, set[str]]
) -> None:
    recent = RecentCorrections(0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recent_corrections, "REMEMBERED", most)
        for number, references in enumerate(blocks, 1):
            recent.add(number, sorted(references))
            if number == forgotten:
                recent.forget(number)
    block, wanted = asked
    truth = any(number > block and wanted & references for number, references in enumerate(blocks, 1))
    found = recent.since(block, wanted)
    assert found or not truth
    if most == 6 and forgotten > len(blocks):
        assert found is truth


def correction(id: str, up: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "corrects": {"source": "gw", "id": "a"}, "bytes_up": up, **more}


def stands_at(services: Services) -> int:
    found = services.store.sums([0, 4_000_000_000_000], Where(account="acme"))
    return sum(one.bytes_up for one in found)


def test_an_event_that_is_corrected_while_another_correction_of_it_waits(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both read the event before either is written; the second is planned on what the first made of it."""
    services.send(*named("a", bytes_up=100))
    both, find, looks = threading.Barrier(2), CorrectionFacts.find, []

    def slow(facts: CorrectionFacts, corrections: Any) -> LookedUp:
        found = find(facts, corrections)
        looks.append(corrections[0].id)
        if len(looks) <= 2:
            both.wait(20)
        return found

    monkeypatch.setattr(CorrectionFacts, "find", slow)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(services.correct, correction(f"c{up}", up)) for up in (70, 30)]
        receipts = [one.result(20).receipts[0] for one in asked]
    assert len(looks) == 3, "the second one reads again"
    first, second = sorted(receipts, key=lambda one: one.before.bytes_up if one.before else 0, reverse=True)
    assert first.before is not None
    assert second.before is not None
    assert second.after is not None
    assert (first.before.bytes_up, second.before) == (100, first.after)
    assert stands_at(services) == second.after.bytes_up


def test_what_others_correct_all_the_time_is_given_up_and_nothing_of_it_stored(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.send(*named("a", bytes_up=100))
    monkeypatch.setattr("flowtally.ingest.door.LOOKS", 3)
    monkeypatch.setattr(RecentCorrections, "since", lambda *_: True)
    with pytest.raises(Exception, match="Others correct these events all the time"):
        services.correct(correction("c", 1))
    assert stands_at(services) == 100


def test_the_writer_asks_the_usage_store_nothing(services: Services) -> None:
    """Events, corrections and readings, of counters too that were forgotten and come again: a store that hangs delays
    readers and flushes alone."""
    services.send(*named("a", "b", bytes_up=5))
    services.correct(correction("c", 3))
    services.correct(correction("c", 3), correction("d", 4))
    assert services.store.asked_of_rows == []
    assert stands_at(services) == 4 + 5

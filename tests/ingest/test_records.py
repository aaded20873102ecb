"""What a record says comes back as it was, and keys that number their sources otherwise follow it all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ingest.conftest import Services, named, numbered

from flowtally.core.counters import Run, Standing
from flowtally.ingest import recovery
from flowtally.ingest.records import decided_of, mentioned, names_of, record_of, renumbered
from flowtally.keys.store import Keys
from flowtally.keys.values import Advance, Due, Held, KnownCounter, Moved, Refused, Source

STANDING = Standing(3, Run("a", 5, (1, 0, 2**53)), 7, "", "acme", "usr_1", "residential", 60)
HELD = Held(2, 9, "id", "acme", "ann", 5, "unknown_user", "nobody", -(2**63), 8, b'{"bytes_up": 1}')
MOVED = Moved(
    block=7,
    received_at=1_700_000_000_000,
    rows=3,
    advances=(Advance(2, "log", 9, "p9"), Advance(3, "fresh", 1, None)),
    refused=(Refused(2, 8, "x", "invalid_event", "no"),),
    held=(HELD,),
    ended=((4, 1),),
    filled=((2, 4),),
    counters=(KnownCounter(5, "c", STANDING, 7),),
    seen=(KnownCounter(5, "d", STANDING, 0),),
    forgotten=(KnownCounter(6, "e", STANDING, 2),),
    due=(Due(5, "f", 99),),
    promise=12,
    sources=(Source(3, "fresh", "numbered", "snd_1", 0, None),),
)
NAMES = {4: "old", 5: "meter", 6: "gone"}


def test_it_comes_back_as_it_was() -> None:
    decided = decided_of(record_of(6, MOVED, None, NAMES))
    assert (decided.after, decided.moved) == (6, MOVED)
    assert names_of(decided) == {2: "log"} | NAMES


def test_every_source_that_says_no_name_is_mentioned() -> None:
    assert mentioned(MOVED) == set(NAMES)


def test_other_numbers_are_given_everywhere() -> None:
    numbers = {no: no + 10 for no in (2, 3, 4, 5, 6)}
    there = renumbered(MOVED, numbers)
    assert renumbered(there, {new: old for old, new in numbers.items()}) == MOVED
    assert mentioned(there) == {14, 15, 16}
    assert renumbered(MOVED, {no: no for no in numbers}) is MOVED


def test_keys_made_anew_from_the_records_alone_say_the_same(light: Services, tmp_path: Path) -> None:
    """In another order of sources, so with other numbers; owners, reasons and what is held are in the records."""
    light.send(*named("1", source="a"))
    light.send(*numbered(1, 2), *numbered(3, 3, account="nobody"), *numbered(4, 4, bytes_up=-1))
    light.send(*named("1", "2", source="b"), *numbered(5, 5))
    new = Keys(tmp_path / "new.db")
    new.register("b", "named", "")
    try:
        for record in light.journal.committed:
            recovery.follow(new, record)
        old = light.keys
        assert new.committed().rows_total == old.committed().rows_total == 6
        one, other = old.source("log"), new.source("log")
        assert other is not None
        assert (other.mark, other.position, other.owner) == (one.mark, one.position, light.credential.sender)
        assert [held.account for held in new.held(other.no, 1, 9).values()] == ["nobody"]
        assert [refused.code for refused in new.refusals(other.no, 1, 9).values()] == ["invalid_event"]
        assert other.no != one.no or new.source("b").no != old.source("b").no  # type: ignore[union-attr]
        for source in ("a", "b"):
            mine = old.known(old.source(source).no, [b"\x011", b"\x012"])
            found = new.source(source)
            assert found is not None
            assert new.known(found.no, [b"\x011", b"\x012"]) == mine != {}
    finally:
        new.close()


@pytest.mark.parametrize("again", [1, 2])
def test_a_record_is_followed_once(light: Services, tmp_path: Path, again: int) -> None:
    light.send(*numbered(1, 2))
    new = Keys(tmp_path / "new.db")
    try:
        for _ in range(again):
            recovery.follow(new, light.journal.committed[0])
        assert new.committed().rows_total == 2
    finally:
        new.close()

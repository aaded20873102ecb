"""The keys database: one owner, every key once, marks that never go back, damage that is named."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.small_disk import small_disk

from flowtally.core.errors import KeysBroken, StorageFull, WriterBusy
from flowtally.keys import key_index
from flowtally.keys.key_bytes import key_of, keys_of
from flowtally.keys.store import Keys
from flowtally.keys.values import Advance, Moved, Refused

HOLD = "import sys, pathlib\nfrom flowtally.keys.store import Keys\nkeys = Keys(pathlib.Path(sys.argv[1]))\n"
HOLD += "print('held', flush=True)\nsys.stdin.read()\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "keys.db"


@pytest.fixture
def keys(place: Path) -> Iterator[Keys]:
    opened = Keys(place)
    yield opened
    opened.close()


# -- the lease --------------------------------------------------------------------------------------------------------


def test_a_second_owner_is_refused_and_told_who_the_first_is(keys: Keys, place: Path) -> None:
    with pytest.raises(WriterBusy, match=f"process {os.getpid()}"):
        Keys(place)


def test_a_closed_database_is_free_again(place: Path) -> None:
    Keys(place).close()
    Keys(place).close()


def test_a_killed_owner_leaves_it_free(place: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(WriterBusy, match=f"process {owner.pid}"):
            Keys(place)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        Keys(place).close()


def test_a_database_that_cannot_be_opened_does_not_keep_the_lease(place: Path) -> None:
    place.write_bytes(b"this is no database at all, but long enough to be looked at" * 100)
    for _ in range(2):
        with pytest.raises(KeysBroken, match="cannot be read"):
            Keys(place)
    place.unlink()
    Keys(place).close()


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_claimed_once(keys: Keys) -> None:
    source = keys.register("gw", "named", "c")
    with keys.begin():
        assert keys.claim([(source.no, b"a", 1), (source.no, b"b", 2)], 5) == 2
    with keys.begin():
        assert keys.claim([(source.no, b"a", 9), (source.no, b"c", 3)], 6) == 1
    assert keys.known(source.no, [b"a", b"b", b"c", b"d"]) == {b"a": (1, 5), b"b": (2, 5), b"c": (3, 6)}


def test_another_source_has_keys_of_its_own(keys: Keys) -> None:
    one, two = keys.register("one", "named", "c"), keys.register("two", "named", "c")
    with keys.begin():
        assert keys.claim([(one.no, b"a", 1), (two.no, b"a", 2)], 1) == 2
    assert keys.known(two.no, [b"a"]) == {b"a": (2, 1)}


def test_an_unclaimed_key_is_free(keys: Keys) -> None:
    source = keys.register("gw", "named", "c")
    with keys.begin():
        keys.savepoint()
        keys.claim([(source.no, b"a", 1)], 1)
        keys.unclaim()
        assert keys.claim([(source.no, b"a", 2)], 1) == 1
    assert keys.known(source.no, [b"a"]) == {b"a": (2, 1)}


def test_a_failure_inside_leaves_nothing_claimed(keys: Keys) -> None:
    source = keys.register("gw", "named", "c")

    def fail() -> None:
        with keys.begin():
            keys.claim([(source.no, b"a", 1)], 1)
            keys.move(Moved(1, 10, 1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert keys.known(source.no, [b"a"]) == {}
    assert (keys.committed().block, keys.committed().rows_total) == (0, 0)


def test_many_keys_are_found_in_chunks(keys: Keys) -> None:
    source = keys.register("gw", "named", "c")
    wanted = [str(index).encode() for index in range(3 * key_index.CHUNK + 1)]
    with keys.begin():
        assert keys.claim([(source.no, key, index) for index, key in enumerate(wanted)], 1) == len(wanted)
    assert keys.known(source.no, wanted) == {key: (index, 1) for index, key in enumerate(wanted)}


hexadecimal = st.uuids().map(str)
near_uuid = st.tuples(hexadecimal, st.integers(0, 35), st.sampled_from("gG \t\nF-é٣\x00")).map(
    lambda given: given[0][: given[1]] + given[2] + given[0][given[1] + 1 :]
)
blanks = st.tuples(st.integers(0, 10**15), st.permutations(range(4))).map(
    lambda given: "{}-0000-0000-0000-{}".format(
        *(("  000000", "000000000000"), ("000000  ", "000000000000"))[given[0] % 2]
    )
)
sixteen = st.binary(min_size=15, max_size=18).map(lambda raw: raw.decode("latin-1"))
ids = st.one_of(
    st.text(max_size=40).filter(lambda text: "\ud800" not in text),
    hexadecimal,
    hexadecimal.map(str.upper),
    hexadecimal.map(lambda id: id.replace("-", "")),
    st.uuids().map(lambda id: id.bytes.decode("latin-1")),
    st.uuids().map(lambda id: "\x00" + id.bytes.decode("latin-1")),
    near_uuid,
    blanks,
    sixteen,
    st.just(""),
)


@given(st.lists(ids, max_size=8))
def test_two_ids_share_a_key_only_if_they_are_the_same_id(given_ids: list[str]) -> None:
    found = [key_of(id) for id in given_ids]
    for one, key in zip(given_ids, found, strict=True):
        for other, theirs in zip(given_ids, found, strict=True):
            assert (one == other) == (key == theirs)
    assert keys_of(given_ids) == found


@given(st.lists(st.uuids().map(str), min_size=1, max_size=20), near_uuid)
def test_many_uuids_at_once_get_the_keys_they_get_alone(uuids: list[str], odd: str) -> None:
    assert keys_of(uuids) == [b"\x00" + UUID(id).bytes for id in uuids] == [key_of(id) for id in uuids]
    assert keys_of([*uuids, odd]) == [key_of(id) for id in (*uuids, odd)]


def test_an_upper_case_uuid_is_another_id() -> None:
    id = "0190f3e0-7b1a-7abc-8def-0123456789ab"
    assert len({key_of(id), key_of(id.upper()), key_of(id.replace("a", "A"))}) == 3


def test_blanks_among_the_digits_do_not_make_two_ids_one() -> None:
    assert key_of("  000000-0000-0000-0000-000000000000") != key_of("000000  -0000-0000-0000-000000000000")


# -- sources, marks, the committer ------------------------------------------------------------------------------------


def test_a_source_keeps_the_kind_and_owner_of_its_first_use(keys: Keys) -> None:
    first = keys.register("gw", "numbered", "one")
    assert keys.register("gw", "named", "two") == first == keys.source("gw")
    assert keys.source("other") is None
    assert keys.named_sources(["gw", "other"]) == {"gw": first}


@settings(deadline=None)
@given(moves=st.lists(st.integers(1, 50), min_size=1, max_size=10))
def test_a_mark_never_goes_back(tmp_path_factory: pytest.TempPathFactory, moves: list[int]) -> None:
    keys = Keys(tmp_path_factory.mktemp("marks") / "keys.db")
    source = keys.register("log", "numbered", "c")
    for number, mark in enumerate(moves, start=1):
        with keys.begin():
            keys.move(Moved(number, 0, 0, (Advance(source.no, "log", mark, f"at {mark}"),)))
        now = keys.source("log")
        assert now is not None
        assert (now.mark, now.position) == (max(moves[:number]), f"at {max(moves[:number])}")
    keys.close()


def test_rows_add_up_and_the_instant_of_receipt_never_goes_back(keys: Keys) -> None:
    for number, received_at, rows in ((1, 500, 3), (2, 400, 4)):
        with keys.begin():
            keys.move(Moved(number, received_at, rows))
    place = keys.committed()
    assert (place.block, place.received_at, place.rows_total) == (2, 500, 7)


def test_a_refused_number_keeps_its_first_reason(keys: Keys) -> None:
    source = keys.register("log", "numbered", "c").no
    for code in ("unknown_account", "reason_lost"):
        with keys.begin():
            keys.move(Moved(1, 0, 0, (), (Refused(source, 7, "id7", code, "why"),)))
    kept = Refused(source, 7, "id7", "unknown_account", "why")
    assert keys.refusals(source, 1, 7) == {7: kept}
    assert keys.refusals(source, 8, 99) == keys.refusals(source + 1, 1, 9) == {}
    assert keys.refusal_of(source, "id7") == kept
    assert keys.refusal_of(source, "id8") is None


def test_of_a_source_is_told_how_much_is_refused_up_to_its_mark(keys: Keys) -> None:
    source = keys.register("log", "numbered", "c").no
    refused = tuple(Refused(source, number, "", "too_old", "why") for number in range(1, 9))
    with keys.begin():
        keys.move(Moved(1, 0, 0, (), refused))
    assert keys.unstored(source, 5, 100) == (0, 5)
    assert keys.unstored(source, 8, 3) == (0, 3)  # no more are counted than are asked for
    assert keys.unstored(source + 1, 8, 100) == (0, 0)


def test_a_start_is_unclean_until_it_is_stopped_and_says_how_the_last_one_ended(keys: Keys) -> None:
    assert keys.start("first").clean
    assert not keys.start("second").clean
    keys.mark_clean(4, stopped=True)
    before = keys.start("third")
    assert (before.clean, before.clean_block, before.epoch) == (True, 4, 2)
    keys.mark_clean(2)
    assert keys.committed().clean_block == 4


def test_a_burnt_number_stays_burnt(keys: Keys) -> None:
    keys.skip(9)
    keys.skip(3)
    assert keys.committed().skipped == 9


def test_what_was_committed_is_there_after_the_process_was_killed(place: Path) -> None:
    code = HOLD.replace("print", "keys.register('gw', 'named', 'owner'); keys.skip(5)\nprint")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.kill()
        owner.wait()
    keys = Keys(place)
    found = keys.source("gw")
    assert found is not None
    assert (found.owner, keys.committed().skipped) == ("owner", 5)
    keys.close()


# -- damage -----------------------------------------------------------------------------------------------------------


def test_a_database_of_a_later_version_is_left_alone(place: Path) -> None:
    Keys(place).close()
    with sqlite3.connect(place) as db:
        db.execute("PRAGMA user_version = 99")
    for _ in range(2):
        with pytest.raises(KeysBroken, match="schema 99"):
            Keys(place)


def test_an_overwritten_file_is_named(place: Path) -> None:
    keys = Keys(place)
    keys.register("gw", "named", "c")
    keys.close()
    with place.open("r+b") as file:
        file.write(b"\xff" * 2048)
    with pytest.raises(KeysBroken, match=str(place)):
        Keys(place)


@pytest.mark.system
def test_a_full_disk_is_storage_full_and_leaves_nothing_claimed() -> None:
    with small_disk(2 << 20) as disk:
        keys = Keys(disk / "keys.db")
        source = keys.register("gw", "named", "c").no
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (shutil.disk_usage(disk).free - 8192))
        block = [(source, os.urandom(17), 0) for _ in range(50_000)]
        with pytest.raises(StorageFull), keys.begin():
            keys.claim(block, 1)
        assert keys.known(source, [key for _, key, _ in block[:1000]]) == {}
        ballast.unlink()
        with keys.begin():
            assert keys.claim(block[:10], 1) == 10
        keys.close()

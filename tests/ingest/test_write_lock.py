"""The moment between two blocks: the writer waits for it, and it for one block at most."""

from __future__ import annotations

import threading
import time

import pytest
from tests.ingest.conftest import Services, named

from flowtally.core.errors import Settling, Unavailable
from flowtally.ingest.write_lock import WriteLock


def test_who_asks_comes_next_however_busy_the_writer_is() -> None:
    lock, done = WriteLock(), threading.Event()
    blocks = 0

    def write() -> None:
        nonlocal blocks
        while not done.is_set():
            with lock.block():
                time.sleep(0.002)
                blocks += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            asked = blocks
            with lock.between(5):
                before = blocks
                assert before - asked <= 1
                time.sleep(0.003)
                assert blocks == before
    finally:
        done.set()
        writer.join()


def test_a_block_that_takes_too_long_is_not_waited_for_and_the_writer_goes_on() -> None:
    lock = WriteLock()
    with lock.block(), pytest.raises(Unavailable, match=r"more than 0\.01 s"), lock.between(0.01):
        pass
    with lock.block():
        pass


def test_two_who_ask_go_one_after_the_other() -> None:
    lock, inside = WriteLock(), 0

    def ask() -> None:
        nonlocal inside
        with lock.between(5):
            inside += 1
            assert inside == 1
            time.sleep(0.005)
            inside -= 1

    asking = [threading.Thread(target=ask) for _ in range(5)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    with lock.block():
        assert inside == 0


def test_between_blocks_keys_and_rows_agree_while_events_come_in(light: Services) -> None:
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            light.send(*named(f"a{number}", f"b{number}"))
            number += 1

    light.send(*named("first"))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            place, totals = light.door.between_blocks(lambda keys: (keys.committed(), light.store.totals()))
            assert (place.block, place.rows_total) == (totals.last_block, totals.rows)
    finally:
        done.set()
        writer.join()


def test_a_write_in_doubt_is_no_moment_between_blocks(light: Services) -> None:
    light.send(*named("1"))
    light.journal.after = [ValueError("lost")]
    light.journal.asking = [ValueError("still lost")] * 40
    with pytest.raises(Settling):
        light.send(*named("2"))
    with pytest.raises(Settling):
        light.door.between_blocks(lambda keys: keys.committed())
    light.journal.asking = []
    light.send(*named("3"))
    assert light.door.between_blocks(lambda keys: keys.committed()).rows_total == 3

"""A log that has a part of itself twice is not sent; one whose lines are only alike, or late, is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents.fake import FakeServer
from tests.agents.test_overlap import run
from tests.agents.test_ship import down, lines

from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping
from flowtally.agents.overlap import AlreadyCounted
from flowtally.agents.reader import LogFile
from flowtally.agents.ship import Importer


def constant(second: int, count: int = 1, user: str = "bob") -> bytes:
    """Lines that differ in nothing but their second."""
    head = b"17950%05d.000      5 10.0.0.1 TCP_MISS/200 7 GET http://n.test/ %s" % (second, user.encode())
    return (head + b" HIER_DIRECT/10.0.0.2 text/html 3\n") * count


@pytest.mark.parametrize(("batch", "sent"), [(5, 0), (7, 1), (10, 0), (22, 2), (100, 0)])
def test_a_part_that_is_there_twice_is_told_with_its_lines(tmp_path: Path, batch: int, sent: int) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(lines(0, 10) + lines(100, 110) + lines(0, 10))
    with pytest.raises(AlreadyCounted, match=r"of this log say what .* say, in the same order"):
        run(server, path, batch=batch)
    assert len(down(server)) - len(set(down(server))) == sent  # the last lines of a batch alone say nothing
    path.write_bytes(path.read_bytes())
    assert run(server, path, batch=batch, allowed=True).sequence == 30


@settings(max_examples=30, deadline=None)
@given(
    loads=st.lists(st.integers(0, 6), min_size=3, max_size=30),
    late=st.lists(st.tuples(st.integers(0, 100), st.integers(1, 9)), max_size=5),
    batch=st.sampled_from([3, 10, 100]),
)
def test_equal_requests_and_late_ones_are_no_repetition(
    tmp_path_factory: pytest.TempPathFactory, loads: list[int], late: list[tuple[int, int]], batch: int
) -> None:
    """So many equal lines a second, and long requests of somebody, dated by their beginning."""
    parts = [constant(second, count) for second, count in enumerate(loads)]
    for place, before in late:
        parts.insert(place % (len(parts) + 1), constant(max(0, place % len(loads) - before), user="late"))
    server, path = FakeServer(), tmp_path_factory.mktemp("logs") / "log"
    path.write_bytes(b"".join(parts) or constant(0))
    assert run(server, path, batch=batch).stored == path.read_bytes().count(b"\n")


def test_two_runs_at_once_are_no_repetition(tmp_path: Path) -> None:
    """Somebody else sends what this run has read: found in the same source, it is this very part of the log."""
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(lines(0, 20) + lines(5_000, 5_020) + lines(100, 120))

    def other() -> None:
        server.before_store = lambda: None
        run(server, path, batch=1000)

    server.before_store = other
    run(server, path, batch=10)
    assert len(down(server)) == 60


def test_what_was_not_read_yet_is_no_half_line(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(lines(0, 20) + lines(0, 500) + b"half")
    with LogFile.open(path) as log:
        run = Importer(server.client(), log, Declared(format="squid-io"), Mapping(account="acme"), batch_events=10)
        with pytest.raises(AlreadyCounted):
            run.run()
        assert run.report().waiting_bytes == 0
    with LogFile.open(path) as log:
        run = Importer(server.client(), log, Declared(format="squid-io"), Mapping(account="acme"), overlap_allowed=True)
        assert run.run().waiting_bytes == 4

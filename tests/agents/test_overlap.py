"""What stands in another source already is not sent a second time."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents.fake import FakeServer
from tests.agents.test_ship import FIELD, down, line, lines
from tests.soak import few

from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping
from flowtally.agents.overlap import AlreadyCounted, runs, spread
from flowtally.agents.position import CannotResume
from flowtally.agents.reader import LogChanged, LogFile
from flowtally.agents.report import ImportReport
from flowtally.agents.ship import Importer
from flowtally.protocol import Overlap, OverlapsAnswer

SQUID_IO = Declared(format="squid-io")
SQUID = Declared(format="squid")


def run(
    server: FakeServer, path: Path, *, batch: int = 10_000, allowed: bool = False, source: str = "", io: bool = True
) -> ImportReport:
    declared = SQUID_IO if io else SQUID
    with LogFile.open(path) as log:
        return Importer(
            server.client(), log, declared, Mapping(account="acme"), batch_events=batch, overlap_allowed=allowed,
            source=source,
        ).run()  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(["one", "two", "all"])))
def test_two_logs_and_their_concatenation_count_ten_in_every_order(order: tuple[str, ...]) -> None:
    server = FakeServer()
    for name in order:
        try:
            run(server, FIELD / f"case24-{name}.log", io=False)
        except (AlreadyCounted, LogChanged):
            continue
    assert len(down(server)) == 10


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=4),
    joined=st.lists(st.integers(0, 3), min_size=1, max_size=5),
    batch=st.sampled_from([5, 10, 100]),
)
def test_no_concatenation_counts_a_line_twice(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, bool]], joined: list[int], batch: int
) -> None:
    """Logs of ten lines each, and a file made of some of them, one perhaps twice, packed member by member or plain."""
    server, folder = FakeServer(), tmp_path_factory.mktemp("logs")
    days = [lines(100 * day, 100 * day + 10) for day in range(4)]
    texts = [*days, b"".join(days[day] for day in joined)]
    for index, zipped in [*((number % 5, zipped) for number, zipped in parts), (4, False)]:
        path = folder / f"{index}.log"
        path.write_bytes(gzip.compress(texts[index]) if zipped else texts[index])
        try:
            run(server, path, batch=batch)
        except (AlreadyCounted, LogChanged, CannotResume):
            continue
    counted = down(server)
    assert len(counted) == len(set(counted))


def test_the_refusal_says_which_lines_and_which_source(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    first = run(server, FIELD / "case24-two.log", io=False).source
    path.write_bytes((FIELD / "case24-all.log").read_bytes())
    with pytest.raises(AlreadyCounted) as caught:
        run(server, path, io=False)
    assert f"Lines 6 to 10 of this log stand in source '{first}' already" in str(caught.value)
    assert "--overlap allow" in str(caught.value)
    assert len(down(server)) == 5
    assert run(server, path, allowed=True, io=False).stored == 10


def test_a_chance_is_no_overlap(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(lines(0, 10))
    run(server, path)
    path.write_bytes(b"".join(line(100 + n) if n % 3 == 2 else line(n) for n in range(1, 10)))
    assert run(server, path, source="other").stored == 9


def test_who_may_not_ask_imports_all_the_same_and_is_told(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    server.tells_overlaps = False
    path.write_bytes(lines(0, 30))
    report = run(server, path, batch=10)
    assert report.stored == 30
    assert len([note for note in report.notes if "may not ask" in note]) == 1
    assert len([one for one in server.requests if one.url.path.endswith("overlaps")]) == 1


def test_runs_are_of_neighbours_in_one_source() -> None:
    answer = OverlapsAnswer(
        [Overlap(0, ["a"]), Overlap(1, ["a", "b"]), Overlap(2, ["b"]), Overlap(4, ["b"], 1), Overlap(5, [], 1)], None
    )
    assert sorted(runs(answer)) == [("", 4, 5), ("a", 0, 1), ("b", 1, 2), ("b", 4, 4)]


@pytest.mark.parametrize("at", few([137, 0, 1, 2000, 3999, 9400, 7000], 2))
def test_in_a_large_batch_a_part_that_stands_elsewhere_is_found_wherever_it_is(tmp_path: Path, at: int) -> None:
    """Larger than the step between two samples: 10,000 lines, 50 samples."""
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(lines(0, 250))
    run(server, path)
    path.write_bytes(lines(100_000, 100_000 + at) + lines(1, 250) + lines(100_000 + at, 109_000))
    with pytest.raises(AlreadyCounted, match="of this log stand in source"):
        run(server, path, source="other")
    assert len(down(server)) == 250


def test_samples_are_spread_from_the_first_to_the_last() -> None:
    assert spread(3) == [0, 1, 2]
    assert (spread(10_000)[0], spread(10_000)[-1], len(spread(10_000))) == (0, 9999, 50)


def test_a_health_check_that_looks_like_another_servers_is_no_overlap(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    check = b"1795000000.000      5 10.0.0.1 TCP_MISS/200 0 GET http://n.test/ - HIER_DIRECT/10.0.0.2 text/html\n"
    path.write_bytes(check)
    assert run(server, path, source="one", io=False).stored == 1
    assert run(server, path, source="two", io=False).stored == 1
    path.write_bytes(check.replace(b" - ", b" bob "))
    assert run(server, path, source="three", io=False).stored == 1
    with pytest.raises(AlreadyCounted, match="Line 1 of this log stands in source 'three'"):
        run(server, path, source="four", io=False)

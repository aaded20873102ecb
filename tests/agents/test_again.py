"""A log read again with other options counts only what could not be read before."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents.fake import FakeServer
from tests.agents.test_ship import line
from tests.soak import sampled

from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping
from flowtally.agents.position import CannotResume, mapping_text, options_of
from flowtally.agents.reader import LogChanged, LogFile
from flowtally.agents.report import ImportReport
from flowtally.agents.ship import Importer
from flowtally.core.errors import ConfigError

SQUID = Declared(format="squid-io")
COMBINED = Declared(format="common")
EVENTS = Declared(format="cloudevents")
ACME = Mapping(account="acme")


def combined(number: int) -> bytes:
    return b'10.0.0.1 - bob [18/Nov/2026:11:06:%02d +0000] "GET / HTTP/1.1" 200 %d\n' % (number % 60, number)


def event(number: int) -> bytes:
    return b'{"id":"e%d","account":"acme","time":"2026-11-18T11:00:00Z","bytes_down":%d}\n' % (number, number)


def nonsense(number: int) -> bytes:
    return b"nonsense %d\n" % number


WRITERS = {"squid-io": line, "common": combined, "cloudevents": event, "": nonsense}
kinds = st.lists(st.sampled_from(list(WRITERS)), max_size=12)


def log_of(kinds: list[str]) -> bytes:
    return b"".join(WRITERS[kind](number) for number, kind in enumerate(kinds, 1))


def run(
    server: FakeServer, path: Path, declared: Declared, mapping: Mapping = ACME, *, again: bool = False, batch: int = 3
) -> ImportReport:
    with LogFile.open(path) as log:
        return Importer(server.client(retry_s=0), log, declared, mapping, again=again, batch_events=batch).run()


def down(server: FakeServer) -> list[int]:
    return sorted(event.bytes_down for event in server.all_stored())


def of(kinds: list[str], *wanted: str) -> list[int]:
    return [number for number, kind in enumerate(kinds, 1) if kind in wanted]


@settings(deadline=None, max_examples=sampled(30, 4))
@given(first=kinds, more=kinds, stops=st.lists(st.integers(1, 4), max_size=4))
def test_each_line_counts_once_whatever_was_read_in_which_order(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], more: list[str], stops: list[int]
) -> None:
    """Three levels over a log that grows, each run stopped now and then."""
    server, path = FakeServer(), tmp_path_factory.mktemp("log") / "log"
    kept = ["squid-io", *first]
    for kinds in (kept, [*kept, *more]):
        path.write_bytes(log_of(kinds))
        seen = ["squid-io"]
        for declared, again in ((SQUID, False), (COMBINED, True), (EVENTS, True)):
            for stop in stops:
                interrupt(server, stop)
                with suppress(KeyboardInterrupt, CannotResume):
                    run(server, path, declared, again=again)
            server.before_store = lambda: None
            if not (again and declared is EVENTS and not server.events.get(name_of(path) + ":again")):
                run(server, path, declared, again=again)
                seen.append(declared.format)
            assert set(down(server)) >= set(of(kinds, *seen[:-1]))
        assert down(server) == of(kinds, *seen)


def interrupt(server: FakeServer, after: int) -> None:
    left = [after]

    def stop() -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise KeyboardInterrupt

    server.before_store = stop


def name_of(path: Path) -> str:
    with LogFile.open(path) as log:
        return Importer(FakeServer().client(), log, SQUID, ACME).source


def test_a_second_reading_says_what_it_left_out(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(log_of(["squid-io", "common", "squid-io", "", "common"]))
    assert run(server, path, SQUID).unreadable == 3
    report = run(server, path, COMBINED, again=True)
    assert (report.stored, report.skipped, report.unreadable) == (2, 2, 1)
    assert report.source == name_of(path) + ":again"
    again = run(server, path, COMBINED, again=True)
    assert (again.lines, again.stored) == (0, 0)


def test_lines_without_an_account_are_read_again_with_another_mapping(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(line(1) + line(2, "bob") + line(3, "globex-eve"))
    mapping = Mapping(user_from=r"user:(?P<account>[^-]+)-(?P<user>.+)")
    assert run(server, path, SQUID, mapping).reasons == {"no_match": 1}
    assert run(server, path, SQUID, ACME, again=True).stored == 1
    assert [(one.account, one.user) for one in server.all_stored()] == [
        ("acme", "bob"), ("globex", "eve"), ("acme", "bob")
    ]  # fmt: skip


def test_other_options_without_again_say_both_ways(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(log_of(["squid-io", "common"]))
    run(server, path, SQUID)
    with pytest.raises(CannotResume, match=r"--again to read with these .* another --source to count"):
        run(server, path, COMBINED)
    assert down(server) == [1]


def test_again_needs_something_that_was_imported_with_other_options(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(log_of(["squid-io", "common"]))
    with pytest.raises(CannotResume, match="nothing of it was imported yet: leave --again out"):
        run(server, path, COMBINED, again=True)
    run(server, path, SQUID)
    with pytest.raises(CannotResume, match="with these very options: leave --again out"):
        run(server, path, SQUID, again=True)


def test_a_log_that_this_version_reads_otherwise_is_not_read_again(tmp_path: Path) -> None:
    """The version that imported it took one more line for a line of its format."""
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(log_of(["squid-io", "squid-io", "common"]))
    run(server, path, SQUID)
    path.write_bytes(log_of(["squid-io", "squid-io", "common"]))
    source = name_of(path)
    server.events[source].append(server.events[source][-1])
    server.positions[source] = (server.positions[source] or "").replace('"sequence":2', '"sequence":3')
    with pytest.raises(CannotResume, match="has 3 events of this log, and this version reads 2"):
        run(server, path, COMBINED, again=True)


def test_another_log_with_the_same_first_line_is_not_read_again(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(log_of(["squid-io", "squid-io", "common"]))
    run(server, path, SQUID)
    path.write_bytes(log_of(["squid-io", "common", "common"]))
    with pytest.raises(LogChanged, match="differs before byte"):
        run(server, path, COMBINED, again=True)


def test_options_too_long_to_be_kept_are_said_to_be(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "log"
    path.write_bytes(log_of(["squid-io", "common"]))
    run(server, path, SQUID, Mapping(account="acme", pattern="(?P<user>b" + "o" * 5000 + "b|)"))
    with pytest.raises(CannotResume, match="not known any more"):
        run(server, path, COMBINED, again=True)


@pytest.mark.parametrize("length", [10, 900, 1500])
def test_options_are_kept_whole_as_long_as_there_is_room(length: int) -> None:
    mapping = Mapping(pattern="(?P<user>" + "x" * length + ")", user_from="none", skip_status=(407, 403))
    declared = Declared(format="squid-io", zone="Europe/Berlin")
    assert options_of(mapping_text(declared, mapping)) == (declared, mapping)


def test_a_pipe_cannot_be_read_again() -> None:
    import io
    import os

    readable, writable = os.pipe()
    os.close(writable)
    with LogFile(io.BufferedReader(io.FileIO(readable)), "-") as log, pytest.raises(ConfigError, match="--again"):
        Importer(FakeServer().client(), log, SQUID, ACME, source="x", again=True)


def test_a_second_reading_knows_the_directives_of_the_log_too(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "u_ex.log"
    head = b"#Software: IIS 10\r\n#Fields: date time cs-username sc-bytes cs-bytes\r\n"
    mapping = Mapping(user_from=r"user:(?P<account>acme)-(?P<user>.+)")
    entries = [b"2026-03-10 05:14:%02d %s %d 7\r\n" % (n, (b"bob", b"acme-bob")[n % 2], n) for n in range(1, 7)]
    for count in (3, 6):
        path.write_bytes(head + b"".join(entries[:count]))
        run(server, path, Declared(format="iis"), mapping)
        run(server, path, Declared(format="iis"), ACME, again=True)
        assert down(server) == list(range(1, count + 1))

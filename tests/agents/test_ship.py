import gzip
import io
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.agents.fake import FakeServer

from flowtally.agents.formats import Declared
from flowtally.agents.lines import digest
from flowtally.agents.mapping import Mapping
from flowtally.agents.position import CannotResume, Position, decoded, encoded, mapping_text
from flowtally.agents.reader import LogChanged, LogDamaged, LogFile
from flowtally.agents.report import ImportReport
from flowtally.agents.ship import Importer, ImportProgress
from flowtally.client import ApiError, Unreachable
from flowtally.core.errors import ConfigError
from flowtally.core.texts import is_text
from flowtally.protocol import PlainEvent

SQUID = Declared(format="squid-io")
FIELD = Path(__file__).parents[1] / "fixtures" / "field"
SPLIT = Mapping(user_from=r"user:(?P<account>[^-]+)-(?P<user>.+)")


def line(number: int, user: str = "acme-bob") -> bytes:
    return (
        b"%d.000 5 10.0.0.1 TCP_MISS/200 %d GET http://n.test/%d %s HIER_DIRECT/10.0.0.2 text/html 7\n"
        % (1_795_000_000 + number, number, number, user.encode())
    )  # fmt: skip


def lines(start: int, end: int) -> bytes:
    return b"".join(line(number) for number in range(start, end))


def run(
    server: FakeServer, path: Path, mapping: Mapping = SPLIT, *, batch_events: int = 10, source: str = ""
) -> ImportReport:
    with LogFile.open(path) as log:
        return Importer(server.client(), log, SQUID, mapping, source=source, batch_events=batch_events).run()


def down(server: FakeServer) -> list[int]:
    return [event.bytes_down for event in server.all_stored()]


def test_a_log_becomes_numbered_events(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(line(1))
    report = run(server, path)
    expected = PlainEvent(
        source=report.source,
        account="acme",
        sequence=1,
        time="2026-11-18T11:06:41Z",
        user="bob",
        bytes_up=7,
        bytes_down=1,
        status=200,
        position=server.positions[report.source],
    )
    assert server.all_stored() == [expected]
    assert (report.lines, report.events, report.stored, report.clean) == (1, 1, 1, True)


def test_only_the_last_event_of_a_request_says_where_its_reading_ended(tmp_path: Path) -> None:
    """The others say where it began: the server may end a request before its last event."""
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 25))
    report = run(server, path)
    text = mapping_text(SQUID, SPLIT)
    places = [decoded(report.source, 25, event.position, text).sequence for event in server.all_stored()]
    assert places == [0] * 9 + [10] * 10 + [20] * 5 + [25]


@pytest.mark.parametrize("source", ["", "mine"])
@pytest.mark.parametrize("stored", [0, 1, 4, 9])
@pytest.mark.parametrize("before", [0, 20])
def test_what_the_server_could_not_hold_is_sent_by_a_later_run(
    tmp_path: Path, source: str, stored: int, before: int
) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, before) or line(0))
    run(server, path, source=source)
    path.write_bytes(lines(0, 37))
    server.hold_only = stored
    with LogFile.open(path) as log, pytest.raises(ApiError, match="full"):
        Importer(server.client(retry_s=0), log, SQUID, SPLIT, source=source, batch_events=10).run()
    server.hold_only = None
    other = Mapping(user_from=r"user:(?P<account>[^-]+)-(?P<user>.*)")
    if stored:
        with pytest.raises(CannotResume, match="other options"):
            run(server, path, other, source=source)
    report = run(server, path, source=source)
    assert (down(server), report.resumed_lines) == (list(range(37)), before or 1)
    assert (report.duplicate, report.stored) == (stored, 37 - (before or 1) - stored)


def test_the_same_log_again_reads_nothing(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 25))
    run(server, path)
    report = run(server, path)
    assert (report.lines, report.stored, report.resumed_lines, report.resumed_at) == (0, 0, 25, path.stat().st_size)
    assert down(server) == list(range(25))


def test_a_growing_log_is_read_on(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    for end in (3, 25, 26, 60):
        path.write_bytes(lines(0, end))
        run(server, path)
    assert down(server) == list(range(60))
    assert len(server.events) == 1


def test_a_copied_renamed_or_compressed_log_is_the_same_log(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 12))
    run(server, path)
    shutil.copy(path, tmp_path / "copy")
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(lines(0, 14)))
    assert run(server, tmp_path / "copy").lines == 0
    assert run(server, tmp_path / "access.log.1.gz").stored == 2
    assert down(server) == list(range(14))


def test_lines_that_cannot_be_read_are_counted_shown_and_never_stop_the_rest(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(line(0) + b"no\x1b[31msense\n" + line(1, "-") + b"\n" + b"x" * 70_000 + b"\n" + line(2))
    report = run(server, path)
    assert down(server) == [0, 2]
    assert report.reasons == {"not_this_format": 1, "no_account": 1, "too_long": 1}
    assert [(problem.line, problem.reason) for problem in report.first_unreadable] == [
        (2, "not_this_format"),
        (3, "no_account"),
        (5, "too_long"),
    ]
    assert report.first_unreadable[0].excerpt == "no\\x1b[31msense"
    assert (report.lines, report.events, report.unreadable, report.skipped, report.clean) == (6, 2, 3, 1, False)


def test_only_the_first_ten_are_shown(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(b"nonsense\n" * 40)
    report = run(server, path)
    assert (report.unreadable, len(report.first_unreadable)) == (40, 10)
    assert all(request.method == "GET" for request in server.requests)  # nothing to send, so nothing sent


def test_refused_events_are_told_by_their_line(tmp_path: Path) -> None:
    server, path = FakeServer(accounts=("acme",)), tmp_path / "access.log"
    path.write_bytes(lines(0, 12) + b"nonsense\n" + line(12, "nobody-x") + line(13))
    report = run(server, path)
    assert (report.stored, report.refused, report.clean) == (13, 1, False)
    assert [(problem.line, problem.reason) for problem in report.first_refused] == [(14, "unknown_account")]


def test_numbers_count_events_and_line_numbers_count_lines_over_all_runs(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(b"bad\n" + lines(0, 10))
    run(server, path)
    path.write_bytes(b"bad\n" + lines(0, 10) + b"bad\n" + line(10))
    report = run(server, path)
    assert [problem.line for problem in report.first_unreadable] == [12]
    assert [event.sequence for event in server.all_stored()] == list(range(1, 12))


def test_a_lost_answer_is_repeated_and_counted_once(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 25))
    server.lose_answers = 1
    report = run(server, path)
    assert down(server) == list(range(25))
    assert (report.stored, report.duplicate) == (15, 10)


def test_a_stopped_import_goes_on_where_the_server_is(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 35))

    def stop() -> None:
        if len(server.all_stored()) == 20:
            raise KeyboardInterrupt

    server.before_store = stop
    with LogFile.open(path) as log:
        importer = Importer(server.client(), log, SQUID, SPLIT, batch_events=10)
        with pytest.raises(KeyboardInterrupt):
            importer.run()
        assert (importer.report().stored, importer.report().sequence) == (20, 20)
    server.before_store = lambda: None
    assert run(server, path).stored == 15
    assert down(server) == list(range(35))


def test_a_batch_stored_in_part_is_completed_not_repeated(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 35))
    run_of_ten = tmp_path / "begun.log"
    run_of_ten.write_bytes(lines(0, 10))
    run(server, run_of_ten)
    server.store_only = 4
    with pytest.raises(Unreachable), LogFile.open(path) as log:
        Importer(server.client(retry_s=0), log, SQUID, SPLIT, batch_events=10).run()
    assert down(server) == list(range(14))
    report = run(server, path)
    assert (report.resumed_lines, report.stored, report.duplicate) == (10, 21, 4)
    assert down(server) == list(range(35))


def test_another_run_that_got_ahead_or_a_server_restored_makes_it_ask_again(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 35))

    def forget() -> None:
        if len(server.all_stored()) == 20:
            server.events.clear()
            server.positions.clear()
            server.before_store = lambda: None

    server.before_store = forget
    report = run(server, path)
    assert down(server) == list(range(35))
    assert (report.lines, report.stored) == (35, 35)


def test_a_busy_server_is_waited_for(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 5))
    server.busy = 3
    assert run(server, path).stored == 5


def test_other_options_are_refused_because_they_would_change_whose_the_rest_is(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 5))
    run(server, path)
    with pytest.raises(CannotResume, match="other options"):
        run(server, path, Mapping(account="globex"))
    assert run(server, path, msgspec.structs.replace(SPLIT, product="mobile")).lines == 0
    assert run(server, path, Mapping(account="globex"), source="again").stored == 5


def test_a_rewritten_log_is_refused(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 5))
    run(server, path)
    path.write_bytes(lines(0, 4) + line(99) + line(6))
    with pytest.raises(LogChanged):
        run(server, path)
    path.write_bytes(lines(0, 2))
    with pytest.raises(LogChanged):
        run(server, path)


def test_a_source_that_is_not_an_imports_is_refused(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 5))
    server.events["gw"] = [PlainEvent(source="gw", account="acme", sequence=1)]
    with pytest.raises(CannotResume, match="not written by an import"):
        run(server, path, source="gw")


def test_a_damaged_log_is_imported_up_to_the_damage(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(lines(0, 5000))[:-3000])
    with pytest.raises(LogDamaged):
        run(server, path, batch_events=1000)
    whole = len(down(server))
    assert whole > 100
    path.write_bytes(gzip.compress(lines(0, 5000)))
    run(server, path)
    assert down(server) == list(range(5000))


def test_a_last_line_without_newline_waits_and_is_said_to(tmp_path: Path) -> None:
    server, path, whole = FakeServer(), tmp_path / "access.log", lines(0, 3)
    for end in (len(whole) - 1, len(whole)):  # the number of bytes up is all there, but who knows
        path.write_bytes(whole[:end])
        report = run(server, path)
        assert (report.unreadable, report.waiting_bytes) == (0, len(line(2)) - 1 if end < len(whole) else 0)
    assert down(server) == [0, 1, 2]


def test_of_a_packed_log_whose_checksum_does_not_hold_nothing_counts(tmp_path: Path) -> None:
    """One digit differs, in the middle of 5,000 lines: the stream says so at its end."""
    server, path = FakeServer(), tmp_path / "access.log.gz"
    data = bytearray(gzip.compress(lines(0, 5000), compresslevel=0))
    place = data.index(b"TCP_MISS/200 2500 ") + len("TCP_MISS/200 ")
    data[place : place + 1] = b"9"
    path.write_bytes(data)
    with pytest.raises(LogDamaged, match=r"the gzip stream is broken: .* nothing of it can be relied on"):
        run(server, path, batch_events=1000)
    assert down(server) == []


def test_the_last_line_of_a_finished_log_is_read_once(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    for data in (lines(0, 3).rstrip(b"\n"), lines(0, 4)):
        path.write_bytes(data)
        with LogFile.open(path) as log:
            report = Importer(server.client(), log, SQUID, SPLIT, finished=True).run()
        assert (report.unreadable, report.waiting_bytes) == (0, 0)
    assert down(server) == list(range(4))


def test_a_live_log_cut_in_its_last_line_is_read_whole_later(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    for name, stored in (("case19a-live-1.log", 1), ("case19a-live-2.log", 2)):
        shutil.copy(FIELD / name, path)
        with LogFile.open(path) as log:
            report = Importer(server.client(), log, Declared(format="combined"), Mapping(account="acme")).run()
        assert report.stored == stored
    assert sum(down(server)) == 734_004_700


@pytest.mark.parametrize("nothing", [b"", b"17950", b"#Software: IIS 10\n#Version: 1.0\n", b"nonsense\n"])
def test_a_log_that_has_no_line_yet_has_no_source_yet(tmp_path: Path, nothing: bytes) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(nothing)
    report = run(server, path)
    assert (report.source, report.events, server.requests) == ("", 0, [])
    path.write_bytes(b'{"account":"acme","id":"a"}\n')
    with (
        pytest.raises(ConfigError, match=r"no line of it tells it from other logs .* give --source"),
        LogFile.open(path) as log,
    ):
        Importer(server.client(), log, Declared(format="cloudevents"), Mapping()).run()


@pytest.mark.parametrize("earlier", ["squid", "combined", "cloudevents"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_source_of_an_earlier_version_is_gone_on_with(tmp_path: Path, earlier: str, mark: bytes) -> None:
    """It was named by the format, too, and counted a byte order mark, which made the first line unreadable."""
    server, path = FakeServer(), tmp_path / "access.log"
    data = mark + lines(0, 8)
    path.write_bytes(data)
    read = [line for line in data.split(b"\n")[:-1] if not line.startswith(b"\xef")]
    name = f"import:{earlier}:{digest(data.split(chr(10).encode())[0])}"
    at = len(data) - len(read[-1]) - 1
    options = mapping_text(Declared(format=earlier), SPLIT)  # that format read these lines, too
    position = Position(at, 7, len(read) - 1, digest(data[:at]), options, version=1)
    server.events[name] = [PlainEvent(source=name, account="acme")] * (len(read) - 1)
    server.positions[name] = encoded(position)
    report = run(server, path)
    assert (report.source, report.stored, report.resumed_lines) == (name, 1, 7)
    path.write_bytes(data + line(8))
    assert run(server, path).stored == 1
    assert down(server)[-2:] == [7, 8]


def test_lines_cut_by_nul_bytes_are_counted_and_no_line_after_them_is_lost(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(bytes(300) + lines(0, 2) + line(2)[:50] + bytes(5000) + lines(3, 5))
    report = run(server, path)
    assert (down(server), report.nul_bytes, report.reasons) == ([0, 1, 3, 4], 5300, {"cut": 1})
    assert (report.lines, report.events, report.unreadable) == (5, 4, 1)


def test_a_pipe_needs_a_name_and_then_resumes_like_a_file() -> None:
    server = FakeServer()
    for end in (10, 25):
        readable, writable = os.pipe()
        with os.fdopen(writable, "wb") as out:
            out.write(lines(0, end))
        with LogFile(io.BufferedReader(io.FileIO(readable)), "-") as log:
            with pytest.raises(ConfigError, match="--source"):
                Importer(server.client(), log, SQUID, SPLIT)
            Importer(server.client(), log, SQUID, SPLIT, source="piped", batch_events=10).run()
    assert down(server) == list(range(25))


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    server, path, seen = FakeServer(), tmp_path / "access.log", list[ImportProgress]()
    path.write_bytes(lines(0, 25))
    with LogFile.open(path) as log:
        Importer(server.client(), log, SQUID, SPLIT, progress=seen.append, batch_events=10).run()
    assert [progress.events for progress in seen] == [10, 20, 25]
    assert (seen[-1].done_bytes, seen[-1].total_bytes) == (path.stat().st_size, path.stat().st_size)


def test_a_refusal_of_the_server_is_passed_on(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 5))

    def refuse() -> None:
        raise ApiError("source_not_yours", 403, "not yours")

    server.before_store = refuse
    with pytest.raises(ApiError, match="not yours"):
        run(server, path)


def test_the_position_fits_whatever_the_options_are() -> None:
    from flowtally.agents.position import mapping_text

    for pattern in ("x" * 5000, '"' * 900, "\\" * 900, "\x01" * 900, "ü" * 900, "\x9b" * 450, "\u202e\\" * 200):
        position = Position(2**60, 2**60, 2**60, mapping=mapping_text(SQUID, Mapping(pattern=pattern)))
        assert len(encoded(position)) < 4096
        assert is_text(encoded(position))
        assert decoded("a log", 2**60, encoded(position), position.mapping) == position


@pytest.mark.parametrize("option", ["account", "product", "source"])
def test_an_option_that_may_not_be_kept_is_refused_before_any_number_is_given(tmp_path: Path, option: str) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(line(1))
    named: dict[str, Any] = {"account": "acme", option: "a\x1b"}
    source = named.pop("source", "")
    with pytest.raises(ConfigError, match=f"--{option} .*U.001B"):
        run(server, path, Mapping(**named), source=source)
    assert server.requests == []


def test_a_source_of_an_earlier_version_does_not_go_on_with_another_mapping(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    path.write_bytes(lines(0, 3))
    position = Position(0, 0, 1, digest(b""), mapping_text(Declared(format="squid"), SPLIT), version=1)
    server.events["mine"], server.positions["mine"] = [PlainEvent(source="mine", account="acme")], encoded(position)
    with pytest.raises(CannotResume, match="other options"):
        run(server, path, Mapping(account="acme"), source="mine")
    assert run(server, path, source="mine").stored == 3


def test_a_log_goes_on_by_the_directives_that_stand_before_the_place(tmp_path: Path) -> None:
    server, path = FakeServer(), tmp_path / "u_ex.log"
    head = b"#Software: IIS 10\r\n#Fields: date time cs-username sc-bytes cs-bytes\r\n"
    entries = [b"2026-03-10 05:14:%02d bob %d 7\r\n" % (number, number) for number in range(1, 6)]
    for count in (1, 3, 5):
        path.write_bytes(head + b"".join(entries[:count]))
        with LogFile.open(path) as log:
            report = Importer(server.client(), log, Declared(format="iis"), Mapping(account="acme")).run()
        assert (report.sequence, report.unreadable) == (count, 0)
    assert down(server) == [1, 2, 3, 4, 5]

"""What may happen to files, to the server and to the agent: it goes on, tells it once, and counts nothing twice."""

from __future__ import annotations

import gzip
import io
import os
import shutil
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.agents.follow.bench import Bench, line, lines
from tests.agents.follow.test_rotation import append

from flowtally.agents.follow import server as shared
from flowtally.agents.follow.dispatcher import Backoff
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.reader import LogFile
from flowtally.agents.ship import Importer
from flowtally.protocol import EventsAnswer, Receipt


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# ── files


def test_a_program_that_writes_on_at_its_old_place_leaves_nuls(bench: Bench) -> None:
    """Without O_APPEND the file is as long as before after the cut, with nothing at its beginning."""
    with bench.path.open("wb", buffering=0) as writer:
        writer.write(lines(0, 50))
        bench.run()
        shutil.copy(bench.path, bench.folder / "access.log.1")
        os.truncate(bench.path, 0)
        writer.write(lines(50, 60))
        bench.run(10)
    assert bench.stored() == list(range(60))
    assert "log_was_cut" in bench.events()


def test_a_symbolic_link_is_moved_to_another_file(bench: Bench) -> None:
    first, second = bench.folder / "monday", bench.folder / "tuesday"
    append(first, lines(0, 3))
    bench.path.symlink_to(first)
    bench.run()
    append(second, lines(10, 12))
    bench.path.unlink()
    bench.path.symlink_to(second)
    append(first, line(3))
    bench.run()
    append(first, line(4))
    bench.run()
    assert bench.stored() == [0, 1, 2, 3, 4, 10, 11]


def test_a_directory_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    bench = Bench(folder)
    append(bench.path, lines(0, 3))
    bench.run()
    folder.rename(tmp_path / "old")
    bench.run()
    folder.mkdir()
    append(bench.path, lines(10, 12))
    append(tmp_path / "old" / "access.log", line(3))
    bench.run()
    assert bench.stored() == [0, 1, 2, 3, 10, 11]


def test_a_deleted_file_is_read_while_it_is_written(bench: Bench) -> None:
    with bench.path.open("ab", buffering=0) as writer:
        writer.write(lines(0, 2))
        bench.run()
        bench.path.unlink()
        bench.run(300)
        writer.write(line(2))
        bench.run()
        append(bench.path, lines(10, 12))
        writer.write(line(3))
        bench.run()
    assert bench.stored() == [0, 1, 2, 3, 10, 11]


def test_an_inode_that_is_used_again_is_another_log(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    inode = bench.path.stat().st_ino
    bench.log.close()
    bench.path.unlink()
    for number in range(200):
        other = bench.folder / f"other{number}"
        other.touch()
        if other.stat().st_ino == inode:
            other.rename(bench.path)
            break
        append(other, b"x")
    append(bench.path, lines(10, 15))
    bench.start()
    bench.run()
    assert bench.stored() == [0, 1, 2, 10, 11, 12, 13, 14]


def test_two_files_with_one_first_line_are_told_apart_by_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path, path=str(tmp_path / "*.log"))
    append(tmp_path / "a.log", lines(0, 3))
    append(tmp_path / "b.log", line(0) + lines(10, 13))
    bench.run(10)
    append(tmp_path / "a.log", line(3))
    append(tmp_path / "b.log", line(13))
    bench.run(10)
    assert bench.stored() == [0, 1, 2, 3]
    assert bench.events().count("same_first_line") == 1


def test_two_logs_may_begin_alike(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    other = Bench(tmp_path, bench.fake, name="other", path=str(tmp_path / "other.log"))
    append(bench.path, lines(0, 3))
    append(other.path.with_name("other.log"), lines(0, 2))
    bench.run()
    other.run()
    assert bench.stored() == [0, 0, 1, 1, 2]


def test_a_file_that_is_emptied_and_written_again_counts_once(bench: Bench) -> None:
    append(bench.path, lines(0, 5))
    bench.run()
    bench.path.write_bytes(lines(0, 3))
    bench.run(10)
    assert bench.stored() == [0, 1, 2, 3, 4]
    append(bench.path, lines(3, 8))
    bench.run(90)
    assert bench.stored() == list(range(8))


def test_an_emptied_file_that_goes_on_otherwise_is_reported(bench: Bench) -> None:
    append(bench.path, lines(0, 5))
    bench.run()
    bench.path.write_bytes(line(0) + lines(10, 20))
    bench.run(10)
    assert bench.stored() == [0, 1, 2, 3, 4]
    assert "not_as_read" in bench.events()


def test_an_empty_file_waits_for_its_first_line(bench: Bench) -> None:
    bench.path.touch()
    bench.run()
    append(bench.path, line(0)[:30])
    bench.run(60)
    assert not bench.fake.events
    append(bench.path, line(0)[30:])
    bench.run()
    assert bench.stored() == [0]


def test_a_line_that_is_too_long_is_left_out_and_counted(bench: Bench) -> None:
    append(bench.path, line(0) + b"x" * 200_000)
    bench.run()
    append(bench.path, b"y" * 200_000 + b"\n" + line(1))
    bench.run()
    assert bench.stored() == [0, 1]
    assert bench.log.facts()["unreadable"] == {"too_long": 1}
    assert bench.events().count("unreadable_line") == 1


def test_a_file_that_may_not_be_read_is_read_when_it_may(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    append(bench.path, lines(0, 3))
    opened = os.open
    denied = [True]

    def deny(path: Path, flags: int) -> int:
        if denied[0] and os.fspath(path) == str(bench.path):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags)

    monkeypatch.setattr(os, "open", deny)
    bench.run(60)
    assert (bench.stored(), bench.events()) == ([], ["cannot_read"])
    denied[0] = False
    bench.run(20)
    assert bench.stored() == [0, 1, 2]
    assert bench.events() == ["cannot_read", "can_be_read"]


def test_a_compressed_file_is_read_when_it_is_whole(bench: Bench) -> None:
    packed = gzip.compress(b"".join(line(number) for number in range(2000)))
    rotated = bench.folder / "access.log.2.gz"
    rotated.write_bytes(packed[: len(packed) // 2])
    bench.run(20)
    assert 0 < len(bench.stored()) < 2000
    rotated.write_bytes(packed)
    bench.run(40)
    assert bench.stored() == list(range(2000))


def test_logs_of_the_past_are_read_oldest_first(bench: Bench) -> None:
    for number, start in ((3, 0), (2, 10), (1, 20)):
        (bench.folder / f"access.log.{number}").write_bytes(lines(start, start + 2))
    append(bench.path, lines(30, 32))
    bench.run(20)
    assert [event.bytes_down for event in bench.fake.all_stored()] == [0, 1, 10, 11, 20, 21, 30, 31]


def test_files_that_are_no_rotated_logs_are_left_alone(bench: Bench) -> None:
    append(bench.path, line(0))
    for name in ("access.log.swp", "access.log.1.tmp", "access.log.offset", "access.logs", "access.log-config"):
        (bench.folder / name).write_bytes(lines(50, 52))
    bench.run(15)
    assert bench.stored() == [0]


# ── the server


def refuse(bench: Bench, status: int, code: str, content: bytes = b"") -> list[bool]:
    """Until the list is emptied, every request for events is answered so."""
    handle, on = bench.fake.handle, [True]

    def answer(request: httpx.Request) -> httpx.Response:
        if on and request.url.path == "/v1/events":
            return httpx.Response(status, content=content or msgspec.json.encode({"code": code, "detail": code}))
        return handle(request)

    bench.fake.handle = answer  # type: ignore[method-assign]
    bench.restart()
    return on


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "unauthenticated"), (403, "forbidden"), (403, "source_not_yours"), (429, "new_too_often"),
     (503, "storage_full"), (500, "internal"), (400, "http_400")],
)  # fmt: skip
def test_a_refusal_is_told_once_and_tried_again(bench: Bench, status: int, code: str) -> None:
    on = refuse(bench, status, code)
    append(bench.path, lines(0, 3))
    bench.run(120)
    assert bench.events().count(code) == 1
    assert len(bench.fake.requests) < 60
    on.clear()
    bench.run(60)
    assert bench.stored() == [0, 1, 2]
    assert bench.events()[-1] == "going_on"


def test_a_server_that_is_away_is_asked_by_one_and_seldom(tmp_path: Path) -> None:
    bench = Bench(tmp_path, path=str(tmp_path / "*.log"))
    away, asked = [True], [0]
    handle = bench.fake.handle

    def answer(request: httpx.Request) -> httpx.Response:
        asked[0] += 1
        if away[0]:
            raise httpx.ConnectError("refused", request=request)
        return handle(request)

    bench.fake.handle = answer  # type: ignore[method-assign]
    bench.restart()
    for number in range(50):
        append(tmp_path / f"{number}.log", line(number))
    bench.run(120)
    assert asked[0] < 20
    assert bench.events() == ["server_away"]
    away[0] = False
    bench.run(40)
    assert bench.stored() == list(range(50))
    assert bench.events() == ["server_away", "server_back"]


def test_an_unknown_account_is_waited_for(bench: Bench) -> None:
    """The server takes no number of a source of which nothing could be stored."""
    refused = Receipt(0, "agent", "1", "refused", "unknown_account", "there is no account acme")
    answer = msgspec.json.encode(EventsAnswer(stored=0, duplicate=0, conflict=0, refused=3, receipts=[refused]))
    on = refuse(bench, 200, "", answer)
    append(bench.path, lines(0, 3))
    bench.run(120)
    assert bench.events() == ["nothing_stored"]
    on.clear()
    bench.run(60)
    assert bench.stored() == [0, 1, 2]
    assert bench.events() == ["nothing_stored", "going_on"]


def test_fewer_new_users_are_sent_at_once_where_the_server_says_so(bench: Bench) -> None:
    handle = bench.fake.handle

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/events" and request.headers.get("Content-Encoding") == "zstd":
            return httpx.Response(413, json={"code": "too_many_new", "detail": "too many"})
        return handle(request)

    bench.fake.handle = answer  # type: ignore[method-assign]
    bench.restart()
    append(bench.path, lines(0, 300))
    bench.run(60)
    assert bench.stored() == list(range(300))


def test_a_restored_server_gets_what_it_lacks(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    state = bench.fake.state()
    append(bench.path, lines(3, 6))
    bench.run()
    shutil.move(bench.path, bench.folder / "access.log.1")
    append(bench.path, lines(10, 12))
    bench.run(20)
    bench.fake.restore(state)
    append(bench.path, lines(12, 14))
    bench.run(20)
    assert bench.stored() == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13]
    assert "server_went_back" in bench.events()


# ── the agent


def test_other_options_go_on_where_the_log_stands(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    bench.log.close()
    bench.entry = msgspec.structs.replace(bench.entry, user_from="none", account="globex")
    bench.start()
    append(bench.path, lines(3, 5))
    bench.run()
    stored = bench.fake.all_stored()
    assert [(one.account, one.user, one.bytes_down) for one in stored] == [
        ("acme", "bob", 0), ("acme", "bob", 1), ("acme", "bob", 2), ("globex", "", 3), ("globex", "", 4),
    ]  # fmt: skip
    assert bench.events() == ["options_changed"]
    bench.restart()
    bench.run()
    assert bench.events() == ["options_changed"]


def test_other_options_do_not_finish_a_batch_that_was_stored_in_part(bench: Bench) -> None:
    """What is left of it has the numbers that the old options gave."""
    append(bench.path, lines(0, 6))
    bench.fake.store_only = 2
    bench.turn()
    bench.turn()
    assert bench.stored() == [0, 1]
    bench.log.close()
    entry, bench.entry = bench.entry, msgspec.structs.replace(bench.entry, skip_status=(200,))
    bench.start()
    bench.run(30)
    assert bench.events() == ["server_away", "cannot_resume"] or bench.events()[-1] == "cannot_resume"
    assert bench.stored() == [0, 1]
    bench.log.close()
    bench.entry = entry
    bench.start()
    bench.run(30)
    assert bench.stored() == list(range(6))


def test_two_agents_over_one_log_count_each_line_once(tmp_path: Path) -> None:
    one = Bench(tmp_path)
    other = Bench(tmp_path, one.fake)
    for number in range(0, 40, 4):
        append(one.path, lines(number, number + 4))
        one.run(0.75)
        other.run(1)
    assert one.stored() == list(range(40))
    assert one.events() == other.events() == ["another_sender"] or one.events() + other.events() == ["another_sender"]


def test_what_waits_is_bounded_over_all_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "BUDGET_BYTES", 75_000)
    bench = Bench(tmp_path, path=str(tmp_path / "*.log"))
    most = [0]
    handle = bench.fake.handle

    def answer(request: httpx.Request) -> httpx.Response:
        most[0] = max(most[0], bench.server.waiting_bytes)
        return handle(request)

    bench.fake.handle = answer  # type: ignore[method-assign]
    bench.restart()
    for number in range(20):
        append(tmp_path / f"{number}.log", lines(number * 1000, number * 1000 + 300))
    bench.run(30)
    assert len(bench.stored()) == 20 * 300
    assert most[0] < 75_000 + 1_000 * 300
    assert bench.server.waiting_bytes == 0


def test_a_clock_that_jumps_changes_nothing(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    os.utime(bench.path, (0, 0))
    bench.run()
    append(bench.path, lines(3, 5))
    os.utime(bench.path, (4e9, 4e9))
    bench.run()
    assert bench.stored() == [0, 1, 2, 3, 4]


def test_a_standard_error_that_is_full_stops_nothing() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    EventLog(Full()).warn("anything", path="x")


def test_log_lines_drive_no_terminal_and_no_program() -> None:
    said = io.StringIO()
    event_log = EventLog(said)
    event_log.warn("unreadable_line", text="\x1b[31m\nfake [error  ] line", log="a b")
    event_log.once("key", "again")
    event_log.once("key", "again")
    event_log.over("key", "passed")
    event_log.once("key", "again")
    told = said.getvalue().splitlines()
    assert len(told) == 4
    assert "\x1b" not in told[0]
    as_json = io.StringIO()
    EventLog(as_json, as_json=True).warn("x", count=3, path='"\n')
    assert msgspec.json.decode(as_json.getvalue())["path"] == '"\\n'


def test_the_pause_grows_and_is_bounded() -> None:
    pause = Backoff(chance=lambda: 0.5)
    waits = []
    for _ in range(10):
        pause.failed(100)
        waits.append(pause.until - 100)
    assert waits[:3] == [0.375, 0.75, 1.5]
    assert max(waits) == 11.25


# ── what was counted, or never seen


def test_a_log_that_was_imported_by_hand_is_not_counted_again(bench: Bench) -> None:
    bench.path.write_bytes(lines(0, 200))
    with LogFile.open(bench.path) as log:
        Importer(bench.fake.client(), log, bench.entry.declared, bench.entry.mapping).run()
    append(bench.path, lines(200, 220))
    bench.run(200)
    assert bench.stored() == list(range(200))
    assert bench.events() == ["already_counted"]
    bench.path.rename(bench.folder / "elsewhere")
    append(bench.path, lines(300, 310))
    bench.run(20)
    assert bench.stored() == [*range(200), *range(300, 310)]


def test_what_was_counted_counts_again_where_the_entry_says_so(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    append(first.path, lines(0, 100))
    first.run()
    other = Bench(tmp_path, first.fake, name="other", overlap="allow")
    other.run()
    assert len(first.stored()) == 200


def test_a_few_lines_alike_are_no_log_that_was_counted(tmp_path: Path) -> None:
    """As two servers write of one monitor."""
    first = Bench(tmp_path)
    other = Bench(tmp_path, first.fake, name="other", path=str(tmp_path / "other.log"))
    append(first.path, lines(0, 5))
    append(tmp_path / "other.log", lines(0, 5) + lines(50, 60))
    first.run()
    other.run()
    assert first.stored() == sorted([*range(5), *range(5), *range(50, 60)])


def test_a_file_that_nobody_read_is_told_with_its_time_span(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    bench.log.close()
    bench.path.unlink()
    append(bench.path, lines(3600, 3602))
    bench.start()
    bench.run(15)
    assert bench.events() == ["files_missing"]
    assert "since=2026-11-18T11:06:42Z until=2026-11-18T12:06:40Z" in bench.said.getvalue()
    assert bench.log.facts()["holes"] == 1
    bench.restart()
    bench.run(15)
    assert bench.events() == ["files_missing"]


def test_nothing_is_missing_where_the_file_that_was_read_last_is_there(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    bench.path.rename(bench.folder / "access.log.1")
    append(bench.path, lines(10, 12))
    bench.run()
    bench.log.close()
    (bench.folder / "access.log.1").unlink()
    bench.path.rename(bench.folder / "access.log.1")
    append(bench.path, lines(20, 22))
    bench.start()
    bench.run(15)
    assert bench.events() == []

import gzip
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.reader import CHECK_BYTES, MAX_LINE_BYTES, LogChanged, LogDamaged, LogFile, digest


def log_of(path: Path, data: bytes, *, zipped: bool = False) -> LogFile:
    path.write_bytes(gzip.compress(data) if zipped else data)
    return LogFile.open(path)


def texts(log: LogFile) -> list[bytes | None]:
    return [line.text for line in log.lines(finished=True)]


@pytest.mark.parametrize("zipped", [False, True])
def test_lines_carry_the_offset_after_them_in_the_decompressed_stream(tmp_path: Path, zipped: bool) -> None:
    with log_of(tmp_path / "log", b"one\r\n\ntwo\nlast", zipped=zipped) as log:
        assert [(line.text, line.end) for line in log.lines(finished=True)] == [
            (b"one", 5),
            (b"", 6),
            (b"two", 10),
            (b"last", 14),
        ]


def test_a_compressed_log_is_known_by_its_bytes_not_its_name(tmp_path: Path) -> None:
    with log_of(tmp_path / "access.log", b"one\n", zipped=True) as log:
        assert texts(log) == [b"one"]


def test_a_line_too_long_is_skipped_whole_and_the_next_one_read(tmp_path: Path) -> None:
    long = b"x" * (3 * MAX_LINE_BYTES)
    with log_of(tmp_path / "log", b"a\n" + long + b"\nb\n" + long) as log:
        assert texts(log) == [b"a", None, b"b", None]


def test_a_line_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    just, over = b"x" * MAX_LINE_BYTES, b"x" * (MAX_LINE_BYTES + 1)
    with log_of(tmp_path / "log", just + b"\r\n" + over + b"\n" + just) as log:
        assert texts(log) == [just, None, just]


@pytest.mark.parametrize("zipped", [False, True])
def test_reading_goes_on_where_it_stopped(tmp_path: Path, zipped: bool) -> None:
    data = b"".join(b"line %d\n" % number for number in range(2000))
    with log_of(tmp_path / "log", data, zipped=zipped) as log:
        walk = log.lines()
        read = [next(walk) for _ in range(1500)]
        offset, check = read[-1].end, log.check()
    with log_of(tmp_path / "log", data, zipped=zipped) as log:
        log.start_at(offset, check)
        assert texts(log)[0] == b"line 1500"


@given(lines=st.lists(st.binary(max_size=40).filter(lambda text: b"\n" not in text), max_size=30), data=st.data())
def test_two_runs_read_what_one_run_reads(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(b"".join(line + b"\n" for line in [b"plain text", *lines]))  # no gzip by chance
    cut = data.draw(st.integers(0, len(lines)))
    with LogFile.open(path) as log:
        walk = log.lines()
        first = [next(walk) for _ in range(cut)]
        offset, check = log.offset, log.check()
    with LogFile.open(path) as log:
        log.start_at(offset, check)
        second = list(log.lines())
    with LogFile.open(path) as log:
        assert first + second == list(log.lines())


@pytest.mark.parametrize("changed", [b"o", b"onE\ntwo\n", b""])
def test_a_log_cut_or_rewritten_since_is_refused(tmp_path: Path, changed: bytes) -> None:
    with log_of(tmp_path / "log", changed) as log, pytest.raises(LogChanged):
        log.start_at(4, digest(b"one\n"))


def test_the_check_covers_the_last_bytes_before_the_offset(tmp_path: Path) -> None:
    data = b"x" * 50 + b"\n" + b"y" * (2 * CHECK_BYTES) + b"\n"
    with log_of(tmp_path / "log", data) as log:
        list(log.lines())
        assert log.check() == digest(data[-CHECK_BYTES:])


def test_a_cut_gzip_gives_its_whole_lines_and_then_says_so(tmp_path: Path) -> None:
    data = b"".join(b"%032d\n" % (number**7) for number in range(20_000))
    (tmp_path / "log").write_bytes(gzip.compress(data)[:-2000])
    with LogFile.open(tmp_path / "log") as log:
        read: list[bytes | None] = []
        with pytest.raises(LogDamaged):
            read.extend(line.text for line in log.lines())
    assert len(read) > 1000
    assert read == data.split(b"\n")[: len(read)]


def test_a_pipe_is_read_from_an_offset_by_reading_past_it() -> None:
    readable, writable = os.pipe()
    with os.fdopen(writable, "wb") as out:
        out.write(b"one\ntwo\nthree\n")
    with LogFile(io.BufferedReader(io.FileIO(readable)), "stdin") as log:
        assert (log.seekable, log.total_bytes) == (False, None)
        log.start_at(4, digest(b"one\n"))
        assert [(line.text, line.end) for line in log.lines()] == [(b"two", 8), (b"three", 14)]


def test_the_head_is_the_first_line_and_leaves_the_log_at_its_beginning(tmp_path: Path) -> None:
    with log_of(tmp_path / "log", b"first 1\nsecond\n", zipped=True) as log:
        assert log.head() == b"first 1"
        assert texts(log) == [b"first 1", b"second"]

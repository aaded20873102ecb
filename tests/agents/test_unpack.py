from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents.packing import PACKERS, cuts, encoded, encodings, line_texts, packed, packings

from flowtally.agents.reader import LogDamaged, LogFile, NotALog

FIELD = Path(__file__).parents[1] / "fixtures" / "field"
HEAD = "1773133200.000 first line"


def texts(path: Path, *, finished: bool = False) -> list[bytes | None]:
    with LogFile.open(path) as log:
        return [line.text for line in log.lines(finished=finished)]


@settings(deadline=None)
@given(lines=st.lists(line_texts, max_size=8), packing=packings, encoding=encodings, cuts=cuts, half=line_texts)
def test_whatever_it_is_packed_and_written_in_the_lines_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], packing: str, encoding: str, cuts: list[int], half: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    text = "".join(line + "\n" for line in [HEAD, *lines])
    path.write_bytes(packed(encoded(text + half, encoding), packing, cuts))
    whole = [line.encode() for line in [HEAD, *lines]]
    assert texts(path) == whole
    assert texts(path, finished=True) == whole + ([half.encode()] if half else [])
    with LogFile.open(path) as log:
        assert log.head() == HEAD.encode()
        read = list(log.lines())
        assert (read[-1].end, log.waiting) == (len(text.encode()), len(half.encode()))


@settings(deadline=None)
@given(lines=st.lists(line_texts, min_size=1, max_size=30), packing=packings, encoding=encodings, data=st.data())
def test_reading_may_stop_and_go_on_anywhere(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], packing: str, encoding: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(packed(encoded("".join(line + "\n" for line in [HEAD, *lines]), encoding), packing, [30, 60]))
    stop = data.draw(st.integers(0, len(lines)))
    with LogFile.open(path) as log:
        walk = log.lines()
        first = [next(walk) for _ in range(stop)]
        offset, check = log.offset, log.check()
    with LogFile.open(path) as log:
        log.start_at(offset, check)
        assert [*first, *log.lines()] == whole(path)
    passed: list[bytes] = []
    with LogFile.open(path) as log:
        log.start_at(offset, check, passed.extend)
        assert [*first, *log.lines()] == whole(path)
    assert passed == [line.text for line in first]


def whole(path: Path) -> list[object]:
    with LogFile.open(path) as log:
        return list(log.lines())


@settings(deadline=None)
@given(
    parts=st.lists(st.text("ab\n\0é", max_size=6), min_size=1, max_size=8), packing=packings, encoding=encodings
)  # fmt: skip
def test_a_log_that_grows_is_read_on_at_the_same_open_file(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], packing: str, encoding: str
) -> None:
    """Each part is a member of its own where it is packed, as a log is that is written so."""
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(packed(encoded(HEAD + "\n", encoding), packing))
    with LogFile.open(path) as log:
        read = list(log.lines())
        for part in parts:
            with path.open("ab") as out:
                plain = "utf-8" if encoding == "utf-8-sig" else encoding
                out.write(packed(part.encode(plain), packing))
            read += log.lines()
        read += log.lines(finished=True)
    with LogFile.open(path) as log:
        assert read == list(log.lines(finished=True))


@pytest.mark.parametrize("packing", PACKERS)
def test_a_cut_stream_gives_its_whole_lines_says_so_and_goes_on_when_it_has_grown(tmp_path: Path, packing: str) -> None:
    data = b"".join(b"%032d\n" % (number**7) for number in range(60_000))
    whole = PACKERS[packing](data)
    path = tmp_path / "log"
    path.write_bytes(whole[: len(whole) - 1000])
    with LogFile.open(path) as log:
        read: list[bytes | None] = []
        with pytest.raises(LogDamaged, match="it was cut, or is still being written"):
            read.extend(line.text for line in log.lines())
        assert data.split(b"\n")[: len(read)] == read
        assert len(read) > 1000
        path.write_bytes(whole)
        read.extend(line.text for line in log.lines())
    assert read == data.split(b"\n")[:-1]


@pytest.mark.parametrize("packing", PACKERS)
def test_a_broken_stream_is_named(tmp_path: Path, packing: str) -> None:
    whole = bytearray(PACKERS[packing](b"".join(b"%032d\n" % (number**7) for number in range(20_000))))
    whole[len(whole) // 2 : len(whole) // 2 + 40] = b"\xa5" * 40
    (tmp_path / "log").write_bytes(whole)
    with pytest.raises(LogDamaged, match=f"the {packing} stream is broken"):
        texts(tmp_path / "log")
    (tmp_path / "log").write_bytes(PACKERS[packing](b"a line 1\n" * 100) + b"what a line\n")
    with pytest.raises(LogDamaged, match=f"the {packing} stream is broken"):
        texts(tmp_path / "log")


def archive(path: Path, kind: str) -> bytes:
    (path / "access.log").write_bytes(b"a line\n")
    if kind == "zip":
        with zipfile.ZipFile(path / "out", "w") as out:
            out.write(path / "access.log")
    else:
        with tarfile.open(path / "out", "w:gz" if kind == "tar.gz" else "w") as tar:
            tar.add(path / "access.log")
    return (path / "out").read_bytes()


@pytest.mark.parametrize(
    ("kind", "said"),
    [("zip", "is a zip archive"), ("tar", "is a tar archive"), ("tar.gz", "a tar archive, inside gzip")],
)
def test_an_archive_is_named(tmp_path: Path, kind: str, said: str) -> None:
    (tmp_path / "log").write_bytes(archive(tmp_path, kind))
    with pytest.raises(NotALog, match=f"{said}.*: unpack it, and import what is in it"):
        texts(tmp_path / "log")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(gzip.compress(b"a line 1\n", mtime=0), mtime=0), "compressed twice, gzip inside gzip"),
        (b"\x04\x22\x4d\x18" + bytes(20), "compressed by lz4"),
        ("a line 1\n".encode("utf-16-le"), "UTF-16 without a byte order mark: make it UTF-8: .iconv -f UTF-16LE"),
        ("a line 1\n".encode("utf-16-be"), "UTF-16 without a byte order mark: make it UTF-8: .iconv -f UTF-16BE"),
        ("\ufeffa line 1\n".encode("utf-32-le"), "text in UTF-32"),
        (b"\x7fELF\x02\x01\x01" + bytes(30), "a program"),
        (b"SQLite format 3\x00" + bytes(100), "an SQLite database"),
        (bytes(range(1, 200)) * 4, "binary data"),
        (b"LPKSHHRH" + bytes(100), "a journal of systemd"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "log").write_bytes(data + bytes(600))
    with pytest.raises(NotALog, match=said):
        texts(tmp_path / "log", finished=True)


def test_a_live_pipe_gives_each_line_as_it_comes() -> None:
    readable, writable = os.pipe()
    with LogFile(io.BufferedReader(io.FileIO(readable)), "stdin") as log:
        walk = log.lines()
        for number in range(3):
            os.write(writable, b"line %d\n" % number)
            assert next(walk).text == b"line %d" % number
        os.write(writable, b"half")
        os.close(writable)
        assert list(walk) == []
        assert log.waiting == 4


def test_what_is_written_over_nuls_at_the_end_is_read(tmp_path: Path) -> None:
    """Windows makes a log larger before it writes, and another machine's writes may be seen late (NFS)."""
    path = tmp_path / "log"
    path.write_bytes(b"line 1\n" + bytes(1000))
    with LogFile.open(path) as log:
        assert [line.text for line in log.lines()] == [b"line 1"]
        with path.open("r+b") as out:
            out.seek(7)
            out.write(b"line 2\nhal")
        assert [line.text for line in log.lines()] == [b"line 2"]
        assert (log.nuls, log.waiting) == (0, 993)


def test_an_empty_frame_to_be_skipped_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstandard.compress(b"line 1\n"))
    assert texts(tmp_path / "log") == [b"line 1"]


@pytest.mark.parametrize(
    ("name", "first", "kind"),
    [
        ("case20a-nul-small.log", 200, ""),
        ("case21-rotated.log.bz2", 200, "bzip2"),
        ("case21-rotated.log.xz", 200, "xz"),
        ("case21-rotated.log.zst", 200, "zstd"),
        ("case22a-bom.log", 200, ""),
        ("case22b-utf16.log", 200, "UTF-16"),
    ],
)
def test_real_files_that_are_not_plain_text_give_all_their_lines(name: str, first: int, kind: str) -> None:
    with LogFile.open(FIELD / name) as log:
        read = [line.text or b"" for line in log.lines()]
        assert [line[:10] for line in read] == [b"%d" % (1_773_133_000 + number) for number in range(first, first + 5)]
        assert (log.kind, log.waiting) == (kind, 0)


@pytest.mark.parametrize(
    "start", ["", "\n\n", "#Software: IIS\n#Version: 1.0\n#Date: 2026-11-01 00:00:03\n", "proxy opened\n"]
)
def test_two_logs_that_begin_alike_are_told_apart_by_the_first_line_that_says_when(tmp_path: Path, start: str) -> None:
    heads = []
    for day in ("1", "2"):
        (tmp_path / day).write_text(f"{start}2026-11-0{day} 00:00:00 /a\nmore\n")
        with LogFile.open(tmp_path / day) as log:
            heads.append(log.head())
    assert None not in heads
    assert heads[0] != heads[1]


@pytest.mark.parametrize("text", ["", "2026-11", "#Software: IIS\n#Date: 2026", "#Software: IIS\n", "\n", "opened\n"])
def test_a_log_whose_first_line_is_not_there_yet_has_no_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    with LogFile.open(tmp_path / "log") as log:
        assert log.head() is None
        assert [line.text for line in log.lines()] == [line.encode() for line in text.split("\n")[:-1]]


def test_a_line_too_long_names_no_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"9" * 200_000 + b"\nline 2\n")
    with LogFile.open(tmp_path / "log") as log:
        assert log.head() == b"line 2"

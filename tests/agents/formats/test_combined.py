import gzip
from pathlib import Path

import pytest

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.reading import Line, LineReading, Unreadable

REAL_LOG = Path(__file__).parents[4] / "shared/data/apache_access.log.gz"
COMMON = b'127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326'


AGENT = b' "http://r/" "Mozilla/5.0 (X)"'


def read_line(line: bytes, name: str = "common") -> Line:
    return format_of(Declared(format=name)).read_line(line)


def read(line: bytes, name: str = "common") -> LineReading:
    reading = read_line(line, name)
    assert isinstance(reading, LineReading), reading
    return reading


def test_a_common_line_is_read() -> None:
    assert read(COMMON) == LineReading(
        time_at=971_211_336_000, bytes_down=2326, status=200, client="127.0.0.1", user="frank", url="/a.gif"
    )


@pytest.mark.parametrize(
    ("line", "user", "client", "down"),
    [
        (COMMON.replace(b"2326", b"-"), "frank", "127.0.0.1", 0),
        (COMMON.replace(b"- frank", b"- -"), "", "127.0.0.1", 2326),
        (COMMON.replace(b"- frank", b'- ""'), "", "127.0.0.1", 2326),
        (COMMON.replace(b"frank", b"john smith"), "john smith", "127.0.0.1", 2326),
        (COMMON.replace(b"frank", rb"j\xc3\xb6rg\""), 'jörg"', "127.0.0.1", 2326),
        (COMMON.replace(b"127.0.0.1", b"2001:db8::1").replace(b"frank", b"a b"), "a b", "2001:db8::1", 2326),
        (COMMON.replace(b"/a.gif", rb"/\" 200 99 \"x"), "frank", "127.0.0.1", 2326),
        (COMMON.replace(b"GET /a.gif HTTP/1.0", rb"\x16\x03\x01"), "frank", "127.0.0.1", 2326),
        (COMMON.replace(b"GET /a.gif HTTP/1.0", b"-").replace(b"200 2326", b"408 -"), "frank", "127.0.0.1", 0),
    ],
)  # fmt: skip
def test_the_odd_lines_of_real_logs_are_read(line: bytes, user: str, client: str, down: int) -> None:
    reading = read(line)
    assert (reading.user, reading.client, reading.bytes_down) == (user, client, down)


def test_each_name_is_one_shape_and_a_line_of_another_is_unreadable() -> None:
    lines = {
        "common": COMMON,
        "combined": COMMON + AGENT,
        "combinedio": COMMON + AGENT + b" 311 2701",
        "vhost_combined": b"www.example.com:443 " + COMMON + AGENT,
        "nginx-main": COMMON + AGENT + b' "-"',
    }
    for of, line in lines.items():
        for name in lines:
            found = read_line(line, name)
            assert isinstance(found, LineReading if name == of else Unreadable), (name, of)
            if isinstance(found, LineReading):
                assert (found.user, found.client, found.status) == ("frank", "127.0.0.1", 200)


@pytest.mark.parametrize(
    "line",
    [
        COMMON.replace(b"/a.gif", b'/a"b"') + AGENT,
        COMMON + b' "-" "an "odd" agent"',
        COMMON + b' "-" "agent" "extra" 0.002',
        b"shop.example.com " + COMMON + AGENT,
        b"198.51.100.7, " + COMMON + AGENT,
        b"Mar 10 09:00:00 edge-1 nginx: " + COMMON + AGENT,
    ],
)
def test_what_is_not_combined_is_not_guessed_at(line: bytes) -> None:
    why = read_line(line, "combined")
    assert isinstance(why, Unreadable)
    assert why.reason == "not_this_format"


def test_a_line_with_more_says_how_to_declare_it() -> None:
    why = read_line(COMMON + AGENT + b" 18342 0", "combined")
    assert isinstance(why, Unreadable)
    assert why.detail == (
        "not a line of --format combined: 2 more fields at its end (18342 0); "
        "if that is %I %O, say --format combinedio; else declare the format, with --apache-log-format"
    )


def test_combinedio_gives_both_directions() -> None:
    reading = read(COMMON + b' "-" "curl" 311 2701', "combinedio")
    assert (reading.bytes_up, reading.bytes_down) == (311, 2701)


@pytest.mark.parametrize(
    ("time", "at"),
    [
        (b"01/Jan/1970:05:30:00 +0530", 0),
        (b"31/Dec/1969:23:59:59 -0001", 59_000),
        (b"31/Dec/2016:23:59:60 +0000", 1_483_228_800_000),
    ],
)
def test_the_zone_offset_counts(time: bytes, at: int) -> None:
    assert read(COMMON.replace(b"10/Oct/2000:13:55:36 -0700", time)).time_at == at


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "not_this_format"),
        (COMMON.replace(b"10/Oct", b"31/Feb"), "bad_time"),
        (COMMON.replace(b"Oct", b"Okt"), "bad_time"),
        (COMMON.replace(b"13:55", b"25:55"), "bad_time"),
        (COMMON.replace(b"2000", b"1950"), "bad_time"),
        (COMMON.replace(b"2326", b"9" * 17), "bad_size"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: bytes, reason: str) -> None:
    why = read_line(line)
    assert isinstance(why, Unreadable)
    assert why.reason == reason


@pytest.mark.skipif(not REAL_LOG.exists(), reason="../shared/data/apache_access.log.gz is not on this machine")
def test_every_whole_line_of_a_real_apache_log_is_read_and_its_sizes_add_up() -> None:
    combined = format_of(Declared(format="combined"))
    with gzip.open(REAL_LOG) as log:
        lines = log.read().splitlines()
    read = [combined.read_line(line) for line in lines]
    unread = [number for number, one in enumerate(read, 1) if not isinstance(one, LineReading)]
    assert unread == [8899]  # the one line that is cut, in the middle of its last value
    assert not lines[8898].endswith(b'"')
    # The reckoning of awk: the first number after the status, which ends the quoted request.
    sizes = [line.split(b'" ')[1].split(b" ")[1] for number, line in enumerate(lines, 1) if number not in unread]
    readings = [one for one in read if isinstance(one, LineReading)]
    assert len(readings) == 9_999
    assert sum(reading.bytes_down for reading in readings) == sum(int(size) for size in sizes if size != b"-")

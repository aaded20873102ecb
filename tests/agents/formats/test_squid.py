import pytest

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.reading import Line, LineReading, Unreadable

NATIVE = (
    b"1795173252.544     37 127.0.0.12 TCP_MISS/200 2384167 GET http://cdn.test/a acme-bob HIER_DIRECT/127.0.0.1 a/b"
)


NATIVE_IO = NATIVE + b" 254"


def read_line(line: bytes, name: str = "squid") -> Line:
    return format_of(Declared(format=name)).read_line(line)


def read(line: bytes, name: str = "squid") -> LineReading:
    reading = read_line(line, name)
    assert isinstance(reading, LineReading), reading
    return reading


def test_the_native_format_knows_the_bytes_down_only() -> None:
    assert read(NATIVE) == LineReading(
        time_at=1_795_173_252_544,
        bytes_down=2_384_167,
        status=200,
        client="127.0.0.12",
        user="acme-bob",
        url="http://cdn.test/a",
    )


def test_with_the_request_size_at_the_end_both_directions_are_read() -> None:
    reading = read(NATIVE_IO, "squid-io")
    assert (reading.bytes_up, reading.bytes_down) == (254, 2_384_167)


@pytest.mark.parametrize(
    ("line", "user", "status", "up", "down"),
    [
        (b"1.000 0 ::1 TCP_TUNNEL/200 556219 CONNECT cdn.test:443 eli HIER_DIRECT/::1 - 926", "eli", 200, 926, 556219),
        (b"1.000 0 127.0.0.6 TCP_DENIED/407 3559 GET http://n.test/ - HIER_NONE/- text/html 177", "", 407, 177, 3559),
        (b"1.000 0 127.0.0.6 NONE_NONE/000 0 - error:transaction-end-before-headers - HIER_NONE/- - 0", "", 0, 0, 0),
        (b"1.000 0 127.0.0.6 NONE_NONE/400 3416 HI error:invalid-request - HIER_NONE/- text/html 9", "", 400, 9, 3416),
        (b"1.100 -5 127.0.0.6 TCP_MISS_ABORTED/000 0 GET http://n.test/ bob HIER_DIRECT/10.0.0.1 -", "bob", 0, 0, 0),
        (b"1.000 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/ j%c3%b6rg%20k NONE/- text/html", "jörg k", 200, 0, 10),
        (b"1.000 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/ %ff NONE/- text/html", "\\xff", 200, 0, 10),
        (rb"1.000 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/ corp\\eve NONE/- text/html", r"corp\eve", 200, 0, 10),
        (b"1.000 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/ bob NONE/- 200 7", "bob", 200, 7, 10),
        (b"1.000 0 10.1.1.1 UDP_MISS/- - ICP_QUERY http://n.test/ - -/- -", "", 0, 0, 0),
    ],
)  # fmt: skip
def test_the_odd_lines_of_real_logs_are_read(line: bytes, user: str, status: int, up: int, down: int) -> None:
    name = "squid-io" if line.split()[-1].isdigit() else "squid"
    reading = read(line, name)
    assert (reading.user, reading.status, reading.bytes_up, reading.bytes_down) == (user, status, up, down)


@pytest.mark.parametrize("url", [b"http://n.test/a b", b"http://n.test/ m HIER_NONE/- a/b 1"])
def test_a_blank_in_a_url_or_a_name_makes_a_line_that_nobody_can_read(url: bytes) -> None:
    line = b"1.000 0 10.1.1.1 TCP_HIT/200 10 GET %b real HIER_DIRECT/10.0.0.1 a/b" % url
    why = read_line(line)
    assert isinstance(why, Unreadable)
    assert why.reason == "ambiguous"


def test_one_more_number_is_another_format_and_nobodys_upload() -> None:
    for line, name in ((NATIVE_IO, "squid"), (NATIVE, "squid-io"), (NATIVE_IO + b" 1", "squid-io")):
        why = read_line(line, name)
        assert isinstance(why, Unreadable)
        assert why.reason == "not_this_format"
    why = read_line(NATIVE_IO)
    assert isinstance(why, Unreadable)
    assert why.detail == (
        "not a line of --format squid: 1 more field at its end (254); "
        "if that is %>st, say --format squid-io; else declare the format, with --squid-logformat"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "not_this_format"),
        (NATIVE[:60], "not_this_format"),
        (NATIVE.replace(b"1795173252.", b"9999999999999."), "bad_time"),
        (NATIVE.replace(b"2384167", b"-1"), "bad_size"),
        (NATIVE.replace(b"2384167", b"9007199254740992"), "bad_size"),
        (NATIVE.replace(b".544", b".5440"), "not_this_format"),
        (NATIVE.replace(b".544", b""), "not_this_format"),
        (b"\xff\xfe\x00" * 30, "not_this_format"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: bytes, reason: str) -> None:
    why = read_line(line)
    assert isinstance(why, Unreadable)
    assert why.reason == reason


def test_a_blank_line_is_nothing() -> None:
    assert read_line(b"  ") is None

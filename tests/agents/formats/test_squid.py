import pytest

from flowtally.agents.formats.squid import read_line
from flowtally.agents.reading import Reading, Unreadable

NATIVE = (
    b"1795173252.544     37 127.0.0.12 TCP_MISS/200 2384167 GET http://cdn.test/a acme-bob HIER_DIRECT/127.0.0.1 a/b"
)


def read(line: bytes) -> Reading:
    reading = read_line(line)
    assert isinstance(reading, Reading), reading
    return reading


def test_the_native_format_knows_the_bytes_down_only() -> None:
    assert read(NATIVE) == Reading(
        time_at=1_795_173_252_544,
        bytes_down=2_384_167,
        status=200,
        client="127.0.0.12",
        user="acme-bob",
        url="http://cdn.test/a",
    )


def test_with_the_request_size_at_the_end_both_directions_are_read() -> None:
    reading = read(NATIVE + b" 254")
    assert (reading.bytes_up, reading.bytes_down) == (254, 2_384_167)


@pytest.mark.parametrize(
    ("line", "user", "status", "up", "down"),
    [
        (b"1.1 0 ::1 TCP_TUNNEL/200 5562192 CONNECT cdn.test:443 eli HIER_DIRECT/::1 - 926", "eli", 200, 926, 5562192),
        (b"1.1 0 127.0.0.6 TCP_DENIED/407 3559 GET http://n.test/ - HIER_NONE/- text/html 177", "", 407, 177, 3559),
        (b"1.1 0 127.0.0.6 NONE_NONE/000 0 - error:transaction-end-before-headers - HIER_NONE/- - 0", "", 0, 0, 0),
        (b"1.1 0 127.0.0.6 NONE_NONE/400 3416 HELLO error:invalid-request - HIER_NONE/- text/html 9", "", 400, 9, 3416),
        (b"1.1 -5 127.0.0.6 TCP_MISS_ABORTED/000 0 GET http://n.test/ bob HIER_DIRECT/10.0.0.1 -", "bob", 0, 0, 0),
        (b"1 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/ j%c3%b6rg%20k NONE/- text/html", "jörg k", 200, 0, 10),
        (b"1 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/ %ff NONE/- text/html", "\\xff", 200, 0, 10),
        (b"1 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/a b c bob NONE/- text/html 7", "bob", 200, 7, 10),
        (b"1 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/ bob NONE/- 200 7", "bob", 200, 7, 10),
        (b"1 0 10.1.1.1 UDP_MISS/- - ICP_QUERY http://n.test/ - -/- -", "", 0, 0, 0),
    ],
)  # fmt: skip
def test_the_odd_lines_of_real_logs_are_read(line: bytes, user: str, status: int, up: int, down: int) -> None:
    reading = read(line)
    assert (reading.user, reading.status, reading.bytes_up, reading.bytes_down) == (user, status, up, down)


def test_a_url_cannot_pretend_to_be_the_rest_of_the_line() -> None:
    line = b"1 0 10.1.1.1 TCP_HIT/200 10 GET http://n.test/ mallory HIER_NONE/- a/b 1 real HIER_DIRECT/10.0.0.1 a/b 99"
    assert (read(line).user, read(line).bytes_up) == ("real", 99)


def test_the_time_is_exact_to_the_millisecond_and_never_rounded_up() -> None:
    assert read(NATIVE.replace(b".544", b".999999")).time_at == 1_795_173_252_999
    assert read(NATIVE.replace(b".544", b"")).time_at == 1_795_173_252_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "not_this_format"),
        (NATIVE[:60], "not_this_format"),
        (NATIVE.replace(b"1795173252.", b"9999999999999."), "bad_time"),
        (NATIVE.replace(b"2384167", b"-1"), "bad_size"),
        (NATIVE + b" 9007199254740992", "bad_size"),
        (b"\xff\xfe\x00" * 30, "not_this_format"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: bytes, reason: str) -> None:
    why = read_line(line)
    assert isinstance(why, Unreadable)
    assert why.reason == reason


def test_a_blank_line_is_nothing() -> None:
    assert read_line(b"  ") is None

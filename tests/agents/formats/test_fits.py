"""Of a line that is not read people are told up to where it fits its format, in bounded time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, Format, format_of
from flowtally.agents.formats.fits import MOST_LINES, Fits
from flowtally.agents.reading import LineReading, Unreadable

SQUID = "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt"
GOOD = b"1773133205.800   1250 192.0.2.14 TCP_MISS/200 6000 GET http://n.test/ carol DEFAULT_PARENT/192.0.2.1 a/b"


def declared() -> Format:
    return format_of(Declared(squid_logformat=SQUID))


def why(line: bytes) -> str:
    read = declared().read_line(line)
    assert isinstance(read, Unreadable), read
    assert read.reason == "not_this_format"
    return read.detail.removeprefix("not a line of --squid-logformat")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (GOOD.replace(b"192.0.2.1 a", b" a"), "it fits up to `...t/ carol DEFAULT_PARENT/`, "),
        (GOOD.replace(b"192.0.2.1 a/b", b" -"), "then %<a is expected, not ` -`"),
        (GOOD.replace(b"/200", b"/0"), "then %03>Hs is expected, not `0 6000 GET http://n.test`"),
        (GOOD.replace(b"6000", b"60.5"), "0.2.14 TCP_MISS/200 60`, then ` ` is expected, not `.5 GET"),
        (GOOD[:40], "then `/` is expected, not the end of the line"),
        (b"Mar 10 09:00:00 " + GOOD, "%ts is expected at its beginning, not `Mar 10"),
        (GOOD + b" 77", "1 more field at its end (77)"),
    ],
)
def test_it_is_told_where_a_line_stops_fitting(line: bytes, said: str) -> None:
    assert said in why(line)


def test_a_line_with_two_readings_is_told_with_the_fields_that_make_them() -> None:
    read = declared().read_line(GOOD.replace(b"carol", b"carol b"))
    assert isinstance(read, Unreadable)
    assert read.reason == "ambiguous"
    assert read.detail.endswith("in more than one way: %ru and %[un may hold what stands between them")


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=9))
def test_whatever_is_put_into_a_line_what_is_said_to_fit_is_its_beginning(place: int, put: bytes) -> None:
    line = GOOD[:place] + put + GOOD[place:]
    read = declared().read_line(line)
    if isinstance(read, Unreadable) and "it fits up to" in read.detail:
        fits = read.detail.split("it fits up to `", 1)[1].rsplit("`, then ", 1)[0].removeprefix("...")
        assert fits in line.decode("utf-8", "backslashreplace")
    else:
        assert isinstance(read, LineReading | Unreadable) or read is None


def test_of_endless_lines_and_of_many_it_costs_little() -> None:
    format_string = " ".join(["%ts.%03tu", "%>a", "%<st", '"%un"', *["%{X}>h"] * 20, "%ru"])
    made = format_of(Declared(squid_logformat=format_string))
    begins = time.monotonic()
    for line in (b"1.000 a 5 " + b"a " * 30_000, b'1.000 a 5 "' + b"\\\\" * 30_000, b"1" * 60_000, b" " * 60_000):
        made.read_line(line)
    assert time.monotonic() - begins < 30

    fits = Fits([("a", b"a")])
    assert [fits.told(b"b") != "" for _ in range(MOST_LINES + 2)] == [True] * MOST_LINES + [False] * 2

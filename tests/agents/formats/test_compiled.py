"""The core of compiled formats: what is named counts, nothing else, and what can be read in two ways is not read."""

import pytest

from flowtally.agents.formats.compiled import Compiled, Field, Piece
from flowtally.agents.reading import LineReading, Unreadable, rfc3339_at
from flowtally.core.errors import ConfigError

TIME = Field(name="%t", means="time", convert=lambda raw: rfc3339_at(raw.decode()))
USER = Field(name="%u", means="user", wide=rb".")
DOWN = Field(name="%O", means="bytes_down", rank=1)
BODY = Field(name="%b", means="bytes_down")
MILLIS = Field(name="%D")
AT = 1_773_133_200_000


def read(pieces: list[Piece], line: bytes) -> LineReading | Unreadable | None:
    return Compiled(pieces, "this format").read_line(line)


def test_a_field_counts_by_its_name_and_the_better_one_of_two() -> None:
    pieces: list[Piece] = [TIME, b" ", USER, b" ", BODY, b" ", MILLIS, b" ", DOWN]
    assert Compiled(pieces, "f").means == {"time": "%t", "user": "%u", "bytes_down": "%O"}
    assert read(pieces, b"2026-03-10T09:00:00Z ann 10 99 12") == LineReading(time_at=AT, user="ann", bytes_down=12)


def test_a_line_of_another_shape_is_unreadable_and_a_blank_one_nothing() -> None:
    pieces: list[Piece] = [TIME, b" ", DOWN]
    for line in (b"2026-03-10T09:00:00Z 10 11", b"2026-03-10T09:00:00Z", b"x", b" 2026-03-10T09:00:00Z 10"):
        assert isinstance(found := read(pieces, line), Unreadable)
        assert found.reason == "not_this_format"
    assert read(pieces, b"  ") is None


def test_a_value_that_is_none_is_told_with_its_field() -> None:
    assert read([TIME, b" ", DOWN], b"now 10") == Unreadable("bad_time", "%t is no time: now")
    assert read([TIME, b" ", DOWN], b"2026-03-10T09:00:00Z -1") == Unreadable("bad_size", "%O is no bytes_down: -1")


def test_a_value_may_hold_what_ends_it_where_only_one_reading_is_possible() -> None:
    assert read([USER, b" [", TIME, b"] ", DOWN], b"bob b [2026-03-10T09:00:00Z] 5") == LineReading(
        time_at=AT, user="bob b", bytes_down=5
    )
    two = read([TIME, b" ", USER, b" ", MILLIS, b" ", USER, b" ", DOWN], b"2026-03-10T09:00:00Z a 1 b 2 c 3")
    assert isinstance(two, Unreadable)
    assert two.reason == "ambiguous"


def test_a_format_that_dates_nothing_or_has_no_end_between_two_fields_is_refused() -> None:
    with pytest.raises(ConfigError, match="names no instant"):
        Compiled([USER, b" ", DOWN], "this format")
    with pytest.raises(ConfigError, match="nothing stands between %u and %O"):
        Compiled([TIME, b" ", USER, DOWN], "this format")

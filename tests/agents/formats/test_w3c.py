"""W3C extended logs: the columns are what the last `#Fields` says, wherever reading begins."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, Format, format_of
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.core.errors import ConfigError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AT = 1_773_119_684_000  # 2026-03-10T05:14:44Z
COUNTS = ["date", "time", "sc-bytes", "cs-bytes", "cs-username", "c-ip", "sc-status"]
OTHERS = ["s-ip", "cs-method", "cs-uri-query", "s-port", "cs(User-Agent)", "time-taken", "sc-win32-status", "x-a"]
VALUES = st.text("abcXYZ019._+()/%-", min_size=1, max_size=8)
ROWS = st.fixed_dictionaries(
    {
        "seconds": st.integers(0, 4_000_000_000),
        "up": st.integers(0, 2**53 - 1),
        "down": st.integers(0, 2**53 - 1),
        "user": st.one_of(st.just("-"), st.text("ab\\.\u00e9_+", min_size=1, max_size=8)),
        "status": st.integers(100, 599),
    }
)
TABLES = st.tuples(
    st.permutations([*COUNTS, *OTHERS]).flatmap(
        lambda names: st.sets(st.sampled_from(OTHERS)).map(lambda left: [name for name in names if name not in left])
    ),
    st.lists(ROWS, max_size=4),
)


def w3c(name: str = "w3c", zone: str = "") -> Format:
    return format_of(Declared(format=name, zone=zone))


def row_of(names: list[str], row: dict[str, int], user: str, separator: str) -> str:
    at = EPOCH + timedelta(seconds=row["seconds"])
    told = {
        "date": f"{at:%Y-%m-%d}", "time": f"{at:%H:%M:%S}", "sc-bytes": str(row["down"]), "cs-bytes": str(row["up"]),
        "cs-username": user, "c-ip": "192.0.2.1", "sc-status": str(row["status"]),
    }  # fmt: skip
    return separator.join(told.get(name, "x") for name in names)


def right_of(row: dict[str, int], user: str) -> LineReading:
    return LineReading(
        time_at=row["seconds"] * 1000, bytes_up=row["up"], bytes_down=row["down"], status=row["status"],
        client="192.0.2.1", user="" if user == "-" else user,
    )  # fmt: skip


@settings(deadline=None)
@given(tables=st.lists(TABLES, min_size=1, max_size=3), separator=st.sampled_from([" ", "\t"]), cut=st.integers(0, 99))
def test_fields_may_change_and_reading_may_begin_anywhere(tables: list, separator: str, cut: int) -> None:  # type: ignore[type-arg]
    lines: list[bytes] = [b"#Software: some", b"#Version: 1.0"]
    right: list[Line] = [None, None]
    for names, rows in tables:
        lines.append(("#Fields: " + " ".join(names)).encode())
        right.append(None)
        lines += [row_of(names, row, str(row["user"]), separator).encode() for row in rows]
        right += [right_of(row, str(row["user"])) for row in rows]
    whole = w3c()
    assert [whole.read_line(line) for line in lines] == right
    place = cut % len(lines)
    assert whole.remember is not None
    for later in (w3c(), whole):  # the same reader begins anew, too
        assert later.remember is not None
        later.remember(iter(lines[:place]))
        assert [later.read_line(line) for line in lines[place:]] == right[place:]


@pytest.mark.parametrize(
    ("fields", "line", "says"),
    [
        (b"", b"2026-03-10 05:14:44 200", b"no #Fields before"),
        (b"#Fields: date time sc-bytes", b"2026-03-10 05:14:44 1 2", b"4 values, where #Fields names 3"),
        (b"#Fields: date time sc-bytes", b"2026-03-10 05:14:44", b"2 values, where #Fields names 3"),
        (b"#Fields: date time sc-status", b"2026-03-10 05:14:44 200", b"neither sc-bytes nor cs-bytes"),
        (b"#Fields: time sc-bytes", b"05:14:44 200", b"no date and time"),
        (b"#Fields: date time sc-bytes sc-bytes", b"2026-03-10 05:14:44 1 2", b"sc-bytes twice"),
        (b"#Fields: date time sc-bytes", b"2026-03-32 05:14:44 1", b"no time of any calendar"),
        (b"#Fields: date time sc-bytes", b"2026-03-10 05:14:44 -1", b"no quantity: -1"),
        (b"#Fields: date time sc-bytes x", b'2026-03-10 05:14:44 1 "a', b"does not end"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(fields: bytes, line: bytes, says: bytes) -> None:
    made = w3c()
    assert made.read_line(fields) is None
    found = made.read_line(line)
    assert isinstance(found, Unreadable), found
    assert says.decode() in found.detail


def test_the_specification_has_quoted_strings_and_fractions() -> None:
    made = w3c()
    made.read_line(b"#Fields: date time cs-username cs-bytes")
    assert made.read_line(b'2026-03-10 05:14:44.1239 "a ""b"" c" -') == LineReading(time_at=AT + 123, user='a "b" c')


def test_iis_writes_a_blank_as_plus_and_others_do_not() -> None:
    line = b"2026-03-10 05:14:44 CORP\\bob+b 1"
    for name, user in (("iis", "CORP\\bob b"), ("w3c", "CORP\\bob+b")):
        made = w3c(name)
        made.read_line(b"#Fields: date time cs-username sc-bytes")
        assert made.read_line(line) == LineReading(time_at=AT, user=user, bytes_down=1)


def test_times_are_utc_unless_a_zone_is_declared() -> None:
    made = w3c("iis", "Europe/Berlin")
    made.read_line(b"#Fields: date time sc-bytes")
    assert made.read_line(b"2026-03-10 06:14:44 1") == LineReading(time_at=AT, bytes_down=1)
    with pytest.raises(ConfigError, match="has its own"):
        format_of(Declared(format="iis", time_format="clf"))

"""3proxy's log by its logformat: `%O` is up, `%I` down, local times need their zone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.core.errors import ConfigError

AT = 1_773_133_200_000  # 2026-03-10T09:00:00Z
REST = b"00000 alice 192.0.2.10:51234 203.0.113.5:443 412 48211 0 CONNECT example.com:443 HTTP/1.1"
RIGHT = LineReading(time_at=AT, bytes_up=412, bytes_down=48211, client="192.0.2.10", user="alice")


def read(line: bytes, text: str = "", zone: str = "") -> Line:
    declared = Declared(threeproxy_logformat=text, zone=zone) if text else Declared(format="3proxy", zone=zone)
    return format_of(declared).read_line(line)


@pytest.mark.parametrize(
    ("head", "zone"),
    [
        (b"260310090000.000 3128 ", ""),
        (b"1773133200.000 PROXY.3128 ", ""),
        (b"1773133200.000  PROXY.3128 ", ""),
        (b"10-03-2026 10:00:00.000 PROXY.3128 ", "Europe/Berlin"),
        (b"10-03-2026 10:00:00 +0100 PROXY.3128 ", ""),
    ],
)
def test_the_default_logs_are_read(head: bytes, zone: str) -> None:
    assert read(head + REST, zone=zone) == RIGHT


def test_a_local_time_needs_its_zone() -> None:
    found = read(b"10-03-2026 10:00:00.000 PROXY.3128 " + REST)
    assert isinstance(found, Unreadable)
    assert (found.reason, "says no zone" in found.detail) == ("bad_time", True)


def test_records_of_logdump_are_what_moved_since_the_last_one() -> None:
    lines = [b"1773133200.000 PROXY.3128 00000 a 1.1.1.1:1 2.2.2.2:2 %d %d 0 x" % (up, 2 * up) for up in (5, 7, 11)]
    assert sum(one.bytes_up for one in map(read, lines) if isinstance(one, LineReading)) == 23


@settings(deadline=None)
@given(
    ms=st.integers(0, 3_000_000_000_000),
    user=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=12),
    up=st.integers(0, 2**53 - 1),
    down=st.integers(0, 2**53 - 1),
    client=st.ip_addresses(),
    text=st.sampled_from(["G%Y%m%d%H%M%S.%. %U %C:%c %I %O %T", "- +_L[%o %d %Y %H:%M:%S.%. %z] %C:%c|%O|%I|%U"]),
)
def test_any_logformat_is_read_as_it_was_written(
    ms: int, user: str, up: int, down: int, client: object, text: str
) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    told = {
        "Y": f"{at.year:04d}", "m": f"{at:%m}", "d": f"{at:%d}", "H": f"{at:%H}", "M": f"{at:%M}", "S": f"{at:%S}",
        ".": f"{ms % 1000:03d}", "o": f"{at:%b}", "z": "+0000", "U": user, "C": str(client), "c": "99", "I": str(down),
        "O": str(up), "T": "GET http://x/",
    }  # fmt: skip
    line = text.removeprefix("- +_")[1:]
    for name in told:
        line = line.replace(f"%{name}", f"\0{name}")
    for name, value in told.items():
        line = line.replace(f"\0{name}", value)
    right = LineReading(time_at=ms, bytes_up=up, bytes_down=down, client=str(client), user="" if user == "-" else user)
    assert read(line.encode(), text) == right


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("%t %U", "begins with L or G"),
        ("L%U %I", "names no instant"),
        ("G%d-%m %H %U %Y", "missing|apart"),
        ("G%H%M %U", "missing"),
    ],
)
def test_a_logformat_of_no_use_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read(b"", text)

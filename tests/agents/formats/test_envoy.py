"""Envoy's logs, of lines that Envoy 1.40 wrote; a stream that is logged as it goes counts once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.core.errors import ConfigError

DEFAULT_LINE = (
    b'[2026-11-29T17:49:37.075Z] "GET /q HTTP/1.1" 200 - 0 5 0 - "-" "a" "b" "53e44d46-bfc1-441e-8925-b358986a8641" '
    b'"127.0.0.1:19480" "-"'
)
TEXT = (
    "%START_TIME(%s.%3f)% %START_TIME(%d/%b/%Y:%H:%M:%S.%6f %z)% %ACCESS_LOG_TYPE% %STREAM_ID% \"%REQ(X-USER)%\" "
    "%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% %RESPONSE_CODE% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQ(:PATH)%\\n"
)  # fmt: skip
TEXT_LINE = (
    b"1795974577.075 29/Nov/2026:17:49:37.075743 +0000 DownstreamEnd 53e44d46-bfc1-441e-8925-b358986a8641 "
    b'"jo "x" y" 92 121 200 127.0.0.1:54042 /q'
)
JSON = (
    '{"t":"%START_TIME%","http":{"up":"%BYTES_RECEIVED%","down":"%BYTES_SENT%","kind":"%ACCESS_LOG_TYPE%"},'
    '"who":"%REQ(X-USER)%","peer":"%DOWNSTREAM_REMOTE_ADDRESS%","both":"%PROTOCOL% %RESPONSE_CODE%"}'
)
TCP = (
    "%START_TIME% %ACCESS_LOG_TYPE% %STREAM_ID% %DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% "
    "%BYTES_RECEIVED% %BYTES_SENT% %DOWNSTREAM_REMOTE_ADDRESS%"
)
TCP_LINES = [
    b"2026-11-29T17:49:37.403Z TcpUpstreamConnected 34fa07aa-6369-4ad7-a2e6-2b86c51188ec 0 0 0 0 127.0.0.1:38914",
    b"2026-11-29T17:49:37.403Z TcpPeriodic 34fa07aa-6369-4ad7-a2e6-2b86c51188ec 28 121 28 121 127.0.0.1:38914",
    b"2026-11-29T17:49:37.403Z TcpPeriodic 34fa07aa-6369-4ad7-a2e6-2b86c51188ec 28 121 28 121 127.0.0.1:38914",
    b"2026-11-29T17:49:37.403Z TcpConnectionEnd 34fa07aa-6369-4ad7-a2e6-2b86c51188ec 56 242 56 242 127.0.0.1:38914",
]
AT = 1_795_974_577_075


def read(declared: Declared, line: bytes) -> Line:
    return format_of(declared).read_line(line)


def test_the_default_log_knows_bodies_and_no_user_and_says_so() -> None:
    made = format_of(Declared(format="envoy"))
    assert made.read_line(DEFAULT_LINE) == LineReading(time_at=AT, bytes_down=5, status=200, url="/q")
    notes = " ".join(made.notes)
    assert "does not tell a user's name" in notes
    assert "are bodies" in notes


def test_a_format_of_ones_own_reads_what_it_names() -> None:
    right = LineReading(
        time_at=AT, bytes_up=92, bytes_down=121, status=200, user='jo "x" y', client="127.0.0.1", url="/q"
    )
    assert read(Declared(envoy_format=TEXT), TEXT_LINE) == right


def test_a_json_format_reads_the_members_that_are_one_operator() -> None:
    line = (
        b'{"t":"2026-11-29T17:49:37.075Z","http":{"up":3,"down":9007199254740991,"kind":"DownstreamEnd"},'
        b'"who":"jo \\"x\\" y","peer":"[2001:db8::1]:54042","both":"HTTP/1.1 200"}'
    )
    made = format_of(Declared(envoy_format=JSON))
    right = LineReading(time_at=AT, bytes_up=3, bytes_down=9007199254740991, user='jo "x" y', client="2001:db8::1")
    assert made.read_line(line) == right
    assert made.read_line(line.replace(b"DownstreamEnd", b"DownstreamPeriodic")) is None


def test_only_the_end_of_a_stream_counts() -> None:
    read_line = format_of(Declared(envoy_format=TCP)).read_line
    found = [read_line(line) for line in TCP_LINES]
    assert found[:3] == [None, None, None]
    assert found[3] == LineReading(time_at=AT + 328, bytes_up=56, bytes_down=242, client="127.0.0.1")


@settings(deadline=None)
@given(sums=st.lists(st.integers(0, 10**12), min_size=1).map(sorted), kind=st.sampled_from(["Tcp", "Downstream"]))
def test_a_stream_is_its_last_sum_however_often_it_was_logged(sums: list[int], kind: str) -> None:
    read_line = format_of(Declared(envoy_format=TCP)).read_line
    last = "TcpConnectionEnd" if kind == "Tcp" else "DownstreamEnd"
    types = [f"{kind}Periodic"] * (len(sums) - 1) + [last]
    found = [
        read_line(f"2026-11-29T17:49:37.403Z {one} 34fa07aa {total} {total} 1 1 -".encode())
        for one, total in zip(types, sums, strict=True)
    ]
    assert [one.bytes_down for one in found if isinstance(one, LineReading)] == [sums[-1]]
    assert not any(isinstance(one, Unreadable) for one in found)


@settings(deadline=None)
@given(agent=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40))
def test_no_header_of_a_client_changes_what_the_default_log_counts(agent: str) -> None:
    line = DEFAULT_LINE.replace(b'a" "b', agent.encode())
    assert read(Declared(format="envoy"), line) == LineReading(time_at=AT, bytes_down=5, status=200, url="/q")


EVIL = st.lists(
    st.sampled_from(['"', " ", "1", "200", "127.0.0.1:1", "/q", "x", '" 1 2 200 127.0.0.1:1 /q']), max_size=9
)


@settings(deadline=None)
@given(name=EVIL.map("".join).filter(lambda name: name != "-"))
def test_a_header_is_read_as_it_was_sent_or_not_at_all(name: str) -> None:
    """Envoy escapes nothing: what a client sends may look like the rest of the line."""
    found = read(Declared(envoy_format=TEXT), TEXT_LINE.replace(b'jo "x" y', name.encode()))
    if isinstance(found, Unreadable):
        assert found.reason == "ambiguous"
    else:
        assert isinstance(found, LineReading)
        assert (found.user, found.bytes_up, found.bytes_down) == (name, 92, 121)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("%BYTES_SENT%", "names no instant"),
        ("%START_TIME% %bytes_sent%", "is no operator"),
        ("%START_TIME%\n%BYTES_SENT%", "several lines"),
        ("%START_TIME(%c)%", "%c is not known"),
        ('{"a":"%START_TIME%"', "not JSON"),
        ('{"a":"%BYTES_SENT%"}', "name no time"),
    ],
)
def test_a_format_of_no_use_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        format_of(Declared(envoy_format=text))

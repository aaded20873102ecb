"""Envelopes come off whole, whatever they hold: no line is read by what was around it, and no piece by itself."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, Format, format_of
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.reader import MAX_LINE_BYTES
from flowtally.agents.reading import LineReading, Unreadable
from flowtally.core.errors import ConfigError

SQUID = b"1795173252.544 37 10.0.0.1 TCP_MISS/200 2384 GET http://n.test/%s ann HIER_DIRECT/10.0.0.2 a/b"
WORD = st.text("abcXYZ019-_./()", min_size=1, max_size=12)
TAG = st.one_of(
    st.text("abcXYZ019-_./()", min_size=1, max_size=12).map(lambda name: f"{name}:"),
    st.tuples(WORD, st.integers(1, 99999)).map(lambda one: f"{one[0]}[{one[1]}]:"),
    st.integers(1, 99999).map(lambda pid: f"squid {pid} [local0.info]"),
)
TIME = st.sampled_from(
    ["Mar 10 09:00:00", "Mar  1 09:00:00", "2026-03-10T09:00:00Z", "2026-03-10T09:00:00.123456+01:00"]
)
HEADERS = st.one_of(
    st.builds(
        lambda pri, time, host, tag: f"{pri}{time} {host}{tag} ",
        st.sampled_from(["", "<134>", "<0>"]), TIME, st.one_of(st.just(""), WORD.map(lambda host: host + " ")), TAG,
    ),
    st.builds(
        lambda pri, host, app, data, bom: f"{pri}1 2026-03-10T09:00:00.003Z {host} {app} - ID47 {data} {bom}",
        st.sampled_from(["", "<165>"]), WORD, WORD,
        st.sampled_from(["-", '[a@1 b="c"]', '[a b="x\\"]\\\\"][d e="] f"]']), st.sampled_from(["", "\ufeff"]),
    ),
)  # fmt: skip
CLOUD = b'{"account":"acme","bytes_down":5}'


def wrapped(name: str, inner: str = "squid", **declared: str) -> Format:
    return format_of(Declared(format=inner, envelope=name, **declared))


def docker(text: str, *, stream: str = "stdout", time: str = "2026-03-10T09:00:00.861234567Z") -> bytes:
    return json.dumps({"log": text, "stream": stream, "time": time}).encode()


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@settings(deadline=None)
@given(header=HEADERS)
def test_any_header_of_syslog_comes_off_before_any_format(header: str) -> None:
    squid = SQUID % b"a"
    bare = format_of(Declared(format="squid")).read_line(squid)
    assert wrapped("syslog").read_line(header.encode() + squid) == bare
    clf = b'192.0.2.1 - a [10/Mar/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 7 "-" "Mar 10 09:00:00 x y: "'
    assert wrapped("syslog", "combined").read_line(header.encode() + clf) == format_of(
        Declared(format="combined")
    ).read_line(clf)


@settings(deadline=None)
@given(
    texts=st.lists(st.tuples(st.text("ab\"\\\u00e9", max_size=30), st.sampled_from(["stdout", "stderr"])), min_size=1),
    cuts=st.lists(st.lists(st.integers(0, 999), max_size=4)),
    place=st.integers(0, 999),
    kind=st.sampled_from(["docker", "cri"]),
    data=st.data(),
)  # fmt: skip
def test_pieces_are_joined_by_stream_wherever_reading_begins(
    texts: list[tuple[str, str]], cuts: list[list[int]], place: int, kind: str, data: st.DataObject
) -> None:
    """Lines of two streams, cut and shuffled into each other; the model joins them before they are cut."""
    queues: dict[str, list[tuple[str, bool]]] = {"stdout": [], "stderr": []}
    whole: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for number, (text, stream) in enumerate(texts):
        line = json.dumps({"account": "a", "user": text or "x", "time": "2026-03-10T09:00:00Z"}, ensure_ascii=False)
        parts = pieces_of(line, cuts[number] if number < len(cuts) else [])
        queues[stream] += [(part, last) for part, last in zip(parts, [False] * (len(parts) - 1) + [True], strict=True)]
        whole[stream].append(text or "x")
    lines: list[bytes] = []
    ended: list[str | None] = []
    while any(queues.values()):
        stream = data.draw(st.sampled_from([name for name, queue in queues.items() if queue]))
        part, last = queues[stream].pop(0)
        if kind == "docker":
            lines.append(docker(part + "\n" * last, stream=stream))
        else:
            lines.append(f"2026-03-10T09:00:00.1Z {stream} {'F' if last else 'P'} {part}".encode())
        ended.append(whole[stream].pop(0) if last else None)
    made = wrapped(kind, "cloudevents")
    users = [read.user if isinstance(read, LineReading) else read for read in map(made.read_line, lines)]
    assert users == ended
    begins = place % len(lines)
    assert made.remember is not None
    made.remember(lines[:begins])
    users = [read.user if isinstance(read, LineReading) else read for read in map(made.read_line, lines[begins:])]
    assert users == ended[begins:]


def test_a_line_whose_pieces_are_too_long_is_told_once_and_the_next_is_read() -> None:
    made = wrapped("docker")
    piece = docker("x" * 16_384)
    found = [made.read_line(line) for line in [piece] * 5 + [docker("end\n"), docker((SQUID % b"a").decode() + "\n")]]
    assert found[:5] == [None] * 5
    assert isinstance(found[5], Unreadable)
    assert found[5].reason == "too_long"
    assert isinstance(found[6], LineReading)
    assert MAX_LINE_BYTES < 5 * 16_384


def test_the_time_within_counts_and_the_envelopes_where_there_is_none() -> None:
    at = 1_773_133_200_000
    for line, time_at in [
        (docker(CLOUD.decode() + "\n"), at + 861),
        (b"2026-03-10T09:00:00.1239Z stdout F " + CLOUD, at + 123),
    ]:
        read = wrapped("docker" if line[:1] == b"{" else "cri", "cloudevents").read_line(line)
        assert isinstance(read, LineReading)
        assert read.time_at == time_at
    entry = json.dumps({"MESSAGE": CLOUD.decode(), "__REALTIME_TIMESTAMP": "1773133200123456"}).encode()
    found = wrapped("journald", "cloudevents").read_line(entry)
    assert isinstance(found, LineReading)
    assert found.time_at == at + 123
    within = wrapped("docker").read_line(docker((SQUID % b"a").decode() + "\n"))
    assert isinstance(within, LineReading)
    assert within.time_at == 1_795_173_252_544


@pytest.mark.parametrize("zone", ["", "Europe/Berlin"])
def test_a_time_of_rfc_3164_is_no_instant(zone: str) -> None:
    made = format_of(Declared(haproxy_log_format="%ci %U %B", envelope="syslog", zone=zone))
    found = made.read_line(b"Mar 10 09:00:00 lb haproxy[7]: 192.0.2.1 3 4")
    assert isinstance(found, Unreadable)
    assert (found.reason, "writes no year" in found.detail) == ("bad_time", True)
    dated = made.read_line(b"<134>1 2026-03-10T09:00:00.003Z lb haproxy 7 - - 192.0.2.1 3 4")
    assert dated == LineReading(time_at=1_773_133_200_003, bytes_up=3, bytes_down=4, client="192.0.2.1")


@pytest.mark.parametrize("time", ["Mar 10 2026 10:00:00.003", "2026-03-10T10:00:00.003"])
def test_a_header_with_a_year_and_without_a_zone_needs_a_declared_one(time: str) -> None:
    line = f"{time} lb haproxy[7]: 192.0.2.1 3 4".encode()
    for zone, right in [("", "says no zone"), ("Europe/Berlin", 1_773_133_200_003)]:
        made = format_of(Declared(haproxy_log_format="%ci %U %B", envelope="syslog", zone=zone))
        found = made.read_line(line)
        assert (found.time_at == right) if isinstance(found, LineReading) else str(right) in str(found)


@pytest.mark.parametrize("text", ["last message repeated 3 times", "(squid-1): message repeated 3 times: [ %s]"])
def test_lines_that_a_daemon_left_out_are_told(text: str) -> None:
    line = f"Mar 10 09:00:00 gw {text.replace('%s', SQUID.decode())}".encode()
    assert isinstance(wrapped("syslog").read_line(line), Unreadable)


def test_journald_gives_bytes_that_are_no_text_as_numbers() -> None:
    message = (SQUID % b"a").replace(b"ann", b"%ff")
    entry = json.dumps({"MESSAGE": list(message), "__REALTIME_TIMESTAMP": "1"}).encode()
    found = wrapped("journald").read_line(entry)
    assert isinstance(found, LineReading)
    assert found.user == "\\xff"
    assert isinstance(wrapped("journald").read_line(b'{"MESSAGE":null,"__REALTIME_TIMESTAMP":"1"}'), Unreadable)


def test_docker_alone_is_combined_or_the_main_log_of_nginx() -> None:
    head = '192.0.2.10 - alice [10/Mar/2026:09:00:00 +0000] "GET /r HTTP/1.1" 200 1300 "-" "a b"'
    made = format_of(Declared(format="docker"))
    for line in (head, head + ' "-"', head + ' "203.0.113.1, 10.0.0.1"'):
        found = made.read_line(docker(line + "\n"))
        assert isinstance(found, LineReading)
        assert (found.user, found.bytes_down, found.bytes_up) == ("alice", 1300, 0)


def test_a_pattern_is_searched_in_what_the_envelope_holds() -> None:
    pattern = r"^(?P<time>\S+) (?P<user>\w+) (?P<bytes_down>\d+)$"
    mapper = Mapper(Mapping(account="a", pattern=pattern), wrapped("docker"))
    found = mapper.read(docker("2026-03-10T09:00:00Z ann 5\n"))
    assert isinstance(found, LineReading)
    assert (found.user, found.bytes_down) == ("ann", 5)
    only_user = Mapper(Mapping(account="a", pattern=r"bytes_down.:(?P<user>\d)"), wrapped("docker", "cloudevents"))
    found = only_user.read(docker(CLOUD.decode() + "\n"))
    assert isinstance(found, LineReading)
    assert (found.user, found.time_at) == ("5", 1_773_133_200_861)


@pytest.mark.parametrize("name", ["syslog", "docker", "cri", "journald"])
def test_what_is_not_in_the_envelope_is_not_read(name: str) -> None:
    made = wrapped(name)
    assert isinstance(made.read_line(SQUID % b"a"), Unreadable)
    assert made.read_line(b" ") is None


def test_an_envelope_is_declared_once_and_known() -> None:
    with pytest.raises(ConfigError, match="says an envelope, and so does"):
        format_of(Declared(format="docker:squid", envelope="cri"))
    with pytest.raises(ConfigError, match="known are syslog"):
        format_of(Declared(format="squid", envelope="mail"))

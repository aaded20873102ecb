"""A line of one known format that is read under the name of another is unreadable, or means the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.formats import FORMATS, Declared, format_of
from flowtally.agents.reading import LineReading, Unreadable

TIME = "10/Mar/2026:09:00:00 +0000"
_SQUID = "1773133200.123 {ms:6} {client} TCP_MISS/{status} {down} GET http://n.test/{ms} {user} {parent} a/b"
_COMMON = "{client} - {user} [" + TIME + '] "GET /{ms} HTTP/1.1" {status} {down}'
_AGENT = ' "http://n.test/{ms}" "{agent}"'
_JSON = '"msg":"handled request","level":"info"'
LINES = {
    "squid": _SQUID,
    "squid-io": _SQUID + " {up}",
    "squid-common": _COMMON + " TCP_MISS:HIER_DIRECT",
    "squid-combined": _COMMON + _AGENT + " TCP_MISS:HIER_DIRECT",
    "e2guardian": "1773133200.123 {ms:6} {client} TCP_MISS/0 {down} - http://n.test/{ms} {user} DEFAULT_PARENT/ -",
    "common": _COMMON,
    "combined": _COMMON + _AGENT,
    "combinedio": _COMMON + _AGENT + " {up} {down}",
    "vhost_combined": "n.test:443 " + _COMMON + _AGENT,
    "nginx-main": _COMMON + _AGENT + ' "192.0.2.9, 192.0.2.8"',
    "caddy": '{{"logger":"http.log.access","ts":1773133200.123,"bytes_read":{up},"size":{down},"user_id":"{user}",'
    + _JSON + "}}",
    "traefik": '{{"StartUTC":"2026-03-10T09:00:00.123Z","RequestContentSize":{up},"DownstreamContentSize":{down},'
    '"ClientUsername":"{user}",' + _JSON + "}}",
    "nginx-json": '{{"msec":"1773133200.123","request_length":{up},"bytes_sent":{down},"remote_user":"{user}"}}',
    "envoy-json": '{{"start_time":"2026-03-10T09:00:00.123Z","bytes_received":{up},"bytes_sent":{down},'
    '"user":"{user}"}}',
    "envoy": '[2026-03-10T09:00:00.123Z] "GET /{ms} HTTP/2" {status} - {up} {down} {ms} 2 "-" "{agent}" "c" "h" "-"',
    "haproxy": '{client}:{ms} [10/Mar/2026:09:00:00.123] in app/api 0/0/0/1/1 {status} {down} - - ---- 2/2/0/0/0 0/0 '
    '{{a|b}} "GET /{ms} HTTP/1.1"',
    "haproxy-tcp": "{client}:{ms} [10/Mar/2026:09:00:00.123] fnt bck/srv 0/0/{ms} {down} -- 0/0/0/0/3 0/0",
    "iis": "2026-03-10 09:00:00 {client} {user} {status} {down} {up}",
    "w3c": "2026-03-10 09:00:00 {client} {user} {status} {down} {up}",
    "3proxy": "10-03-2026 09:00:00.123 PROXY.3128 00000 {user} {client}:{ms} 192.0.2.1:443 {up} {down} 0 CONNECT_n",
    "cloudevents": '{{"account":"a","time":"2026-03-10T09:00:00.123Z","bytes_up":{up},"bytes_down":{down},'
    '"user":"{user}"}}',
}  # fmt: skip
BY_COLUMNS = ("iis", "w3c")  # they have no shape of their own: a `#Fields:` line says it
READERS = {name: format_of(Declared(format=name, zone="UTC")).read_line for name in FORMATS if name not in BY_COLUMNS}
NUMBERS = st.integers(0, 10**12)
VALUES = st.fixed_dictionaries(
    {
        "ms": st.integers(0, 99_999),
        "client": st.sampled_from(["192.0.2.10", "2001:db8::7", "::1"]),
        "status": st.sampled_from([200, 404, 502]),
        "up": NUMBERS,
        "down": NUMBERS,
        "user": st.sampled_from(["-", "ann", "12", "a-b", "corp.eve", "5:6"]),
        "agent": st.sampled_from(["-", "curl/8", "Mozilla (X11; 5 6)", "a [10] 7 8", "x 200 5"]),
        "parent": st.sampled_from(["HIER_DIRECT/192.0.2.1", "HIER_NONE/-", "DEFAULT_PARENT/192.0.2.1"]),
    }
)


def test_every_name_has_a_line() -> None:
    assert LINES.keys() == FORMATS.keys()


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_a_line_under_the_name_of_another_format_is_unreadable_or_means_the_same(values: dict[str, object]) -> None:
    lines = {name: text.format(**values).encode() for name, text in LINES.items()}
    for name, read_line in READERS.items():
        own = read_line(lines[name])
        assert isinstance(own, LineReading), (name, lines[name], own)
        for other, line in lines.items():
            if other == name:
                continue
            read = read_line(line)
            assert read is not None, (name, line)
            if not isinstance(read, Unreadable):
                assert other in READERS, (name, line)
                assert meant(read) == meant(READERS[other](line)), (name, line)


def meant(read: object) -> tuple[object, ...]:
    assert isinstance(read, LineReading)
    return read.time_at, read.bytes_up, read.bytes_down, read.requests, read.user

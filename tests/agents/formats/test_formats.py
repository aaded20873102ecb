"""What every format promises: it never raises, never takes long, and never reads what cannot be stored."""

import time
from collections.abc import Callable
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.soak import few

from flowtally.agents.formats import FORMATS, STRINGS, Declared, Format, format_of
from flowtally.agents.reader import MAX_LINE_BYTES
from flowtally.agents.reading import Line, LineReading
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.times import END_OF_TIME

_SQUID = b"1795173252.544 37 10.0.0.1 TCP_MISS/200 2384 GET http://n.test/a acme-bob HIER_DIRECT/10.0.0.2 a/b"
_COMMON = b'10.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326'
GOOD = {
    "squid": _SQUID,
    "squid-io": _SQUID + b" 254",
    "squid-common": _COMMON + b" TCP_MISS:HIER_DIRECT",
    "squid-combined": _COMMON + b' "-" "curl" TCP_MISS:HIER_DIRECT',
    "e2guardian": b"1795173252.544     37 10.0.0.1 TCP_MISS/0 2384 - http://n.test/a bob DEFAULT_PARENT/ -",
    "common": _COMMON,
    "combined": _COMMON + b' "-" "curl"',
    "combinedio": _COMMON + b' "-" "curl" 311 2701',
    "vhost_combined": b"n.test:80 " + _COMMON + b' "-" "curl"',
    "nginx-main": _COMMON + b' "-" "curl" "-"',
    "cloudevents": b'{"source":"gw","account":"acme","time":"2026-11-20T11:00:00Z","bytes_up":5,"status":200}',
    "caddy": b'{"logger":"http.log.access","ts":1773133200.327,"request":{"client_ip":"192.0.2.10","uri":"/"},'
    b'"bytes_read":2048,"user_id":"ann","size":13300,"status":200}',
    "traefik": b'{"StartUTC":"2026-03-10T09:00:00.1Z","ClientUsername":"ann","RequestContentSize":1,'
    b'"DownstreamContentSize":2,"DownstreamStatus":200}',
    "nginx-json": b'{"msec":"1773133200.123","remote_user":"ann","request_length":"12","bytes_sent":"34"}',
    "envoy-json": b'{"start_time":"2026-03-10T09:00:00.1Z","bytes_received":1,"bytes_sent":2,"response_code":200}',
    "envoy": b'[2026-03-10T09:00:00.310Z] "GET /x HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "a" "c" "host" "1.2.3.4:80"',
    "haproxy": b"Mar 10 06:25:07 lb haproxy[2]: 192.0.2.10:40001 [10/Mar/2026:06:25:07.063] in app/api 0/0/0/1/1 200 "
    b'1900 - - ---- 2/2/0/0/0 0/0 {a|b} "GET //api/form HTTP/1.1"',
    "haproxy-tcp": b"192.0.2.10:40001 [10/Mar/2026:06:25:07.063] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0",
    "iis": b"2026-03-10 05:14:44 192.0.2.10 ann 200 5300 410",
    "w3c": b'2026-03-10 05:14:44 192.0.2.10 "a ""b""" 200 5300 410',
    "3proxy": b"10-03-2026 09:00:00.123 PROXY.3128 00000 ann 192.0.2.10:51234 203.0.113.5:443 412 48211 0 CONNECT_x",
}
# What is declared otherwise than by a name alone.
DECLARED = {
    "traefik-common": (Declared(format="traefik"), GOOD["combined"] + b' 1 "r@file" "http://127.0.0.1:80" 6ms'),
    "docker": (Declared(format="docker"), b'{"log":"%s\\n","stream":"stdout","time":"2026-03-10T09:00:00.1Z"}'
        % GOOD["combined"].replace(b'"', b'\\"')),
    "cri": (Declared(format="cri:squid"), b"2026-03-10T09:00:00.1Z stdout F " + GOOD["squid"]),
    "journald": (Declared(format="journald:squid"), b'{"MESSAGE":"%s","__REALTIME_TIMESTAMP":"1"}' % GOOD["squid"]),
    "syslog": (Declared(format="syslog:squid"), b"Mar 10 09:00:00 gw (squid-1): " + GOOD["squid"]),
    "rfc5424": (
        Declared(format="syslog:squid"),
        b'<1>1 2026-03-10T09:00:00Z gw squid - - [a b="c\\"]"] ' + GOOD["squid"],
    ),
    "json-fields": (Declared(json_fields="time=t,bytes_up=a.b,user=u"), b'{"t":1773133200.5,"a":{"b":"7"},"u":"ann"}'),
    "squid-logformat": (
        Declared(squid_logformat='%tl %6tr %>a "%un" %/ue %#ul %{User-Agent}>h [%>h] %-5rm %>st %<st %ru'),
        b'10/Oct/2000:13:55:36 -0700      7 10.0.0.1 "b \\"ob" "b ob" b%20ob c%20url [a: b%0d] GET   3 4 http://n/a b',
    ),
    "nginx-log-format": (
        Declared(nginx_log_format='$msec $remote_addr $remote_user [$request] $request_length $bytes_sent $uri "$y"'),
        b"1773133200.123 10.0.0.1 b ob [GET / HTTP/1.1] 3 4 a b \"c\"",
    ),
    "apache-log-format": (
        Declared(apache_log_format='%{X-Forwarded-For}i %l %u [%{%d/%b/%Y %T}t.%{msec_frac}t %{%z}t] %r %I %O %U'),
        b"10.0.0.1, 10.0.0.2 - b ob [10/Oct/2000 13:55:36.123 -0700] GET / HTTP/1.1 3 4 /a b",
    ),
    "haproxy-log-format": (
        Declared(haproxy_log_format="%Ts.%ms %ci %[var(txn.user)] %U %B %{+Q}r"),
        b'1773133200.063 192.0.2.1 a b 3 4 "GET /a#22b HTTP/1.1"',
    ),
    "envoy-format": (
        Declared(envoy_format='%START_TIME(%s.%3f)% "%REQ(X-USER)%" %BYTES_RECEIVED% %BYTES_SENT% %ACCESS_LOG_TYPE%'),
        b'1773133200.123 "a b" 3 4 DownstreamEnd',
    ),
    "3proxy-logformat": (Declared(threeproxy_logformat="G%Y%m%d%H%M%S %C %U %I %O %T"), b"20260310090000 ::1 a 1 2 x"),
}  # fmt: skip
SHAPES = {name: (Declared(format=name, zone="UTC"), line) for name, line in GOOD.items()} | DECLARED
PIECES = st.sampled_from([b" ", b'"', b"\\", b"[", b"-", b"/", b"9" * 20, b"\xff", b"\x00", b"{", b"%", b"T", b"e9"])


@lru_cache
def made(name: str) -> Format:
    return format_of(SHAPES[name][0])


def reader(name: str) -> Callable[[bytes], Line]:
    """Of a log that has just begun."""
    one = made(name)
    if one.remember is not None:
        one.remember([b"#Fields: date time c-ip cs-username sc-status sc-bytes cs-bytes"])  # a W3C log's
    return one.read_line


def test_every_format_is_among_these() -> None:
    assert set(FORMATS) <= set(SHAPES)
    assert set(STRINGS) == {name for declared, _ in SHAPES.values() for name in STRINGS if getattr(declared, name)}


@pytest.mark.parametrize("name", SHAPES)
def test_a_good_line_is_read(name: str) -> None:
    assert isinstance(found := reader(name)(SHAPES[name][1]), LineReading), found


@pytest.mark.parametrize("name", SHAPES)
@settings(deadline=None)
@given(data=st.data())
def test_no_line_makes_a_format_raise_or_read_what_cannot_be_kept(name: str, data: st.DataObject) -> None:
    good = SHAPES[name][1]
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(good)))))
    line = data.draw(st.one_of(st.binary(), st.lists(PIECES).map(b"".join)))
    read = reader(name)(good[:start] + line + good[end:])
    if isinstance(read, LineReading):
        assert all(0 <= number <= MAX_QUANTITY for number in (read.bytes_up, read.bytes_down, read.requests))
        assert read.time_at is None or 0 <= read.time_at < END_OF_TIME
        assert 0 <= read.status <= 65_535


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    "filler", [b" ", b" a", b'"', b"\\", b'" 200 1 ', b"[", b"9", b"1 ", b"a/b ", b" A/", b"{", b'\\"']
)
def test_no_line_takes_long(name: str, filler: bytes) -> None:
    good, read_line = SHAPES[name][1], reader(name)
    started = time.process_time()
    for cut in few(range(0, len(good), 8)[::-1], 1):
        read_line((good[:cut] + filler * (MAX_LINE_BYTES // len(filler)))[:MAX_LINE_BYTES])
    assert time.process_time() - started < 2

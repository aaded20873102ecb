"""JSON logs by the names of their members: exact numbers, one reading or none."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.core.errors import ConfigError
from flowtally.core.events import MAX_QUANTITY

FIELDS = "time=ts,bytes_up=up,bytes_down=a.b.down,user=who,client=peer,status=code"
AT = 1_773_133_200_327
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SCALARS = st.one_of(NAMES, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False))
OTHERS = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(NAMES, SCALARS, max_size=2))
# Lines that Traefik 3.7 and Caddy 2.11 wrote, shortened.
TRAEFIK = (
    '{"ClientAddr":"127.0.0.1:57028","ClientHost":"127.0.0.1","ClientPort":"57028","ClientUsername":"josé",'
    '"DownstreamContentSize":357,"DownstreamStatus":501,"Duration":900302,"OriginContentSize":357,"RequestContentSize":6,'
    '"RequestCount":2,"RequestPath":"/x","StartLocal":"2026-11-29T17:49:11.05315428Z",'
    '"StartUTC":"2026-11-29T17:49:11.05315428Z","level":"info","msg":"","time":"2026-11-29T17:49:11Z"}'
).encode()
CADDY = (
    b'{"level":"info","ts":1773133200.327,"logger":"http.log.access.log0","msg":"handled request","request":{'
    b'"remote_ip":"192.0.2.1","client_ip":"192.0.2.10","uri":"/"},"bytes_read":2048,"user_id":"ann","size":13300,"status":200}'
)


def read(line: bytes, fields: str = FIELDS, time_format: str = "", zone: str = "") -> Line:
    return format_of(Declared(json_fields=fields, time_format=time_format, zone=zone)).read_line(line)


def named(name: str, line: bytes, **declared: str) -> Line:
    return format_of(Declared(format=name, **declared)).read_line(line)


@settings(deadline=None)
@given(
    others=st.dictionaries(
        NAMES.filter(lambda name: name not in ("ts", "up", "a", "who", "peer", "code")), OTHERS, max_size=4
    ),
    up=st.integers(0, MAX_QUANTITY),
    down=st.integers(0, MAX_QUANTITY),
    user=NAMES,
    ms=st.integers(0, 253_402_300_799_999),
    as_text=st.booleans(),
    ascii_only=st.booleans(),
)
def test_a_random_line_is_read_as_it_was_written(
    others: dict[str, object], up: int, down: int, user: str, ms: int, *, as_text: bool, ascii_only: bool
) -> None:
    """Whatever else is in it, wherever it stands, numbers as numbers or as text: exact, without floats."""
    seconds = str(Decimal(ms) / 1000)
    line = json.dumps(
        {**others, "up": str(up) if as_text else up, "a": {"b": {"down": down}, "c": 1}, "who": user, "code": "200"},
        ensure_ascii=ascii_only,
    )
    line = line[:-1] + f', "ts": {json.dumps(seconds) if as_text else seconds}}}'
    right = "" if user == "-" else user
    assert read(line.encode()) == LineReading(time_at=ms, bytes_up=up, bytes_down=down, status=200, user=right)


@settings(deadline=None)
@given(name=NAMES, inner=st.booleans())
def test_a_member_that_is_there_twice_makes_a_line_unreadable(name: str, *, inner: bool) -> None:
    twice = f"{{{json.dumps(name)}:1,{json.dumps(name)}:1}}"
    line = f'{{"ts":1,"up":1,"a":{{"b":{{"down":1}}}},"x":{twice}}}' if inner else twice
    found = read(line.encode())
    assert isinstance(found, Unreadable)
    assert "is there twice" in found.detail


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("2048", 2048), ('"2048"', 2048), ("2048.0", 2048), ("2.048e3", 2048), ("2048e-0", 2048), ("0", 0), ("null", 0),
        ('"-"', 0), ('""', 0), (str(MAX_QUANTITY), MAX_QUANTITY), ("[5]", 5),
    ],
)  # fmt: skip
def test_a_quantity_is_read_however_it_is_written(raw: str, number: int) -> None:
    found = read(f'{{"ts":1,"n":{raw}}}'.encode(), "time=ts,bytes_down=n")
    assert found == LineReading(time_at=1000, bytes_down=number)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"ts":1,"n":1.5}', "bad_size"),
        ('{"ts":1,"n":-1}', "bad_size"),
        ('{"ts":1,"n":9007199254740993}', "bad_size"),
        ('{"ts":1,"n":1e999999}', "bad_size"),
        ('{"ts":1,"n":true}', "not_this_format"),
        ('{"ts":1,"n":{"a":1}}', "not_this_format"),
        ('{"ts":1,"n":[1,2]}', "not_this_format"),
        ('{"ts":1}', "not_this_format"),
        ('{"n":1}', "not_this_format"),
        ('{"ts":null,"n":1}', "bad_time"),
        ('{"ts":"2026-03-10T09:00:00","n":1}', "bad_time"),
        ('{"ts":NaN,"n":1}', "not_this_format"),
        ('{"ts":1,"n":1} x', "not_this_format"),
        ("[1]", "not_this_format"),
        ('"x"', "not_this_format"),
        ("[" * 60_000, "not_this_format"),
        ('{"a":' * 10_000, "not_this_format"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: str, reason: str) -> None:
    found = read(line.encode(), "time=ts,bytes_down=n")
    assert isinstance(found, Unreadable), found
    assert found.reason == reason


def test_a_dot_goes_into_an_object_unless_a_member_has_that_very_name() -> None:
    line = b'{"ts":1,"a":{"b.c":{"d":2}},"e.f":3,"e":{"f":4},"g,h":5}'
    assert read(line, r"time=ts,bytes_up=a.b.c.d,bytes_down=e.f,requests=g\,h") == LineReading(
        time_at=1000, bytes_up=2, bytes_down=3, requests=5
    )


def test_names_that_are_no_unicode_stay_apart() -> None:
    found = read(b'{"ts":1,"who":"\xff","peer":"\\ud800"}', "time=ts,user=who,client=peer")
    assert found == LineReading(time_at=1000, user="\\xff", client="\\ud800")


@pytest.mark.parametrize(
    "fields", ["bytes_up=a", "time", "time=", "when=ts", "time=a,time=b", "time=a,fraction=b", ","]
)
def test_fields_of_no_use_are_refused(fields: str) -> None:
    with pytest.raises(ConfigError):
        format_of(Declared(json_fields=fields))


def test_traefik_and_caddy_are_read_by_their_names() -> None:
    assert named("traefik", TRAEFIK) == LineReading(
        time_at=1_795_974_551_053, bytes_up=6, bytes_down=357, status=501, client="127.0.0.1", user="josé", url="/x"
    )
    assert named("caddy", CADDY) == LineReading(
        time_at=AT, bytes_up=2048, bytes_down=13300, status=200, client="192.0.2.10", user="ann", url="/"
    )
    assert named("caddy", CADDY.replace(b"http.log.access.log0", b"http.log.error")) is None


@pytest.mark.parametrize(
    ("line", "user", "down"),
    [  # lines that Traefik 3.7 wrote
        (b'jo s [29/Nov/2026:18:20:41 +0000] "GET /a HTTP/1.1" 200 300 "-" "-" 1 "r@file" "http://b" 6ms', "jo s", 300),
        (b'jo"x" y [29/Nov/2026:18:20:41 +0000] "POST /a HTTP/1.1" 501 357 "-" "-" 2 "r" "-" 2ms', 'jo"x" y', 357),
        (b'- [29/Nov/2026:18:20:41 +0000] "GET /a HTTP/1.1" 401 17 "-" "-" 3 "r@file" "-" 0ms', "", 17),
        (b'ann [29/Nov/2026:18:20:41 +0000] "GET /a HTTP/1.1" 401 17 "-" "a" 1 "b" 3 "r" "-" 0ms', "ann", 17),
    ],
)  # fmt: skip
def test_the_default_log_of_traefik_is_read_by_its_name_too(line: bytes, user: str, down: int) -> None:
    found = named("traefik", b"127.0.0.1 - " + line)
    assert isinstance(found, LineReading), found
    assert (found.user, found.bytes_down, found.client, found.url) == (user, down, "127.0.0.1", "/a")
    assert found.time_at == 1_795_976_441_000
    assert isinstance(named("traefik", b"127.0.0.1 - " + line[:-2]), Unreadable)


@pytest.mark.parametrize(
    ("ts", "time_format", "zone"),
    [
        ("1773133200.327", "", ""),
        ("1773133200327.4321", "epoch-ms", ""),
        ("1773133200327999999", "epoch-ns", ""),
        ('"2026-03-10T09:00:00.327Z"', "", ""),
        ('"2026-03-10T10:00:00.327+0100"', "", ""),
        ('"2026/03/10 10:00:00.327"', "", "Europe/Berlin"),
        ('"10/Mar/2026:10:00:00.327 +0100"', "", ""),
    ],
)
def test_every_time_format_of_caddy_is_read(ts: str, time_format: str, zone: str) -> None:
    found = named("caddy", CADDY.replace(b"1773133200.327", ts.encode()), time_format=time_format, zone=zone)
    assert isinstance(found, LineReading), found
    assert found.time_at == AT


def test_json_of_nginx_and_envoy_is_read_by_the_names_of_their_variables() -> None:
    nginx = (
        b'{"msec":"1773133200.327","remote_addr":"192.0.2.1","remote_user":"jos\xc3\xa9 \\"j\\"","request_length":"75",'
        b'"bytes_sent":"4096","status":"200","request_uri":"/a"}'
    )
    assert named("nginx-json", nginx) == LineReading(
        time_at=AT, bytes_up=75, bytes_down=4096, status=200, client="192.0.2.1", user='josé "j"', url="/a"
    )
    envoy = (
        b'{"access_log_type":"DownstreamEnd","bytes_received":0,"bytes_sent":5,"downstream_remote_address":'
        b'"127.0.0.1:54042","path":"/q","response_code":200,"start_time":"2026-03-10T09:00:00.327Z","user":null}'
    )
    right = LineReading(time_at=AT, bytes_down=5, status=200, client="127.0.0.1", url="/q")
    assert named("envoy-json", envoy) == right
    assert named("envoy-json", envoy.replace(b"DownstreamEnd", b"TcpPeriodic")) is None


def test_caddys_other_lines_are_left_out_and_json_of_another_program_is_not() -> None:
    for left_out in (
        b'{"level":"info","ts":1.5,"msg":"using provided configuration","config_file":"Caddyfile"}',
        b'{"level":"error","ts":1.5,"logger":"http.log.error","msg":"dial","status":502}',
    ):
        assert named("caddy", left_out) is None
    for of_others in (TRAEFIK, b'{"level":"info","msg":"","size":5,"bytes_read":6}', b'{"logger":"x","ts":1}', b"{}"):
        assert isinstance(named("caddy", of_others), Unreadable)
    unnamed = CADDY.replace(b'"logger":"http.log.access.log0",', b"")  # an encoder may rename what it writes
    assert named("caddy", unnamed) == named("caddy", CADDY)

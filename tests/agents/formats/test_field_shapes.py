"""Lines from the field with their right values, read by what declares them."""

from pathlib import Path

import pytest

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.reading import Line, LineReading, Unreadable

FIELD = Path(__file__).parents[2] / "fixtures/field"
AT = 1_773_133_200_000  # 2026-03-10T09:00:00Z
IIS_AT = 1_773_119_684_000  # 2026-03-10T05:14:44Z
# user, client, up, down, instant of each line that is a request
RIGHT = [
    (
        Declared(format="syslog:combined"),
        "case04-syslog-prefixed-combined.log",
        [
            ("alice", "192.0.2.10", 0, 1000, AT),
            ("alice", "192.0.2.10", 0, 1000, AT + 1000),
            ("", "192.0.2.11", 0, 700, AT + 2000),
        ],
    ),
    (Declared(format="docker"), "case11-docker-json-file.log", [("alice", "192.0.2.10", 0, 1300, AT)]),
    (
        Declared(format="squid", envelope="syslog"),
        "case14-squid-syslog-prefixed.log",
        [("alice", "192.0.2.10", 0, 2300, AT + 123), ("bob", "192.0.2.11", 0, 6100, AT + 1900)],
    ),
    (
        Declared(format="caddy"),
        "case27-caddy.json",
        [("alice", "192.0.2.10", 2048, 13300, AT + 327), ('josé "j"', "192.0.2.11", 0, 700, AT + 1427)],
    ),
    (
        Declared(format="haproxy", zone="Europe/Berlin"),
        "case28-haproxy.log",
        [("", "192.0.2.10", 0, 1900, 1_773_120_307_063)],
    ),
    (
        Declared(format="iis"),
        "case29-iis.log",
        [("alice", "192.0.2.10", 410, 5300, IIS_AT), ("", "192.0.2.11", 400, 340, IIS_AT + 1000)],
    ),
    (Declared(format="w3c"), "case29b-iis-short.log", [("alice", "192.0.2.10", 410, 5300, IIS_AT)]),
    (Declared(format="3proxy", zone="UTC"), "case30-3proxy.log", [("alice", "192.0.2.10", 412, 48211, AT + 123)]),
]  # fmt: skip
COLUMNS = r"(?P<time>\S+(?: \S+)??) (?P<client>[\d.]+) (?P<user>\S+) (?P<status>\d+) "


def lines(name: str) -> list[bytes]:
    return (FIELD / name).read_bytes().splitlines()


def shown(read: Line) -> tuple[str, str, int, int, int | None]:
    assert isinstance(read, LineReading), read
    return read.user, read.client, read.bytes_up, read.bytes_down, read.time_at


@pytest.mark.parametrize(("declared", "name", "right"), RIGHT, ids=[name for _, name, _ in RIGHT])
def test_a_line_from_the_field_is_read_as_what_it_is(
    declared: Declared, name: str, right: list[tuple[str, str, int, int, int]]
) -> None:
    read_line = format_of(declared).read_line
    read = [one for one in map(read_line, lines(name)) if one is not None]
    assert [shown(one) for one in read] == right


@pytest.mark.parametrize("name", ["haproxy", "haproxy-tcp", "3proxy", "w3c", "caddy", "envoy", "nginx-json", "traefik"])
def test_a_line_of_another_format_is_nobodys(name: str) -> None:
    read_line = format_of(Declared(format=name, zone="UTC")).read_line
    for other in (
        "case04-syslog-prefixed-combined.log",
        "case14-squid-syslog-prefixed.log",
        "case38-iso-spellings.log",
    ):
        assert all(isinstance(read_line(line), Unreadable) for line in lines(other))


@pytest.mark.parametrize("name", ["haproxy", "3proxy"])
def test_a_local_time_needs_its_zone(name: str) -> None:
    log = {"haproxy": "case28-haproxy.log", "3proxy": "case30-3proxy.log"}[name]
    read = format_of(Declared(format=name)).read_line(lines(log)[0])
    assert isinstance(read, Unreadable)
    assert (read.reason, "says no zone; declare it with --zone" in read.detail) == ("bad_time", True)


def test_milliseconds_are_read_where_they_are_declared() -> None:
    columns = COLUMNS + r"(?P<bytes_up>\d+) (?P<bytes_down>\d+)"
    mapper = Mapper(Mapping(account="a", pattern=columns), format_of(Declared(format="squid", time_format="epoch-ms")))
    assert shown(mapper.read(lines("case36-epoch-ms.log")[0])) == ("alice", "192.0.2.10", 512, 4096, AT + 123)


def test_a_fraction_in_apaches_time_is_read_by_a_pattern() -> None:
    pattern = r'^(?P<client>\S+) - (?P<user>\S+) \[(?P<time>[^]]+)\] "[^"]*" (?P<status>\d+) (?P<bytes_down>\d+)'
    mapper = Mapper(Mapping(account="a", pattern=pattern), format_of(Declared(format="squid", time_format="clf")))
    assert shown(mapper.read(lines("case37-msec-frac.log")[0])) == ("alice", "192.0.2.10", 0, 1000, AT + 242)


@pytest.mark.parametrize("zone", ["", "UTC"])
def test_spellings_of_iso_8601_are_read_and_one_without_a_zone_where_it_is_declared(zone: str) -> None:
    columns = COLUMNS + r"(?P<bytes_down>\d+) (?P<bytes_up>\d+)"
    mapper = Mapper(Mapping(account="a", pattern=columns), format_of(Declared(format="squid", zone=zone)))
    read = [mapper.read(line) for line in lines("case38-iso-spellings.log")]
    at = [one.time_at if isinstance(one, LineReading) else None for one in read]
    assert at == [IIS_AT, IIS_AT + 123, IIS_AT if zone else None, IIS_AT]

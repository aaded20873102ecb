import pytest

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.core.errors import ConfigError

LINE = b"1795173252.500 7 10.0.0.9 TCP_MISS/200 900 GET http://cdn.test/x acme-bob HIER_DIRECT/10.1.1.1 a/b 100"
SQUID = format_of(Declared(format="squid-io"))
COMMON = format_of(Declared(format="common"))
SPLIT = r"user:(?P<account>[^-]+)-(?P<user>.+)"


def read(mapping: Mapping, line: bytes = LINE) -> Line:
    return Mapper(mapping, SQUID).read(line)


def names(mapping: Mapping, line: bytes = LINE) -> tuple[str, str, str]:
    reading = read(mapping, line)
    assert isinstance(reading, LineReading), reading
    return reading.account, reading.user, reading.product


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (Mapping(account="acme"), ("acme", "acme-bob", "")),
        (Mapping(account="acme", user_from="client"), ("acme", "10.0.0.9", "")),
        (Mapping(account="acme", user_from="none"), ("acme", "", "")),
        (Mapping(account="acme", product="mobile"), ("acme", "acme-bob", "mobile")),
        (Mapping(user_from=SPLIT), ("acme", "bob", "")),
        (Mapping(user_from=r"user:(?P<account>\w+)-.+"), ("acme", "acme-bob", "")),
        (Mapping(user_from=SPLIT, account="fixed"), ("fixed", "bob", "")),
        (Mapping(user_from=r"user:(?P<account>\w+)-(?P<product>\w+)"), ("acme", "acme-bob", "bob")),
        (Mapping(user_from=r"url:http://(?P<account>[^.]+)\..*"), ("cdn", "acme-bob", "")),
        (Mapping(pattern=r"TCP_(?P<product>\w+)/", account="a"), ("a", "acme-bob", "MISS")),
        (Mapping(pattern=r"(?P<account>\w+)-(?P<user>\w+) HIER"), ("acme", "bob", "")),
        (Mapping(pattern=r"(?P<user>x-\w+|acme-\w+)", user_from=SPLIT), ("acme", "bob", "")),
    ],
)
def test_the_options_say_whose_a_line_is(mapping: Mapping, expected: tuple[str, str, str]) -> None:
    assert names(mapping) == expected


@pytest.mark.parametrize(
    ("kind", "login", "user"),
    [
        ("thordata", b"td-customer-bob-country-us-sessid-1", "bob"),
        ("thordata", b"bob", "bob"),
        ("thordata", b"-", ""),
        ("ipfoxy", b"customer-bob-cc-US-sessid-1_10000", "bob"),
    ],
)
def test_logins_of_vendors_gateways_are_known(kind: str, login: bytes, user: str) -> None:
    mapping = Mapping(account="acme", user_from=f"user:{kind}")
    assert names(mapping, LINE.replace(b"acme-bob", login)) == ("acme", user, "")


def test_a_line_of_nobody_is_not_invented_an_account_for() -> None:
    why = read(Mapping(user_from=SPLIT), LINE.replace(b"acme-bob", b"-"))
    assert why == Unreadable("no_account", "no account: the line's user is -")


def test_with_a_fixed_account_a_line_without_user_is_the_accounts() -> None:
    assert names(Mapping(user_from=SPLIT, account="a"), LINE.replace(b"acme-bob", b"-")) == ("a", "", "")


def test_a_name_that_does_not_match_is_told() -> None:
    why = read(Mapping(user_from=SPLIT), LINE.replace(b"acme-bob", b"bob"))
    assert isinstance(why, Unreadable)
    assert why.reason == "no_match"


def test_a_pattern_with_a_time_is_a_format_of_its_own() -> None:
    pattern = r"^(?P<time>\S+) (?P<account>\w+) (?P<user>\w+) (?P<bytes_up>\d+) (?P<bytes_down>\S+) (?P<status>\d+)"
    reading = read(Mapping(pattern=pattern), b"2026-11-20T11:00:00Z acme bob 5 - 404")
    assert reading == LineReading(
        time_at=1_795_172_400_000, bytes_up=5, status=404, account="acme", user="bob", requests=1
    )  # fmt: skip


@pytest.mark.parametrize("time", ["1795172400", "1795172400.000", "20/Nov/2026:12:00:00 +0100"])
def test_a_pattern_takes_times_as_logs_write_them(time: str) -> None:
    reading = read(Mapping(account="a", pattern=r"<(?P<time>.*)>"), f"<{time}>".encode())
    assert isinstance(reading, LineReading)
    assert reading.time_at == 1_795_172_400_000


@pytest.mark.parametrize(
    ("time_format", "zone", "time"),
    [
        ("epoch-ms", "", "1795172400000"),
        ("", "Europe/Berlin", "2026-11-20 12:00:00"),
        ("%d.%m.%y %I %p", "+0230", "20.11.26 01 PM"),
    ],
)
def test_a_pattern_takes_times_as_they_are_declared(time_format: str, zone: str, time: str) -> None:
    declared = format_of(Declared(format="squid-io", time_format=time_format, zone=zone))
    mapper = Mapper(Mapping(account="a", pattern=r"<(?P<time>.*)>"), declared)
    reading = mapper.read(f"<{time}>".encode())
    assert isinstance(reading, LineReading)
    assert reading.time_at == (1_795_172_400_000 if zone != "+0230" else 1_795_170_600_000)


@pytest.mark.parametrize(
    ("pattern", "line", "reason"),
    [
        (r"(?P<user>nobody)", LINE, "no_match"),
        (r"<(?P<time>.*)>", b"<yesterday>", "bad_time"),
        (r"(?P<bytes_up>HIER)", LINE, "bad_size"),
        (r"(?P<status>\d{10})", LINE, "bad_size"),
        (r"(?P<user>\w)", b"no squid line", "not_this_format"),
    ],
)
def test_what_a_pattern_finds_must_be_of_use(pattern: str, line: bytes, reason: str) -> None:
    why = read(Mapping(account="a", pattern=pattern), line)
    assert isinstance(why, Unreadable)
    assert why.reason == reason


def test_a_status_can_be_left_out_on_purpose() -> None:
    assert read(Mapping(account="a", skip_status=(407,)), LINE.replace(b"/200", b"/407")) is None


def test_the_address_can_stand_for_the_user_of_a_web_server() -> None:
    line = b'10.0.0.9 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1'
    reading = Mapper(Mapping(account="a", user_from="client"), COMMON).read(line)
    assert isinstance(reading, LineReading)
    assert reading.user == "10.0.0.9"


@pytest.mark.parametrize(
    "mapping",
    [
        Mapping(user_from="agent"),
        Mapping(user_from="none:(?P<user>.)"),
        Mapping(user_from="user:("),
        Mapping(user_from="user:.*"),
        Mapping(user_from="user:oxy"),
        Mapping(user_from="client:thordata"),
        Mapping(user_from="user:(?P<time>.*)"),
        Mapping(pattern="(?P<byte>.)"),
        Mapping(pattern="*"),
    ],
)
def test_options_of_no_use_are_refused_before_anything_is_read(mapping: Mapping) -> None:
    with pytest.raises(ConfigError):
        Mapper(mapping, SQUID)


def test_a_time_format_that_nothing_is_read_by_is_refused() -> None:
    declared = format_of(Declared(format="squid", time_format="epoch-ms"))
    with pytest.raises(ConfigError, match="has its own times"):
        Mapper(Mapping(account="a", pattern="(?P<user>.)"), declared)


def test_of_a_format_that_is_not_asked_nothing_is_said() -> None:
    asked = Mapper(Mapping(account="a", pattern=r"(?P<user>\w+)"), SQUID)
    assert (asked.means, asked.notes, asked.doubts) == (SQUID.means, SQUID.notes, SQUID.doubts)
    alone = Mapper(Mapping(account="a", pattern=r"(?P<time>\S+) (?P<user>\S+) (?P<bytes_down>\d+)"), SQUID)
    assert alone.means.keys() == {"time", "user", "bytes_down"}
    assert (alone.notes, alone.doubts) == (("the format does not tell bytes from the client",), ())

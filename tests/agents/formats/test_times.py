"""Declared times: the same instant in every spelling, exact to the millisecond, and never an hour that was not."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.formats.times import NAMES, BadTime, Times
from flowtally.core.errors import ConfigError
from flowtally.core.times import END_OF_TIME

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AT = 1_773_119_684_000  # 2026-03-10T05:14:44Z
INSTANTS = st.integers(0, END_OF_TIME // 1000 - 100_000).map(lambda second: second * 1000)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "UTC")


def instants(times: Times, text: str) -> set[datetime]:
    """The one instant the text says, or none."""
    try:
        return {EPOCH + timedelta(milliseconds=times.at(text))}
    except BadTime:
        return set()


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-10 05:14:44+00:00", AT),
        ("2026-03-10T05:14:44,123Z", AT + 123),
        ("2026-03-10T05:14:44+0000", AT),
        ("2026-03-10T06:14:44+01", AT),
        ("2026-03-10 05:14:44 Z", AT),
        ("20260310T051444Z", AT),
        ("10/Mar/2026:06:14:44 +0100", AT),
        ("10/Mar/2026:05:14:44.242 +0000", AT + 242),
        ("1773119684", AT),
        ("1773119684.2429", AT + 242),
        ("1.773119684242e9", AT + 242),
    ],
)
def test_undeclared_every_time_is_read_that_can_be_read_in_one_way_only(text: str, at: int) -> None:
    assert Times().at(text) == at


@pytest.mark.parametrize(
    ("time_format", "zone", "text", "at"),
    [
        ("clf", "", "10/Mar/2026:05:14:44 +0000", AT),
        ("clf", "UTC", "10/Mar/2026:05:14:44.063", AT + 63),
        ("rfc3339", "", "2026-03-10t06:14:44.9999+01:00", AT + 999),
        ("iso8601", "+01:00", "2026-03-10 06:14:44", AT),
        ("epoch", "", "1773119684.00050", AT),
        ("epoch-ms", "", "1773119684123.9", AT + 123),
        ("epoch-us", "", "1773119684123999", AT + 123),
        ("epoch-ns", "", "1773119684123999999", AT + 123),
        ("%Y-%m-%dT%H:%M:%S.%fZ%z", "", "2026-03-10T05:14:44.123456789Z+00", AT + 123),
        ("%d-%m-%Y %H:%M:%S.%f", "Europe/Berlin", "10-03-2026 06:14:44.123", AT + 123),
        ("%a %b %e %T %Y", "Europe/Berlin", "Tue Mar 10 06:14:44 2026", AT),
        ("%A, %d-%B-%y %I.%M.%S %p %Z", "", "Tuesday, 10-March-26 05.14.44 AM GMT", AT),
        ("%Y %j %R", "UTC", "2026 069 05:14", AT - 44_000),
        ("%s.%f%%", "", "1773119684.5%", AT + 500),
        ("%D %T %z", "", "03/10/26 05:14:60 +0000", AT + 16_000),
    ],
)  # fmt: skip
def test_a_declared_spelling_is_read(time_format: str, zone: str, text: str, at: int) -> None:
    assert Times(time_format, zone).at(text) == at
    assert Times(time_format, zone).at_bytes(text.encode()) == at


@pytest.mark.parametrize(
    ("time_format", "text", "says"),
    [
        ("", "2026-03-10T05:14:44", "says no zone; declare it with --zone"),
        ("", "1773119684123", "are its units declared"),
        ("", "yesterday", "--time-format"),
        ("clf", "31/Feb/2026:05:14:44 +0000", "no time of any calendar"),
        ("clf", "10/Okt/2026:05:14:44 +0000", "no time of any calendar"),
        ("clf", "10/Mar/2026:25:14:44 +0000", "no time of any calendar"),
        ("clf", "10/Mar/1950:05:14:44 +0000", "is not within 1970 to 9999"),
        ("rfc3339", "2026-03-10T05:14:44", "is not rfc3339"),
        ("rfc3339", "2026-03-10T05:14:44+01:60", "no time of any calendar"),
        ("epoch-ms", "x", "no count since 1970"),
        ("epoch", "1e99", "after the year 9999"),
        ("%Y-%m-%d %H", "2026-02-29 01", "no time of any calendar"),
        ("%Y-%j %H", "2026-366 01", "no time of any calendar"),
    ],
)
def test_a_text_that_is_no_instant_says_why(time_format: str, text: str, says: str) -> None:
    with pytest.raises(BadTime, match=says.replace("(", r"\(")):
        Times(time_format).at(text)


@pytest.mark.parametrize(
    ("time_format", "zone", "says"),
    [
        ("w3c", "", "known are clf"),
        ("%Y-%m-%d", "", "an hour"),
        ("%H:%M", "", "a year"),
        ("%Y %Y-%m-%d %H", "", "twice"),
        ("%c", "", "%c is not known"),
        ("", "Berlin", "not an IANA time zone"),
        ("", "+25:00", "no such offset"),
    ],
)
def test_a_declaration_of_no_use_is_refused(time_format: str, zone: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Times(time_format, zone)


def test_an_hour_that_was_twice_or_never_is_told() -> None:
    berlin = Times(zone="Europe/Berlin")
    with pytest.raises(BadTime, match="never had"):
        berlin.at("2026-03-29 02:30:00")
    with pytest.raises(BadTime, match="had twice"):
        berlin.at("2026-10-25 02:30:00")
    assert berlin.at("2026-10-25 02:30:00+01:00") - berlin.at("2026-10-25 02:30:00+02:00") == 3_600_000


@settings(deadline=None)
@given(zone=st.sampled_from(ZONES), local=st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)))
def test_a_local_time_is_the_one_instant_that_its_zone_writes_so(zone: str, local: datetime) -> None:
    """The slow obvious model: every instant around it, written in the zone."""
    info = ZoneInfo(zone)
    local = local.replace(microsecond=0)
    near = {(local - timedelta(minutes=minutes)).replace(tzinfo=UTC) for minutes in range(-840, 841, 15)}
    written = {at for at in near if at.astimezone(info).replace(tzinfo=None) == local}
    assert instants(Times(zone=zone), local.isoformat(" ")) == (written if len(written) == 1 else set())


@settings(deadline=None)
@given(year=st.integers(1990, 2036), zone=st.sampled_from(ZONES), minutes=st.integers(0, 366 * 96))
def test_around_the_changes_of_clocks_too(year: int, zone: str, minutes: int) -> None:
    info = ZoneInfo(zone)
    at = datetime(year, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * minutes)
    local = at.astimezone(info).replace(tzinfo=None)
    twice = local.replace(tzinfo=info).utcoffset() != local.replace(tzinfo=info, fold=1).utcoffset()
    assert instants(Times(zone=zone), local.isoformat()) == (set() if twice else {at})


@settings(deadline=None)
@given(at=INSTANTS, fraction=st.text("0123456789", min_size=1, max_size=12), east=st.integers(-1439, 1439))
def test_an_instant_is_the_same_in_every_spelling_and_its_fraction_is_cut(at: int, fraction: str, east: int) -> None:
    sign, (hours, minutes) = "-" if east < 0 else "+", divmod(abs(east), 60)
    local = EPOCH + timedelta(milliseconds=at, minutes=east)
    exact = at + int(fraction[:3].ljust(3, "0"))
    if local.year < 1970:
        return
    offset = f"{sign}{hours:02d}{minutes:02d}"
    day, clock = f"{local:%d/%b/}{local.year:04d}", f"{local:%H:%M:%S}"
    assert Times().at(f"{day}:{clock}.{fraction} {offset}") == exact
    for separator in "T ":
        for point in ".,":
            assert Times().at(f"{local.year:04d}-{local:%m-%d}{separator}{clock}{point}{fraction}{offset}") == exact
    assert (
        Times("%d.%m.%Y/%H:%M:%S,%f (%z)").at(f"{local:%d.%m.}{local.year:04d}/{clock},{fraction} ({offset})") == exact
    )
    assert Times().at(f"{at // 1000}.{fraction}") == exact
    assert Times("epoch-ms").at(f"{exact}.9") == exact


@settings(deadline=None)
@given(name=st.sampled_from(["", *NAMES, "%Y%m%d %H%M%S%f%z"]), text=st.text(max_size=80))
def test_no_text_is_more_than_no_instant(name: str, text: str) -> None:
    assert all(at.year < 10_000 for at in instants(Times(name, "Europe/Berlin"), text))

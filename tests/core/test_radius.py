"""Accounting-Requests as FreeRADIUS hands them over, and what they say of a session."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowtally.core.counters import Seen, Standing, step
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import Unprocessable
from flowtally.core.radius import RadiusMapping, attributes_of, reading_of
from flowtally.core.readings import Reading, fault_of

AT = parse_instant("2026-11-29T17:00:10Z")
ASKED = RadiusMapping("radius", account="acme")
# rlm_rest of FreeRADIUS 3.2.1 (Debian 12), recorded.
RECORDED = (
    b'{"User-Name":{"type":"string","value":["bob@acme"]},"NAS-IP-Address":{"type":"ipaddr","value":["10.0.0.1"]},'
    b'"Class":{"type":"octets","value":["0x616263ff","0x782279"]},"NAS-Identifier":{"type":"string","value":["nas-1"]},'
    b'"Acct-Status-Type":{"type":"integer","value":["Interim-Update"]},"Acct-Delay-Time":{"type":"integer","value":[3]},'
    b'"Acct-Input-Octets":{"type":"integer","value":[4294967295]},"Acct-Output-Octets":{"type":"integer","value":[7]},'
    b'"Acct-Session-Id":{"type":"string","value":["s1"]},"Acct-Session-Time":{"type":"integer","value":[60]},'
    b'"Acct-Input-Gigawords":{"type":"integer","value":[1]},'
    b'"Event-Timestamp":{"type":"date","value":["Nov 29 2026 17:00:00 UTC"]}}'
)
SESSION: dict[str, Any] = {
    "User-Name": "bob",
    "NAS-Identifier": "nas-1",
    "Acct-Session-Id": "s1",
    "Acct-Status-Type": "Interim-Update",
    "Acct-Session-Time": 60,
    "Acct-Input-Octets": 10,
    "Acct-Output-Octets": 20,
}


def reading(asked: RadiusMapping = ASKED, at: int = AT, /, **said: Any) -> Reading:
    attributes = SESSION | {name.replace("_", "-"): value for name, value in said.items()}
    made = reading_of({name.lower(): value for name, value in attributes.items() if value is not None}, asked, at)
    assert made is not None
    return made


def test_what_freeradius_writes_is_a_reading_of_the_session() -> None:
    made = reading_of(attributes_of(RECORDED), ASKED, AT)
    assert made is not None
    assert (made.account, made.user, made.bytes_up, made.bytes_down) == ("acme", "bob@acme", 2**33 - 1, 7)
    assert (made.time, made.epoch) == ("2026-11-29T17:00:00Z", "2026-11-29T16:59:00Z")
    assert made.counter.startswith("nas-1/s1/")
    assert "bob" not in made.counter
    assert made.from_zero
    assert not made.final


PLAIN = {"User-Name": "bob", "Acct-Input-Octets": 5, "Class": "abc"}


@pytest.mark.parametrize(
    "shape",
    [
        {"User-Name": {"type": "string", "value": ["bob"]}, "Acct-Input-Octets": {"type": "integer", "value": [5]},
         "Class": {"type": "octets", "value": ["0x616263"]}},
        {"User-Name": {"type": "string", "value": "bob"}, "Acct-Input-Octets": {"type": "uint32", "value": 5},
         "Class": {"type": "octets", "value": "0x616263"}},
        PLAIN,
        {name: [value, "more"] for name, value in PLAIN.items()},
        [{"name": name, "type": "?", "value": value} for name, value in PLAIN.items()],
        {name.upper(): value for name, value in PLAIN.items()},
    ],
)  # fmt: skip
def test_every_shape_of_the_attributes_is_read(shape: Any) -> None:
    assert attributes_of(json.dumps(shape).encode()) == {name.lower(): value for name, value in PLAIN.items()}


@given(
    st.binary(max_size=80)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_what_are_no_attributes_is_told(body: bytes) -> None:
    try:
        said = attributes_of(body)
        reading_of(said, ASKED, AT)
    except (ValueError, Unprocessable):
        return
    raise AssertionError(f"{body!r} was read")


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))
def test_gigawords_are_the_high_words_and_input_is_up(up: int, down: int) -> None:
    words = {"Acct_Input_Gigawords": up >> 32, "Acct_Output_Gigawords": down >> 32}
    low = {"Acct_Input_Octets": up % 2**32, "Acct_Output_Octets": down % 2**32}
    made = reading(**words, **low)
    assert (made.bytes_up, made.bytes_down, made.width) == (up, down, 64)
    bare = reading(**low)
    assert (bare.bytes_up, bare.bytes_down, bare.width) == (up % 2**32, down % 2**32, 32)


@pytest.mark.parametrize("high", [None, 0, 1])
def test_octets_that_were_added_up_already_are_whole_with_and_without_a_high_word(high: int | None) -> None:
    made = reading(Acct_Output_Octets=2**32 + 7, Acct_Output_Gigawords=high)
    assert (made.bytes_down, made.width) == (2**32 + 7, 64)
    with pytest.raises(Unprocessable, match="more than can be kept"):
        reading(Acct_Output_Octets=2**53, Acct_Output_Gigawords=high)


def test_one_high_word_that_is_left_out_is_none() -> None:
    made = reading(Acct_Input_Gigawords=2)
    assert (made.bytes_up, made.bytes_down, made.width) == (2 * 2**32 + 10, 20, 64)


def test_a_stop_may_say_nothing_and_an_interim_may_not() -> None:
    silent = {"Acct_Input_Octets": None, "Acct_Output_Octets": None}
    made = reading(Acct_Status_Type="Stop", **silent)
    assert (made.final, made.bytes_up, made.bytes_down) == (True, None, None)
    with pytest.raises(Unprocessable, match="must have Acct-Input-Octets"):
        reading(**silent)
    half = reading(Acct_Output_Octets=None)
    assert (half.bytes_up, half.bytes_down) == (10, None)


Odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "0", "9" * 16, "9" * 5_000, 2**63, 2**64, 1.5, 1e300, True, -1, [], {}, "٣", "0xff",
     "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "Jan  1 9999 00:00:00 UTC"]
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*SESSION, "Acct-Delay-Time", "Event-Timestamp", "Class"]), Odd, min_size=1))
def test_odd_values_are_read_or_told(odd: dict[str, Any]) -> None:
    try:
        made = reading_of(attributes_of(json.dumps(SESSION | odd).encode()), ASKED, AT)
    except Unprocessable:
        return
    assert made is None or fault_of(made) is None


@pytest.mark.parametrize("octets", [5.5, 1e20, True, 2**64])
def test_octets_that_are_no_number_are_told_and_not_left_out(octets: object) -> None:
    said = attributes_of(json.dumps({**SESSION, "Acct-Status-Type": "Stop", "Acct-Output-Octets": octets}).encode())
    with pytest.raises(Unprocessable, match="Acct-Output-Octets"):
        reading_of(said, ASKED, AT)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"Acct_Session_Time": "9" * 16}, "Acct-Session-Time 9999999999999999: it would have begun before 1970"),
        ({"Acct_Delay_Time": "9" * 16}, "Acct-Delay-Time 9999999999999999: it would have happened before 1970"),
    ],
)
def test_a_time_of_no_clock_is_told(said: dict[str, str], told: str) -> None:
    with pytest.raises(Unprocessable, match=told):
        reading(**said)


def test_the_beginning_of_a_session_is_said_to_be_worked_out() -> None:
    assert reading().epoch_derived
    assert not reading(Acct_Session_Time=None).epoch_derived


@pytest.mark.parametrize("status", ["Start", 1, "1"])
def test_a_start_stands_at_nothing(status: Any) -> None:
    made = reading(Acct_Status_Type=status, Acct_Session_Time=None, Acct_Input_Octets=None, Acct_Output_Octets=None)
    assert (made.bytes_up, made.bytes_down, made.from_zero, made.epoch) == (0, 0, True, "2026-11-29T17:00:10Z")


@pytest.mark.parametrize("status", ["Accounting-On", "Accounting-Off", 7, 8])
def test_a_nas_that_starts_or_stops_closes_its_sessions_and_no_others(status: Any) -> None:
    made = reading(Acct_Status_Type=status, Acct_Session_Id=None)
    assert made.closes == "nas-1/"
    assert reading().counter.startswith("nas-1/")
    other = reading(NAS_Identifier="nas-1/a b").counter
    assert not other.startswith("nas-1/"), "a slash in a name begins no other's"


@pytest.mark.parametrize("status", ["Tunnel-Start", "Failed", 9, 15])
def test_what_is_about_no_session_counts_nothing(status: Any) -> None:
    assert reading_of({"acct-status-type": status}, ASKED, AT) is None


SECONDS = st.integers(1_100_000_000, 4_000_000_000)


@given(SECONDS, st.lists(st.integers(0, 10_000_000), min_size=1, max_size=6), st.lists(st.integers(0, 600), max_size=6))
def test_a_session_has_one_beginning_whenever_it_is_told_of(began: int, ran: list[int], late: list[int]) -> None:
    """The NAS stamps what happened; how long a request is on its way, and how often it is sent, changes nothing. Its
    session time is cut to whole seconds after its clock was: they differ by one at most."""
    epochs = []
    for place, seconds in enumerate(ran):
        delay = late[place] if place < len(late) else 0
        stamped = began + seconds
        said = {"Event_Timestamp": stamped, "Acct_Session_Time": max(0, seconds - place % 2), "Acct_Delay_Time": delay}
        made = reading(ASKED, (stamped + delay) * 1000, **said)
        assert parse_instant(made.time) == stamped * 1000
        epochs.append(parse_instant(made.epoch))
    assert max(epochs) - min(epochs) <= 1000


@given(SECONDS, st.lists(st.tuples(st.integers(0, 10_000_000), st.integers(0, 120), st.integers(0, 2_000)), min_size=2))
def test_without_a_stamp_the_delay_leads_to_one_beginning(began: int, told: list[tuple[int, int, int]]) -> None:
    """On the way it takes up to 2 s that no attribute tells; the server takes 5 s for one beginning."""
    epochs = []
    for ran, delay, way_ms in told:
        made = reading(ASKED, (began + ran + delay) * 1000 + way_ms, Acct_Session_Time=ran, Acct_Delay_Time=delay)
        epochs.append(parse_instant(made.epoch))
    assert max(epochs) - min(epochs) <= 5000


def test_a_clock_that_is_not_set_or_ahead_dates_nothing() -> None:
    unset = reading(Event_Timestamp=120, Acct_Delay_Time=4)
    assert (unset.time, unset.epoch) == ("2026-11-29T17:00:06Z", "2026-11-29T16:59:06Z")
    ahead = reading(Event_Timestamp="2026-11-29T18:00:00Z")
    assert (ahead.time, ahead.epoch) == ("2026-11-29T17:00:10Z", "2026-11-29T17:59:00Z")


def test_without_a_session_time_only_a_fall_tells_a_beginning() -> None:
    assert reading(Acct_Session_Time=None).epoch == ""


@given(
    st.datetimes(datetime(2002, 1, 1), datetime(2037, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)
def test_a_date_is_read_as_freeradius_prints_it_in_any_zone(at: datetime, zone: str) -> None:
    instant = int(at.replace(tzinfo=UTC).timestamp())
    local = datetime.fromtimestamp(instant, ZoneInfo(zone))
    text = f"{local:%b} {local.day:2} {local:%Y %H:%M:%S %Z}"
    made = reading(RadiusMapping("radius", account="a", zone=ZoneInfo(zone)), instant * 1000, Event_Timestamp=text)
    assert made.time == format_instant(instant * 1000)


@pytest.mark.parametrize(
    "text", ["Nov 29 2026 18:00:00 CET", "Nov 31 2026 18:00:00 UTC", "yesterday", "2026-11-29T17:00:00"]
)
def test_a_date_that_says_no_instant_is_told(text: str) -> None:
    with pytest.raises(Unprocessable, match="Event-Timestamp"):
        reading(Event_Timestamp=text)


@pytest.mark.parametrize(
    ("asked", "account", "user"),
    [
        ({"account": "acme"}, "acme", "bob@globex"),
        ({"account_from": "realm"}, "globex", "bob"),
        ({"account_from": "Realm"}, "by-suffix", "bob@globex"),
        ({"account_from": "Class"}, "of-class", "bob@globex"),
        ({"account_from": "Tunnel-Id", "account": "acme"}, "acme", "bob@globex"),
        ({"account": "acme", "user_from": "Stripped-User-Name"}, "acme", "bob"),
    ],
)
def test_an_account_is_given_or_in_an_attribute_or_the_realm(asked: dict[str, Any], account: str, user: str) -> None:
    said = {"User_Name": "bob@globex", "Realm": "by-suffix", "Class": "of-class", "Stripped_User_Name": "bob"}
    made = reading(RadiusMapping("radius", **asked), **said)
    assert (made.account, made.user) == (account, user)


def test_a_windows_domain_is_a_realm() -> None:
    made = reading(RadiusMapping("radius", account_from="realm"), User_Name="globex\\bob")
    assert (made.account, made.user) == ("globex", "bob")


@pytest.mark.parametrize("missing", ["Acct-Session-Id", "NAS-Identifier", "Acct-Status-Type"])
def test_what_is_missing_is_told_without_a_name(missing: str) -> None:
    with pytest.raises(Unprocessable, match=missing) as told:
        reading(**{missing.replace("-", "_"): None})
    assert "bob" not in str(told.value)
    with pytest.raises(Unprocessable, match="no account"):
        reading(RadiusMapping("radius"))


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_two_sessions_never_share_a_counter(nas: str, session: str, user: str, other: str) -> None:
    assume(user != other)
    names = {reading(NAS_Identifier=nas, Acct_Session_Id=session, User_Name=one).counter for one in (user, other)}
    assert len(names) == 2
    assert all(len(name) <= 200 for name in names)


class Told(msgspec.Struct, frozen=True):
    """A packet of a session: what the NAS says, and when it comes."""

    session: int
    said: dict[str, Any]
    at: int
    up: int


@st.composite
def histories(draw: st.DrawFn) -> list[Told]:
    """Sessions of one NAS under one id, one after the other, as after crashes. Of each some packet comes while it is
    the last one; others are lost, come late, in any order, or again, with a delay that the NAS tells or not."""
    came: list[Told] = []
    began = 1_700_000_000
    for number in range(draw(st.integers(1, 4))):
        packets = draw(told_of(number, began))
        kept = draw(st.lists(st.sampled_from(packets), min_size=1, max_size=6))
        again = draw(st.lists(st.sampled_from(came), max_size=3)) if came else []
        came += draw(st.permutations(kept))[:1] + draw(st.permutations(kept + again))
        began += 10_000 + draw(st.integers(0, 10**6))
    return came


@st.composite
def told_of(draw: st.DrawFn, number: int, began: int) -> list[Told]:
    packets, up, ran = [], 0, 0
    for status in ["Start", *draw(st.lists(st.just("Interim-Update"), max_size=4)), "Stop"]:
        said: dict[str, Any] = {**SESSION, "Acct-Status-Type": status, "Event-Timestamp": began + ran}
        if status != "Start":
            ran += draw(st.integers(1, 1_500))
            up += draw(st.integers(0, 2**34))
            clock = draw(st.integers(-1, 1))  # seconds are cut, of one clock before the other
            said |= {"Acct-Session-Time": max(0, ran + clock), "Event-Timestamp": began + ran}
            said |= {"Acct-Input-Octets": up % 2**32, "Acct-Input-Gigawords": up >> 32, "Acct-Output-Octets": 0}
        late = draw(st.integers(0, 900))
        if draw(st.booleans()):
            said["Acct-Delay-Time"] = late
        packets.append(Told(number, said, (began + ran + late) * 1000, up))
    return packets


@given(histories())
def test_each_session_counts_the_most_that_was_told_of_it(history: list[Told]) -> None:
    standing: Standing | None = None
    counted = 0
    most: dict[int, int] = {}
    for one in history:
        made = reading_of({name.lower(): value for name, value in one.said.items()}, ASKED, one.at)
        assert made is not None
        done = step(standing, seen_of(made))
        standing, counted = done.standing, counted + done.added.bytes_up
        most[one.session] = max(most.get(one.session, 0), one.up)
        assert counted == sum(most.values()), done.code


def seen_of(made: Reading) -> Seen:
    seen = Seen(parse_instant(made.time), made.stated, made.epoch, made.width, made.final, made.from_zero)
    return msgspec.structs.replace(seen, epoch_derived=made.epoch_derived)

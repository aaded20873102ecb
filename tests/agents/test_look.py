from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents import look
from flowtally.agents.look import Looking, Sample, UserUse, looking_for, oddity
from flowtally.agents.mapping import Mapping
from flowtally.agents.reading import LineReading

names = st.sampled_from(["", "-", "ann", "bob", "eve", "10.0.0.1"])
readings = st.builds(
    LineReading,
    time_at=st.integers(0, 2_000_000_000_000),
    bytes_up=st.integers(0, 10**12),
    bytes_down=st.integers(0, 10**12),
    account=st.sampled_from(["acme", "globex"]),
    user=names,
)


@settings(deadline=None)
@given(readings=st.lists(readings, max_size=20))
def test_the_figures_are_the_sums_of_the_lines(readings: list[LineReading]) -> None:
    looking = Looking()
    for number, one in enumerate(readings, 1):
        looking.add(number, b"a line", one)
    found = looking.look()
    users = {(one.account, one.user) for one in readings}
    assert (found.bytes_up, found.bytes_down, found.requests) == (
        sum(one.bytes_up for one in readings),
        sum(one.bytes_down for one in readings),
        len(readings),
    )
    assert (found.users, found.more_users, len(found.largest)) == (len(users), False, min(5, len(users)))
    assert found.odd_users == len([name for _, name in users if name not in ("ann", "bob", "eve")])
    assert [one.bytes_up + one.bytes_down for one in found.largest] == sorted(
        (one.bytes_up + one.bytes_down for one in found.largest), reverse=True
    )
    assert len(found.samples) == min(3, len(readings))


def test_of_too_many_users_the_report_says_that_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "MAX_USERS", 2)
    looking = Looking()
    for user in ("ann", "bob", "eve", "bob"):
        looking.add(1, b"a line", LineReading(time_at=0, user=user, bytes_down=1))
    found = looking.look()
    assert (found.users, found.more_users, found.bytes_down) == (2, True, 4)
    assert UserUse("", "bob", 0, 2, 2) in found.largest


def test_a_sample_says_how_its_line_was_read() -> None:
    looking = Looking()
    looking.add(7, b"a \x1b[31mline", LineReading(1000, 1, 2, 1, 200, "10.0.0.1", "ann", "/", "acme", "mobile"))
    assert looking.look().samples == (
        Sample(7, "a \\x1b[31mline", "1970-01-01T00:00:01Z", "acme", "ann", "mobile", 1, 2, 1, 200),
    )


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("", "names nobody"),
        ("-", "for nobody"),
        ("- alice", "blanks"),
        ("jos%c3%a9", "escapes"),
        ("jos\\xc3\\xa9", "escapes"),
        ('jos\\"e', "escapes"),
        ("a\x1bb", "control"),
        ("12345", "only digits"),
        ("192.0.2.1", "address"),
        ("192.0.2.1:1234", "address"),
        ("2001:db8::7", "address"),
        ("[2001:db8::7]:80", "address"),
        ("[10/Mar/2026:09:00:00", "piece of a log line"),
        ("user=ann", "piece of a log line"),
        ("GET", "piece of a log line"),
        ('"-"', "piece of a log line"),
    ],
)
def test_names_that_may_be_none_are_told(user: str, why: str) -> None:
    assert why in oddity(user)


@pytest.mark.parametrize("user", ["ann", "corp\\bob", "josé", "a.b@c.test", "user-17", "x:1", "abc", "客户"])
def test_names_are_not_called_odd(user: str) -> None:
    assert oddity(user) == ""


def test_users_that_are_addresses_on_purpose_are_not_odd() -> None:
    assert oddity("192.0.2.1", addresses=True) == ""


def test_who_asked_for_no_users_is_not_told_of_nobody() -> None:
    for user_from, odd in (("none", 0), ("user", 1), ("url:(?P<user>.*)", 1)):
        looking = looking_for(Mapping(user_from=user_from))
        looking.add(1, b"a line", LineReading(time_at=0))
        assert looking.look().odd_users == odd

"""Each vendor's puller over a connection, against a server that misbehaves at any one of its calls: what was said until
then is what an undisturbed pull says, and the next pull makes it whole."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from tests.providers import stub as stubs
from tests.providers.stub import Reply, Stub, ok, say
from tests.providers.waits import ONCE, PACE, Waits, client_of
from tests.vendors.pulling import AskScript, Told, until_it_fails
from tests.vendors.test_pull_junk import CONTRACT, PULLED

from flowtally.core.reported import Statement, UseSaid
from flowtally.providers.asking import Bounds
from flowtally.providers.puller import ChangedShape, Denied, Failed, Limited

PATIENT: Final = Bounds(connect_s=60, read_s=60, total_s=60, answer_bytes=200_000)
HASTY: Final = Bounds(connect_s=1, read_s=1, total_s=1)
Change = Callable[[Any], Any]


def dialect(script: AskScript, change: Change = lambda said: said, **headers: str) -> Reply:
    """What the vendor answers where all is well, changed by the test."""

    def reply(connection: socket.socket, stub: Stub) -> bool:
        heard = stub.heard[-1]
        target = urlsplit(heard.target)
        answer = script.answer(target.path, dict(parse_qsl(target.query, keep_blank_values=True)), heard.headers)
        body = msgspec.json.encode(change(msgspec.json.decode(answer.body)))
        return say(answer.status, body, **headers)(connection, stub)

    return reply


def secrets_of(vendor: str) -> list[str]:
    to_pull = PULLED[vendor][2]
    return [one for one in to_pull(grain="day").secrets.values() if one]


def pulled(vendor: str, *replies: Reply, bounds: Bounds = PATIENT, **more: Any) -> tuple[list[Statement], Any]:
    """What was said, and what ended it."""
    puller, _, to_pull = PULLED[vendor]
    with Stub(*replies) as stub, client_of(stub.url, bounds=bounds, secrets=secrets_of(vendor), **more) as ask:
        return until_it_fails(ask.pull(puller, to_pull(grain="day")))


def undisturbed(vendor: str) -> tuple[list[Statement], int]:
    """What is said where all is well, and in how many calls."""
    puller, script, to_pull = PULLED[vendor]
    asking = script()
    return list(puller.pull(asking, to_pull(grain="day"))), len(asking.asked)


def good(vendor: str, **more: Any) -> Reply:
    return dialect(PULLED[vendor][1](), **more)


REFUSALS: Final[dict[str, Reply]] = {
    "thordata": ok('{"code": 10047, "msg": "Token error", "data": {}}'),
    "ipfoxy": ok('{"code": 60401, "msg": "authorization failed", "data": {}}'),
    "bytesflows": say(401, '{"code": 401, "msg": "unauthorized"}'),
    "whitepages": say(403, '{"message": "Forbidden"}'),
}
BROKEN: Final[dict[str, tuple[Reply, type[Exception]]]] = {
    "half an answer": (stubs.cut_off(), Failed),
    "a reset": (stubs.reset(stubs.head(200)), Failed),
    "garbage": (stubs.garbage(), Failed),
    "HTTP 500": (say(500, "{}"), Failed),
    "a page with HTTP 502": (stubs.page(502), Failed),
    "too often": (say(429, "{}"), Limited),
    "a page with HTTP 200": (stubs.page(), ChangedShape),
    "an empty answer": (ok(""), ChangedShape),
    "a redirect to elsewhere": (say(302, Location="https://elsewhere.example/x"), ChangedShape),
    "an answer without end": (stubs.endless(), ChangedShape),
    "a bomb": (stubs.bomb(300_000), ChangedShape),
}
SLOW: Final[dict[str, Reply]] = {"nothing": stubs.silent(), "a byte at a time": stubs.drip()}


def check_prefix(vendor: str, said: list[Statement]) -> None:
    """What was said before it failed is what is said where nothing fails; what comes after makes it whole."""
    whole, _ = undisturbed(vendor)
    assert said == whole[: len(said)]
    assert len(said) < len(whole)
    told = Told(said)
    for one in pulled(vendor, good(vendor))[0]:
        told.hear(one)
    assert told.figures == Told(whole).figures


@pytest.mark.parametrize("vendor", PULLED)
def test_over_a_connection_the_same_is_said(vendor: str) -> None:
    assert pulled(vendor, good(vendor)) == (undisturbed(vendor)[0], None)


@pytest.mark.parametrize("vendor", PULLED)
@pytest.mark.parametrize("what", BROKEN)
def test_what_breaks_a_call_is_told_as_what_it_is_and_what_was_said_before_stays(vendor: str, what: str) -> None:
    broken, kind = BROKEN[what]
    for call in range(undisturbed(vendor)[1]):
        said, error = pulled(vendor, *[good(vendor)] * call, broken, pace=ONCE)
        assert isinstance(error, kind), (call, error)
        assert not [one for one in secrets_of(vendor) if one in str(error) + getattr(error, "sample", "")]
        check_prefix(vendor, said)


@pytest.mark.parametrize("vendor", PULLED)
@pytest.mark.parametrize("what", [name for name, (_, kind) in BROKEN.items() if kind is not ChangedShape])
def test_what_fails_once_changes_nothing(vendor: str, what: str) -> None:
    whole, calls = undisturbed(vendor)
    for call in range(calls):
        waits = Waits()
        replies = [*[good(vendor)] * call, BROKEN[what][0], good(vendor)]
        assert pulled(vendor, *replies, pace=PACE, waits=waits) == (whole, None)
        assert 3 in waits.waited, "it waits before it tries again"


@pytest.mark.parametrize("vendor", PULLED)
@pytest.mark.parametrize("what", SLOW)
def test_a_vendor_that_is_too_slow_is_late_and_what_was_said_before_stays(vendor: str, what: str) -> None:
    calls = undisturbed(vendor)[1]
    said, error = pulled(vendor, *[good(vendor)] * (calls - 1), SLOW[what], bounds=HASTY, pace=ONCE)
    assert isinstance(error, Failed)
    check_prefix(vendor, said)


@pytest.mark.parametrize("vendor", PULLED)
def test_a_token_that_is_revoked_in_mid_pull_is_denied_and_what_was_said_before_stays(vendor: str) -> None:
    for call in range(undisturbed(vendor)[1]):
        said, error = pulled(vendor, *[good(vendor)] * call, REFUSALS[vendor], pace=ONCE)
        assert isinstance(error, Denied), (call, error)
        check_prefix(vendor, said)


@pytest.mark.parametrize("vendor", PULLED)
@pytest.mark.parametrize("year", [2001, 2099])
def test_a_vendor_whose_clock_is_off_is_waited_for_by_its_own(vendor: str, year: int) -> None:
    later = say(429, "{}", Date=f"Thu, 01 Jan {year} 00:00:00 GMT", Retry_After=f"Thu, 01 Jan {year} 00:00:40 GMT")
    waits = Waits()
    assert pulled(vendor, later, good(vendor), pace=PACE, waits=waits) == (undisturbed(vendor)[0], None)
    assert waits.waited[0] == 40


def as_texts(said: Any) -> Any:
    """Each number as a text with a fraction, as some of their answers have it."""
    if isinstance(said, dict):
        return {name: as_texts(one) for name, one in said.items()}
    if isinstance(said, list):
        return [as_texts(one) for one in said]
    return str(said) if isinstance(said, (int, float)) and not isinstance(said, bool) else said


def backwards(said: Any) -> Any:
    if isinstance(said, dict):
        return {name: backwards(said[name]) for name in reversed(said)}
    return [backwards(one) for one in reversed(said)] if isinstance(said, list) else said


@pytest.mark.parametrize("vendor", PULLED)
@pytest.mark.parametrize("change", [as_texts, backwards], ids=lambda one: str(one.__name__))
def test_numbers_as_texts_and_days_in_another_order_are_the_same(vendor: str, change: Change) -> None:
    said, error = pulled(vendor, good(vendor, change=change))
    assert error is None
    assert Told(said).figures == Told(undisturbed(vendor)[0]).figures
    assert Told(said).balances == Told(undisturbed(vendor)[0]).balances


@pytest.mark.parametrize("vendor", PULLED)
def test_a_wrong_content_type_hides_nothing(vendor: str) -> None:
    said, error = pulled(vendor, good(vendor, content_type="text/html"))
    assert (said, error) == (undisturbed(vendor)[0], None)


def shortened(said: Any) -> Any:
    """Without the first row of each list."""
    if isinstance(said, dict):
        return {name: shortened(one) for name, one in said.items()}
    return [shortened(one) for one in said[1:]] if isinstance(said, list) else said


@pytest.mark.parametrize("vendor", PULLED)
def test_rows_that_are_missing_are_never_nothing_in_silence(vendor: str) -> None:
    whole, calls = undisturbed(vendor)
    for call in range(calls):
        good_one, short = good(vendor), good(vendor, change=shortened)
        said, error = pulled(vendor, *[good_one] * call, short, good_one, pace=ONCE)
        told = Told(whole)
        for one in said:
            told.hear(one)
        if error is not None:
            assert isinstance(error, CONTRACT), (call, error)
        elif Told(said).figures != Told(whole).figures:
            assert any(one.doubts for one in said if isinstance(one, UseSaid)), call
        assert told.figures == Told(whole).figures, "what was said before stays"

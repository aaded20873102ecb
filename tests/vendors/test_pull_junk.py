"""Whatever a vendor answers, a puller either understands it or says in the words of its contract what is wrong, without
a secret; and what was used is never told as less because a part of the answer is not what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.providers.stub import Stub, ok
from tests.providers.waits import client_of
from tests.soak import sampled
from tests.vendors.asked_app import wanted
from tests.vendors.bytesflows import test_pull as bytesflows
from tests.vendors.ipfoxy import test_pull as ipfoxy
from tests.vendors.pulling import AskScript, Told, until_it_fails
from tests.vendors.thordata import test_pull as thordata
from tests.vendors.whitepages import test_pull as whitepages

from flowtally.core.reported import UseSaid
from flowtally.providers.puller import ChangedShape, Denied, Failed, Limited, Puller, VendorAnswer
from flowtally.vendors import PULLERS

CONTRACT: Final = (ChangedShape, Denied, Failed, Limited)
JUNK: Final[list[Any]] = [None, "", "x", 0, -1, 1, "7", 1.5, True, [], {}, [None], 10**30, 1e300, "\u0000", "9" * 5000]
PULLED: Final[dict[str, tuple[Puller, Callable[..., AskScript], Any]]] = {
    "thordata": (PULLERS["thordata"], thordata.script, thordata.to_pull),
    "ipfoxy": (PULLERS["ipfoxy"], ipfoxy.script, ipfoxy.to_pull),
    "bytesflows": (PULLERS["bytesflows"], bytesflows.script, lambda grain: bytesflows.to_pull()),
    "whitepages": (PULLERS["whitepages"], whitepages.script, lambda grain: whitepages.to_pull()),
}
BY_HOUR: Final = {"get_account_use_flow_list": ipfoxy.use(("2025-06-24 05:00:00", "7")),
                  "residential_data_history": ipfoxy.history((ipfoxy.D25, "5"), period="1 hour")}  # fmt: skip
MEANT: Final = {
    "usage_traffic",
    "flow",
    "mb",
    "is_main",
    "trafficUsed",
    "request_count",
}  # the members that say how much, or whose it is


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in an answer."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inside:
        yield from places(part, (*path, name))


def put(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    name, *rest = path
    if isinstance(value, dict):
        return {**value, name: put(value[name], tuple(rest), junk)}
    return [put(one, tuple(rest), junk) if n == name else one for n, one in enumerate(value)]


class Spoilt(AskScript):
    """One place of one answer is something else; `where` is the last part of its path."""

    def __init__(self, script: AskScript, call: int, place: int, junk: Any) -> None:
        super().__init__(lambda path, query: None)
        self._script, self._call, self._place, self._junk = script, call, place, junk
        self.where: Any = None

    def answer(self, path: str, query: dict[str, str], headers: Any) -> Any:
        answer = self._script.answer(path, query, headers)
        if len(self.asked) != self._call:
            return answer
        whole = msgspec.json.decode(answer.body)
        found = list(places(whole))
        place = found[self._place % len(found)]
        self.where = place[-1] if place else ""
        return msgspec.structs.replace(answer, body=msgspec.json.encode(put(whole, place, self._junk)))


@pytest.mark.parametrize("vendor", PULLED)
def test_a_vendor_tells_its_use_in_what_its_puller_says(vendor: str) -> None:
    puller, script, to_pull = PULLED[vendor]
    said = [one for one in puller.pull(script(), to_pull(grain="day")) if isinstance(one, UseSaid)]
    assert {one.quantity for one in said} == {puller.quantity}


@pytest.mark.parametrize("vendor", PULLED)
@pytest.mark.parametrize("grain", ["day", "hour"])
def test_junk_is_an_error_of_the_contract_or_changes_nothing(vendor: str, grain: str) -> None:
    puller, script, to_pull = PULLED[vendor]
    answers = BY_HOUR if (vendor, grain) == ("ipfoxy", "hour") else {}
    asking = script(**answers)
    whole = Told(puller.pull(asking, to_pull(grain=grain)))

    @settings(max_examples=sampled(200, 20), deadline=None)
    @given(st.integers(1, len(asking.asked)), st.integers(0, 300), st.sampled_from(JUNK))
    def holds(call: int, place: int, junk: Any) -> None:
        spoilt = Spoilt(script(**answers), call, place, junk)
        said, error = until_it_fails(puller.pull(spoilt, to_pull(grain=grain)))
        if error is not None:
            assert isinstance(error, CONTRACT), repr(error)
            assert "password123" not in str(error) + getattr(error, "sample", "")
        elif spoilt.where not in MEANT:
            assert Told(said).total() >= whole.total() - whole.step

    holds()


@pytest.mark.parametrize("vendor", PULLED)
def test_nothing_secret_is_shown_of_an_answer_that_repeats_it(vendor: str) -> None:
    puller = PULLED[vendor][0]
    secrets = {one.name: f"secret/{one.name}&" for one in puller.secrets}
    as_sent = [quote(one, safe="") for one in secrets.values()]
    page = f'{{"code": 0, "password": "pass1", "asked": {secrets}, "as": {as_sent}}} <p>'
    with Stub(ok(page)) as stub, client_of(stub.url, secrets=secrets.values()) as ask:
        _, error = until_it_fails(ask.pull(puller, wanted(puller, secrets, 0, thordata.D1)))
    assert isinstance(error, ChangedShape)
    assert error.sample.startswith('{"code": 0, "password": "[secret]", "asked": {')
    shown = str(error) + error.sample
    assert "secret/" not in shown
    assert "secret%2F" not in shown


@pytest.mark.parametrize("vendor", PULLED)
def test_no_beginning_of_a_secret_is_shown_where_what_the_vendor_said_is_cut(vendor: str) -> None:
    """A message is cut to so many characters: before the secret in it was found, a part of it would be shown."""
    puller, _, to_pull = PULLED[vendor]
    secret = "tok-SuperSecretTokenValue-0123456789"
    client = client_of("http://127.0.0.1", secrets=[secret])

    def shape(said: str) -> dict[str, Any]:
        return {"error": {"message": said}} if vendor == "whitepages" else {"msg": said}

    def refused(said: str, status: int, body: Any) -> None:
        answer = VendorAnswer(status, {}, body if isinstance(body, bytes) else msgspec.json.encode(body), client.scrub)
        script = AskScript(lambda path, query: answer)
        with pytest.raises(CONTRACT) as found:
            client.asked(lambda _: list(puller.pull(script, to_pull(grain="day"))))
        assert "tok-" not in str(found.value) + getattr(found.value, "sample", ""), said

    for size in (*range(150, 210), *range(270, 310), *range(460, 500)):
        said = "m" * size + secret
        refused(said, 200, shape(said) | {"code": 10_010, "data": {}})
        refused(said, 400, shape(said))
        refused(said, 400, said.encode())


@pytest.mark.parametrize("vendor", PULLED)
@pytest.mark.parametrize("grain", ["day", "hour"])
def test_each_figure_is_said_once(vendor: str, grain: str) -> None:
    """What a pull brought is told as a number: its figures, and none of them twice."""
    puller, script, to_pull = PULLED[vendor]
    answers = BY_HOUR if (vendor, grain) == ("ipfoxy", "hour") else {}
    said = [one for one in puller.pull(script(**answers), to_pull(grain=grain)) if isinstance(one, UseSaid)]
    keys = [figure.key for one in said for figure in one.figures]
    assert len(set(keys)) == len(keys)
    assert said[-1].closes

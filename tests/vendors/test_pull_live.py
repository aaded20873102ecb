"""Pullers over a real connection to a real server that speaks their vendor's dialect: flowtally as the vendor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.live import Live, live_server
from tests.providers.waits import ONCE
from tests.vendors.asked_app import Series, wanted

from flowtally.core.edges import format_instant
from flowtally.core.reported import BalancesSaid
from flowtally.core.times import DAY_MS
from flowtally.providers.asking import VendorClient
from flowtally.providers.connecting import OffLimits
from flowtally.providers.puller import Denied, Puller
from flowtally.vendors.bytesflows.pull import PULLER as BYTESFLOWS
from flowtally.vendors.whitepages.pull import PULLER as WHITEPAGES

ACCOUNT = "walker0001"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("vendor") / "data") as server:
        native(server, "/accounts", {"id": ACCOUNT})
        native(server, f"/accounts/{ACCOUNT}/grants", {"amount": 10**12})
        yield server


def native(live: Live, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {live.token}"}
    answer = httpx.post(f"{live.url}/v1{path}", json=body, headers=headers, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def use(live: Live, id: str, at: int, **quantity: Any) -> None:
    event = {"source": "gw", "id": id, "account": ACCOUNT, "time": format_instant(at), **quantity}
    assert native(live, "/events", [event])["stored"] == 1


def asking(live: Live) -> VendorClient:
    return VendorClient(live.url, ONCE, plain=True, private=True)


def secrets_of(live: Live, puller: Puller) -> dict[str, str]:
    token = native(live, f"/accounts/{ACCOUNT}/credentials", {"scope": "account"})["token"]
    return {puller.secrets[0].name: token}


def now() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def test_whitepages_days_are_brought(live: Live) -> None:
    secrets, series, today = secrets_of(live, WHITEPAGES), Series(), now() // DAY_MS * DAY_MS
    for number, days in enumerate((0, 1, 1, 100)):
        use(live, f"wp-{number}", today - days * DAY_MS, product="api", requests=7 + number)
    with asking(live) as ask:
        series.hear(ask.pull(WHITEPAGES, wanted(WHITEPAGES, secrets, today - 200 * DAY_MS, now())))
        assert ask.calls == 3
        assert ask.check(WHITEPAGES, wanted(WHITEPAGES, secrets, today, now())).works == (
            "Requests by UTC day: 7 today",
        )
    assert series.by_time() == {today: 7, today - DAY_MS: 17, today - 100 * DAY_MS: 10}


def test_bytesflows_use_is_brought_from_look_to_look(live: Live) -> None:
    secrets, series = secrets_of(live, BYTESFLOWS), Series()
    with asking(live) as ask:
        for number in range(4):
            use(live, f"bf-{number}", now(), product="residential", bytes_down=10**9 + number)
            said = series.hear(ask.pull(BYTESFLOWS, wanted(BYTESFLOWS, secrets, 0, now(), looked=series.looked)))
            assert series.total == number * 10**9 + sum(range(1, number + 1)), "the first is of before the first look"
    [balances] = [one for one in said if isinstance(one, BalancesSaid)]
    assert balances.balances[0].left == 10**12 - 4 * 10**9 - 6


@pytest.mark.parametrize("puller", [WHITEPAGES, BYTESFLOWS], ids=lambda one: one.vendor)
def test_a_wrong_secret_is_denied_and_a_server_of_this_machine_is_not_asked_unless_allowed(
    live: Live, puller: Puller
) -> None:
    wrong = wanted(puller, {puller.secrets[0].name: "nobody-knows-this"}, now(), now())
    with asking(live) as ask, pytest.raises(Denied):
        ask.check(puller, wrong)
    with VendorClient(live.url, ONCE, plain=True) as ask, pytest.raises(OffLimits):
        ask.check(puller, wrong)

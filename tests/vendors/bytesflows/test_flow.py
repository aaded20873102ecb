"""A BytesFlows client's day against a real server: money, a purchase, use, and what it pulls from page to page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.live import Live, live_server
from tests.vendors.asking import Shown

from flowtally.client import Client
from flowtally.protocol import (
    AccountRequest,
    CredentialRequest,
    DepositRequest,
    GrantRequest,
    PlainEvent,
    PlanRequest,
    PurchaseRequest,
)
from flowtally.vendors.bytesflows import wire

GB = 10**9


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("bytesflows") / "data") as live:
        yield live


class BytesFlows:
    """A client as their page describes it: base address and token."""

    def __init__(self, url: str, shown: Shown) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {shown.token}"})

    def asset(self) -> wire.Asset:
        answer = self._http.get("/api/v1/dashboard/asset")
        return wire.decode(answer.status_code, answer.content, wire.Asset)

    def page(self, **asked: Any) -> wire.Records:
        answer = self._http.get("/api/v1/user/traffic/records", params=asked)
        return wire.decode(answer.status_code, answer.content, wire.Records)

    def all_records(self, size: int, **asked: Any) -> dict[str, wire.Record]:
        """Page by page until all that match were seen."""
        found: dict[str, wire.Record] = {}
        number = 0
        while True:
            number += 1
            page = self.page(pageNo=number, pageSize=size, **asked)
            found |= {one.id: one for one in page.records}
            if not page.records or number * size >= page.total:
                assert len(found) == page.total
                return found


@pytest.fixture(scope="module")
def bytesflows(live: Live) -> BytesFlows:
    """Of an account with 20 dollars, a bought plan of 10 GB, three rewards of 1 GB and 2.5 GB of use."""
    with Client(live.url, live.token) as client:
        client.create_account(AccountRequest(id="acme"))
        client.deposit("acme", DepositRequest(amount_micros=20_000_000, reference="pay-1"))
        plan = client.create_plan(PlanRequest(name="10 GB", amount=10 * GB, price_micros=7_505_000, days=30))
        client.buy_plan("acme", PurchaseRequest(plan=plan.id))
        for number in range(3):
            client.give_grant("acme", GrantRequest(amount=GB, source="sign", reference=f"task-{number}"))
        made = client.create_credential("acme", CredentialRequest(scope="account"))
        use(client, "1", 5 * GB // 2)
    return BytesFlows(live.url, Shown(made.id, str(made.token), ""))


def use(client: Client, id: str, count: int) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    event = PlainEvent("gw", "acme", id, time=now, user="alice", product="residential", bytes_down=count)
    assert client.send_events([event]).stored == 1


def test_what_is_bought_and_used_is_told_page_by_page(bytesflows: BytesFlows, live: Live) -> None:
    [bought] = bytesflows.all_records(10, sourceType="order").values()
    assert (bought.traffic, bought.is_active) == (10 * GB, True)
    assert bytesflows.asset().balance == wire.show_money(12_495_000)
    rewards = bytesflows.all_records(1, sourceType="sign")
    assert {one.order_id for one in rewards.values()} == {"task-0", "task-1", "task-2"}
    assert set(bytesflows.all_records(2)) == {bought.id, *rewards}


def test_consumption_is_what_records_say_more_of_from_poll_to_poll(bytesflows: BytesFlows, live: Live) -> None:
    """The way to a time series with this API: per grant, what it has paid for since."""
    before, at_hand = bytesflows.all_records(100), bytesflows.asset()
    with Client(live.url, live.token) as client:
        use(client, "2", 9 * GB)  # the rest of the plan, and more
    now, left = bytesflows.all_records(100), bytesflows.asset()
    spent = sum(now[id].traffic_used - before[id].traffic_used for id in before)
    assert spent == 9 * GB == at_hand.dynamic_traffic - left.dynamic_traffic
    assert left.total_traffic - left.dynamic_traffic == sum(one.traffic_used for one in now.values())

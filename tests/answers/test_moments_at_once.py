"""Answers told while everybody writes are told again, to the letter, when nobody does: a real server and its engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import pytest
from tests.live import live_server

ANSWERS: Final = 200
PAUSE_S: Final = 0.05  # of each writer between two requests: without it writing takes the time, and all ask about more
ACCOUNTS: Final = ("acme", "beta")

Told = tuple[str, dict[str, str], Any]


class Trade:
    """Everybody asks through `client`; `stop` says that it is enough."""

    def __init__(self, url: str, token: str) -> None:
        headers, limits = {"Authorization": f"Bearer {token}"}, httpx.Limits(max_connections=32)
        self.client = httpx.Client(base_url=url, headers=headers, timeout=60, limits=limits)
        self.stop = threading.Event()
        self.told: list[Told] = []
        self.not_yet = 0

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        answer = self.client.request(method, path, json=body, params=query)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
        return answer.json()

    def until_enough(self, work: Callable[[Random, int], None], seed: int) -> int:
        chance, count = Random(seed), 0
        while not self.stop.is_set():
            work(chance, count)
            count += 1
            if work != self.read:
                self.stop.wait(PAUSE_S)
        return count

    def use(self, writer: int, chance: Random, count: int) -> None:
        events = [
            {
                "source": f"gw{writer}",
                "id": f"{writer}-{count}-{index}",
                "account": chance.choice(ACCOUNTS),
                "user": chance.choice(["ann", "bob", f"u{count % 7}", ""]),
                "product": chance.choice(["residential", "mobile", "api"]),
                "time": stamp(timedelta(milliseconds=-chance.randrange(3_600_000))),
                "bytes_up": chance.randrange(1000),
            }
            for index in range(chance.choice([1, 1, 1, 20]))
        ]
        self.ask("POST", "/v1/events", events)

    def promise(self, chance: Random, count: int) -> None:
        account = f"/v1/accounts/{chance.choice(ACCOUNTS)}"
        made = self.ask("POST", f"{account}/grants", {"amount": 2000})
        if count % 3 == 0:
            self.ask("POST", f"{account}/grants/{made['id']}/void")
        if count % 4 == 0:
            [voucher] = self.ask("POST", f"{account}/vouchers", {"amount": 1})["items"]
            self.ask("POST", f"{account}/vouchers/{voucher['id']}/revoke")
        if count % 5 == 0:
            user = self.ask("POST", f"{account}/users", {"name": f"n{count}"})["id"]
            self.ask("PATCH", f"{account}/users/{user}", {"name": f"m{count}", "limit": {"amount": count}})

    def read(self, chance: Random, count: int) -> None:
        account = f"/v1/accounts/{chance.choice(ACCOUNTS)}"
        path, query = chance.choice(
            [
                (f"{account}/balance", {}),
                (f"{account}/usage", {"by": "user,product", "bucket": "hour"}),
                (f"{account}/usage", {"bucket": "total", "from": stamp(timedelta(minutes=-37))}),
                (f"{account}/usage", {"bucket": "total", "by": "source", "user": "ann"}),
                (f"{account}/explain", {"top": "2"}),
                ("/v1/usage", {"by": "account", "bucket": "total"}),
            ]
        )
        if chance.random() < 0.2:
            query |= {"as_of": stamp(timedelta(milliseconds=-chance.choice([0, 20, 200])))}
        answer = self.client.get(path, params=query)
        if answer.status_code == 400 and answer.json()["code"] == "not_yet":
            self.not_yet += 1
            return
        assert answer.status_code == 200, answer.text
        self.told.append((path, query, answer.json()))
        if len(self.told) >= ANSWERS:
            self.stop.set()


def stamp(ago: timedelta) -> str:
    return (datetime.now(UTC) + ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def trade(tmp_path: Path) -> Iterator[Trade]:
    with live_server(tmp_path / "data") as live:
        made = Trade(live.url, live.token)
        for account in ACCOUNTS:
            made.ask("POST", "/v1/accounts", {"id": account, "carry_from": "2020-01-01T00:00:00Z"})
            made.ask("POST", f"/v1/accounts/{account}/grants", {"amount": 10**6, "starts_at": "2020-01-01T00:00:00Z"})
            made.ask("POST", f"/v1/accounts/{account}/users", {"name": "ann"})  # asked for before she has used anything
        yield made
        made.client.close()


def test_what_is_told_while_everybody_writes_is_told_again_when_nobody_does(trade: Trade) -> None:
    with ThreadPoolExecutor(8) as threads:
        writers = [threads.submit(trade.until_enough, partial(trade.use, number), number) for number in range(3)]
        others = [threads.submit(trade.until_enough, trade.promise, 10)]
        others += [threads.submit(trade.until_enough, trade.read, 20 + number) for number in range(3)]
        try:
            counts = [one.result(timeout=200) for one in (*writers, *others)]
        finally:
            trade.stop.set()
    assert min(counts) > 3, counts
    assert len({answer["as_of"]["block"] for _, _, answer in trade.told}) > 10  # so they were of different moments
    for path, query, answer in trade.told:
        again = trade.ask("GET", path, **(query | {"as_of": answer["as_of"]["token"]}))
        assert again == answer, (path, query)
        if "as_of" in query:
            assert trade.ask("GET", path, **query) == answer, (path, query)

"""An account `shop` of this process's application, asked as Thordata's clients ask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.conftest import Client, send
from tests.vendors.asking import Shown, issue

from flowtally.vendors.thordata.settings import Settings

KB = 1024
MB = 1024 * KB
GB = 1024 * MB


# As their own clients call themselves, and others.
AGENTS = {
    "python": [
        "thordata-python-sdk/1.8.4 python/3.11.7 (Linux/6.1.0; x86_64; requests)",
        "thordata-python-sdk/1.8.4 python/3.12.1 (Windows/10; AMD64; aiohttp)",
    ],
    "js": ["thordata-js-sdk/0.0.0 node/20.11.1 (linux/x64)"],
    "java": ["thordata-java-sdk/1.2.0 java/17.0.9 (Linux/amd64)"],
}
OTHERS = [
    "thordata-js-sdk/0.0.0 node/20.11.1 (linux/x64)",
    "thordata-java-sdk/1.2.0 java/17.0.9 (Linux/amd64)",
    "",
    "thordata-go-sdk/1.2.0 (go go1.22; linux/amd64)",
    "python-requests/2.34.0",
    "python-thordata-sdk",
    "Mozilla/5.0 (compatible; thordata-python-sdk/1.8.4)",
    "thordata-python-sdkx/1.8.4",
]


class Shop(msgspec.Struct, frozen=True):
    """`client` asks natively, as admin; `get` and `post` ask as the shop's own software does, which calls itself
    `agent`."""

    client: Client
    shown: Shown
    agent: str = "shop/1.0"

    def of_client(self, agent: str) -> Shop:
        return msgspec.structs.replace(self, agent=agent)

    def get(self, path: str, **params: str) -> Any:
        """Secrets and parameters in the query."""
        query = {"token": self.shown.token, "key": self.shown.key, **params}
        return answered(self.client.get(f"/api/{path}", params=query, headers={"User-Agent": self.agent}))

    def post(self, path: str, **form: str) -> Any:
        """Secrets in headers, parameters in a form."""
        headers = {"token": self.shown.token, "key": self.shown.key, "User-Agent": self.agent}
        return answered(self.client.post(f"/api/{path}", headers=headers, data=form))

    def ok(self, path: str, **params: str) -> Any:
        """The data of a GET that succeeds."""
        return data_of(self.get(path, **params))

    def done(self, path: str, **form: str) -> None:
        """A write that succeeds."""
        assert data_of(self.post(path, **form)) == {}

    def grant(self, amount: int, **more: str) -> None:
        given = {"amount": amount, "starts_at": "2025-01-01T00:00:00Z", **more}
        answer = self.client.post("/v1/accounts/shop/grants", json=given)
        assert answer.status_code == 201, answer.text

    def use(self, id: str, time: str, size: int, **more: str) -> None:
        """`size` bytes, up and down."""
        send(
            self.client,
            id,
            time,
            "shop",
            **{"product": "residential", **more},
            bytes_up=size // 3,
            bytes_down=size - size // 3,
        )

    def other(self) -> Shop:
        """Another account of the same server."""
        self.client.post("/v1/accounts", json={"id": "other"})
        return Shop(self.client, issue(self.client, "other", "manage"))

    def make(self, name: str, **more: str) -> None:
        given = {"username": name, "password": "password123", "traffic_limit": "0", "status": "true", **more}
        self.done("proxy-users/create-user", **given)


def fraction(text: str) -> Decimal:
    """A number with a decimal point: never of a whole value, never more than two places."""
    assert re.fullmatch(r"\d+\.\d?[1-9]", text), text
    return Decimal(text)


def answered(answer: Any) -> Any:
    """The envelope, numbers as exact decimals. Whatever it says, it is JSON and HTTP 200."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body = json.loads(answer.text, parse_float=fraction)
    assert set(body) == {"code", "data", "msg"}
    assert type(body["code"]) is int
    assert body["code"] == 200 or body["data"] == {}
    assert "null" not in answer.text
    return body


def data_of(body: Any) -> Any:
    assert (body["code"], body["msg"]) == (200, "ok"), body
    return body["data"]


def shop_of(client: Client) -> Shop:
    made = client.post("/v1/accounts", json={"id": "shop", "carry_from": "2025-01-01T00:00:00Z"})
    assert made.status_code == 201, made.text
    return Shop(client, issue(client, "shop", "manage"))


@pytest.fixture
def shop(client: Client) -> Shop:
    return shop_of(client)


@pytest.fixture
def make_shop(make_client: Callable[..., Client]) -> Callable[..., Shop]:
    """A shop of a server whose dialect is set so."""
    return lambda **settings: shop_of(make_client(vendors={"thordata": Settings(**settings)}))

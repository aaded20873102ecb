"""A client of IPFoxy's API as its users write them: two headers, forms, and a look at the code."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

BASE = "/ip/open-api/"
MB = 2**20


class Fox(msgspec.Struct, frozen=True):
    client: httpx.Client
    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"api-id": self.id, "api-token": self.token}

    def ask(self, method: str, name: str, **how: Any) -> Any:
        """The envelope."""
        answer = self.client.request(method, BASE + name, headers=self.headers, **how)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        told = answer.json()
        assert told.keys() == {"data", "code", "msg"}
        return told

    def get(self, name: str, **params: object) -> Any:
        """The data of a success."""
        return self._data(self.ask("GET", name, params=params))

    def post(self, name: str, **form: str) -> Any:
        return self._data(self.ask("POST", name, data=form))

    def refused(self, method: str, name: str, **given: object) -> int:
        """The code of an error."""
        told = self.ask(method, name, **{"params" if method == "GET" else "data": given})
        assert told["code"] != 0
        assert told["data"] == {}
        assert told["msg"]
        return int(told["code"])

    def create(self, name: str, flow: int, key: str, **more: str) -> Any:
        form = {"account": name, "password": "correct-horse", "flow": str(flow), "idempotency_key": key}
        return self.post("create-sub-account", **form | more)

    def allocate(self, name: str, flow: int, key: str, **more: str) -> Any:
        return self.post("allocate-flow-sub-account", account=name, flow=str(flow), idempotency_key=key, **more)

    def _data(self, told: Any) -> Any:
        assert (told["code"], told["msg"]) == (0, "Success"), told
        return told["data"]

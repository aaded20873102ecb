"""What dialects are asked and answer, as text, so that two versions can be compared.

One account with users of every kind, grants, use, vouchers and a wallet, made from a seed. Requests are drawn: their
parameters from good and bad values, in the query, a form or a JSON object, some of them writes. What differs in every
run (ids, codes, trace ids) is replaced by what it is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from tests.conftest import Client, event, send_all
from tests.vendors.asking import PLACES, issue

from flowtally.protocol import Scope
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Dialect, Route

MB: Final = 1024**2
VARIANTS: Final[tuple[dict[str, dict[str, Any]], ...]] = (
    {},
    {"thordata": {"timezone": "Europe/Berlin", "lenient_limits": True, "list_unit": "KB", "expiration": "last"},
     "bytesflows": {"timezone": "Asia/Kolkata", "no_expiry": "2037-01-01 00:00:00"}},
    {"thordata": {"timezone": "Australia/Lord_Howe", "package_first": True, "whitelist_array": True, "cdk_days": 1},
     "whitepages": {"enforce_quota": True}},
)  # fmt: skip
LIMITS: Final[dict[str, dict[str, Any] | None]] = {
    "user001": {"amount": 200 * MB + 7},
    "user002": {"amount": 10 * MB + 513, "window": "day"},
    "user003": {"amount": 90 * MB + 1, "window": "month"},
    "user004": {"amount": 5, "unit": "requests"},
    "user005": None,
    "user006": {"amount": 100 * MB, "product": "mobile"},
    "user007": {"amount": 100 * MB},
    "user008": None,
    "user009": None,
    "user010": {"amount": 3 * MB, "window": "day"},
    "user011": {"amount": 700, "product": "unlimited"},
}
SUB: Final = "ABCDEFHGJ2000"
SCOPES: Final[tuple[Scope, ...]] = ("manage", "account")
BAD: Final = ["", "x", "-1", "01", "99999999999999", "True", 7, True]
DAYS: Final = [("2025-01-01", "2025-01-02"), ("2025-10-25", "2025-10-27"), ("2026-03-14", "2026-03-15"),
               ("2026-03-01", "2026-03-31"), ("2024-12-30", "2025-01-01"), ("2025-10-26", "2025-10-26"),
               ("2025-12-01", "2026-05-28"), ("1970-01-01", "1970-01-03")]  # fmt: skip
BAD_DAYS: Final = ["2026-02-30", "2025-1-1", "9999-12-31", "1969-12-31", "2026-03-01 24", "2026-03-14 7", "", "x"]
SECONDS: Final = [("1773300000", "1773576000"), ("1773532800", "1773576000"), ("1771000000", "1773662400")]
RANGES: Final[dict[str, list[tuple[str, str]]]] = {
    "from_date": DAYS, "start_date": [*DAYS[2:4], ("2026-03-10", "2026-04-01"), ("2025-12-15", "2026-03-14")],
    "start_time": SECONDS, "start_timestamp": SECONDS,
}  # fmt: skip
ENDS: Final = {"from_date": "to_date", "start_date": "end_date", "start_time": "end_time",
               "start_timestamp": "end_timestamp"}  # fmt: skip
SEVERAL: Final = ["user001,user002,user003", " user001 , user010", "user001,user001", "user002,user004",
                  "user003,user010,user002", "user001,user005"]  # fmt: skip
VALUES: Final[dict[str, list[Any]]] = {
    "username": ["user001", "user002", "user003", "user004", "user005", "user109", "user010", *SEVERAL],
    "proxy_type": ["", "", "", "1", "1", "2", "3", "9", 1, 3],
    "password": ["password123", "Another12", "ABCDEFHGJ2"],
    "new_password": ["", "newpass12"],
    "new_username": ["", "fresh01", "fresh02"],
    "traffic_limit": ["0", "100", 500, "8589934591"],
    "new_traffic_limit": ["", "0", "100", 250],
    "status": ["true", "false", "True", False, 1, "1", "2", "3"],
    "new_status": ["", "true", "false", False],
    "ip": ["1.1.1.1", "2001:db8::1", "203.0.113.7"],
    "flow": ["3", "1", 2, "1024"],
    "num": ["2", "1", 3],
    "cdk": ["CODE1", "CODE2", "CODE3", "CODE4"],
    "account": [SUB, SUB, "shop", "user001", "ABCDEFHGJ2001", "ABCDEFHGJ2002"],
    "idempotency_key": ["order-20260301-1", "order-20260302-1", "order-20260303-9"],
    "day": ["0", "30", 90],
    "unit": ["1", "2"],
    "is_hour": ["0", "1"],
    "page": ["1", "1", "2"],
    "page_size": ["20", "10", "100"],
    "timezone_offset": ["0", "-8", "6"],
    "pageNo": ["1", "2"],
    "pageSize": ["10", "1", "1000"],
    "sourceType": ["", "order", "sign"],
}  # fmt: skip
WORSE: Final[dict[str, list[Any]]] = {
    "username": ["ab", "user001,nobody1", "user006", "user008", "user009", ",", "native1,user001", SUB, "nobody1",
                 ",".join(f"user{n:03}" for n in range(101)), "native1"],
    "password": ["1abcdef", "short", 123456], "new_password": ["1abcdef"], "new_username": ["user001", "ab"],
    "traffic_limit": ["99", "None", "8589934592", "1.5"], "new_traffic_limit": ["99", "None"],
    "status": ["4", "ture"], "ip": ["10.0.0.0/8", "1.1.1.1,2.2.2.2"], "flow": ["0", "999999999999"],
    "num": ["101", "0"], "cdk": ["nozzapqOWJOCcWIX"], "account": ["nobody1", "native1"], "day": ["31"],
    "page": ["0", "26"], "page_size": ["5"], "timezone_offset": ["7", "-21"],
    "start_time": ["1741000000", "1773600000"],
    "start_timestamp": ["1741000000", "1773600000"], "from_date": BAD_DAYS, "to_date": BAD_DAYS,
    "start_date": BAD_DAYS, "end_date": BAD_DAYS,
}  # fmt: skip


class Request(msgspec.Struct, frozen=True):
    """What a client asks; `known`: with a token that is one. `CODE1` among the parameters is the first code known."""

    vendor: str
    method: str
    path: str
    place: str
    given: dict[str, Any]
    scope: Scope
    known: bool


class World:
    """The account, and what its clients are answered."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self.client, self.chance = client, chance
        self.codes: list[str] = []
        self._fill()
        self.readers = {scope: issue(client, "shop", scope) for scope in SCOPES}

    def native(self, path: str, json: Any, method: str = "POST") -> Any:
        answer = self.client.request(method, f"/v1/accounts/shop/{path}", json=json)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def _fill(self) -> None:
        self.client.post("/v1/accounts", json={"id": "shop", "carry_from": "2025-01-01T00:00:00Z"})
        for number, (amount, pool, until) in enumerate(
            [(50_000 * MB, "traffic", None), (900 * MB, "traffic", "2026-04-01T00:00:00Z"), (5, "api", None),
             (700 * MB, "mobile", "2026-03-20T00:00:00Z"), (MB, "traffic", "2025-02-01T00:00:00Z")]
        ):  # fmt: skip
            given = {"amount": amount, "pool": pool, "starts_at": "2025-01-01T00:00:00Z", "expires_at": until}
            self.native("grants", given | {"source": ("order", "sign")[number % 2], "reference": f"O-{number}"})
        for name, limit in LIMITS.items():
            product = (limit or {}).get("product", "residential")
            bare = None if limit is None else {key: value for key, value in limit.items() if key != "product"}
            self.native("users", {"name": name, "product": product, "limit": bare, "password": f"pass-{name}"})
        self.native("users/user007", {"status": "disabled"}, "PATCH")
        self.native("users/user009", {"name": "user109"}, "PATCH")
        self.native("users", {"name": SUB, "funded": True, "password": "correct-horse"})
        self.native(f"users/{SUB}/allocations", {"amount": 300 * MB})
        self._use()
        self.client.delete("/v1/accounts/shop/users/user008")
        self.native("wallet/deposits", {"amount_micros": 12_345_678})
        self.native("whitelist/traffic", {"addresses": ["1.1.1.1", "10.0.0.0/8"]}, "PUT")
        made = self.native("vouchers", {"amount": 3 * 1024 * MB, "count": 3})["items"]
        self.codes = [one["code"] for one in made]
        self.native(f"vouchers/{made[2]['id']}/revoke", None)
        self.client.post("/v1/accounts", json={"id": "buyer"})
        self.client.post("/v1/accounts/buyer/redemptions", json={"code": self.codes[1]})

    def _use(self) -> None:
        days = ["2024-12-31", "2025-01-01", "2025-10-25", "2025-10-26", "2026-03-01", "2026-03-13", "2026-03-14",
                "2026-03-15"]  # fmt: skip
        events: list[dict[str, Any]] = []
        for number in range(120):
            user = self.chance.choice([*LIMITS, SUB, "native1", ""])
            day, hour, minute = self.chance.choice(days), self.chance.randrange(11), self.chance.choice([0, 15, 59])
            used: dict[str, Any] = {"bytes_down": self.chance.choice([0, 1, 5, 513, self.chance.randrange(9 * MB)])}
            used |= {"user": user, "requests": self.chance.randrange(3), "bytes_up": self.chance.randrange(600)}
            product = self.chance.choice(["residential", "", "mobile", "api", "datacenter"])
            events.append(event(f"e{number}", f"{day}T{hour:02}:{minute:02}:00Z", "shop", product=product, **used))
        send_all(self.client, events)

    def draw(self, dialect: Dialect, route: Route) -> Request:
        """Something that a client may ask of the route."""
        given = self._given(route)
        scope = SCOPES[self.chance.random() >= 0.85]
        known = self.chance.random() < 0.98
        method = route.method if self.chance.random() < 0.97 else self.chance.choice(["GET", "POST", "PUT"])
        place = self.chance.choice(["query", "query", "json", "form"] if method != "GET" else ["query"] * 9 + ["json"])
        return Request(dialect.name, method, route.path, place, given, scope, known)

    def ask(self, request: Request) -> str:
        """The status, when to come again, and the body."""
        who = self.readers[request.scope]
        secrets, headers = PLACES[request.vendor](who if request.known else who.with_token("nobody" * 5))
        sent = {name: self._coded(value) for name, value in request.given.items()}
        asked: dict[str, dict[str, Any]] = {
            "query": {"params": {**secrets, **texts(sent)}},
            "form": {"params": secrets, "data": texts(sent)},
            "json": {"params": secrets, "json": sent},
        }
        headers = {"Authorization": "", **headers}
        answer = self.client.request(request.method, request.path, headers=headers, **asked[request.place])
        self.codes += [one for one in re.findall(r'"([A-Za-z0-9]{16})"', answer.text) if one not in self.codes]
        return f"{answer.status_code} {answer.headers.get('Retry-After', '')} {self._plain(answer.text)}"

    def _given(self, route: Route) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name in (one.encode_name for one in msgspec.structs.fields(route.takes)):
            likely = 0.97 if name in route.takes_example or name in ENDS else 0.4
            if name not in ENDS.values() and self.chance.random() < likely:
                given |= self._good(name, route)
        for name in list(given):
            if self.chance.random() < 0.07:
                given[name] = self.chance.choice([*WORSE.get(name, []), self.chance.choice(BAD)])
        return given

    def _good(self, name: str, route: Route) -> dict[str, Any]:
        if name not in ENDS:
            return {name: self.chance.choice(VALUES.get(name, [route.takes_example.get(name, "")]))}
        start, end = self.chance.choice(RANGES[name])
        if "hour" in route.path and name == "from_date":
            first, last = sorted(self.chance.sample(["00", "01", "02", "03", "11", "12", "23"], 2))
            start, end = f"{start} {first}", f"{end} {last}"
        return {name: start, ENDS[name]: end}

    def _coded(self, value: Any) -> Any:
        number = re.fullmatch(r"CODE([0-9])", str(value))
        return self.codes[int(number[1]) - 1] if number and int(number[1]) <= len(self.codes) else value

    def _plain(self, text: str) -> str:
        for number, code in enumerate(self.codes, start=1):
            text = text.replace(code, f"CODE{number}")
        return re.sub(r'"wp_trace_id":"[0-9a-f]+"|\b(grn|usr|crd|vch|alc)_[0-9a-f]+', r"\1", text)


def texts(given: dict[str, Any]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}


def client_of(make_client: Callable[..., Client], seed: int) -> Client:
    """Of an application whose dialects are set as the seed says."""
    wanted = VARIANTS[seed % len(VARIANTS)]
    return make_client(vendors={one.name: one.settings(**wanted.get(one.name, {})) for one in VENDORS})


def draw(world: World, count: int) -> Iterator[Request]:
    """Requests of all routes, questions more than writes."""
    routes = [(dialect, route) for dialect in VENDORS for route in dialect.routes for _ in range(3 - route.writes * 2)]
    for _ in range(count):
        yield world.draw(*world.chance.choice(routes))

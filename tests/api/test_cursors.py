"""Cursors: every list of the API obeys the same laws; a new one is described here and inherits them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from tests.api.stock import DAY_MS, Stock, stock
from tests.conftest import NOW, Client, Clock, token_of
from tests.fake_ingest import FakeIngest
from tests.filling import Filling
from tests.soak import SAMPLE, sampled
from tests.usage.blocks import block

from flowtally.api import application  # noqa: F401 - declares all operations
from flowtally.core import tokens
from flowtally.core.counters import Run, Standing
from flowtally.core.cursors import Walk
from flowtally.ingest.lookup import Lookup
from flowtally.keys.store import Keys
from flowtally.keys.values import Held, KnownCounter, Moved
from flowtally.ledger.database import Ledger
from flowtally.ledger.installation import bind
from flowtally.usage.memory import MemoryStore
from flowtally.web.operation import OPERATIONS, Operation

CHANGES: Final = "/v1/changes"
HELD: Final = "/v1/held"
SOURCES: Final = "/v1/sources"
COUNTERS: Final = "/v1/counters"
PERIOD: Final = "/v1/accounts/{account}/periods/{period}"
# These change what items say at most, or (`as_of`) where the list ends: whoever goes on with a cursor skips nothing.
NOTHING_SELECTED: Final = frozenset({"cursor", "limit", "since", "late_before", "usage", "limits", "as_of", "wait_s"})
INSTEAD: Final = {SOURCES: {"source"}}  # asks for one thing, and takes no cursor
TOLD_TO_ALL: Final = frozenset({"/v1/places", "/v1/places/{product}"})  # the same, whoever asks
CITIES: Final = {"kind": "city", "country": "US", "state": "alabama"}
GARBAGE: Final = ["", "4711.5", "acme", "!!!", "A" * 5_000, "%00", "eyJhIjoxfQ", tokens.encode("as_of", ("", 1, 1, 1)),
                  tokens.encode("as_of", 1)[:-1], "..%2f..%2fetc"]  # fmt: skip

# How each list is asked for: first as the others are compared with, then otherwise. Each name in a path is of `Names`.
ASKED: Final[dict[str, list[dict[str, str]]]] = {
    "/v1/accounts": [{}],
    "/v1/accounts/{account}/grants": [{}, {"source": "manual"}, {"source": "order"}, {"reference": ""}],
    "/v1/accounts/{account}/users": [
        {},
        {"deleted": "true"},
        {"pool": "traffic"},
        {"product": "residential"},
        {"exceeded": "true"},
    ],
    "/v1/accounts/{account}/users/{user}/allocations": [{}],
    "/v1/accounts/{account}/vouchers": [{}, {"status": "unused"}, {"status": "revoked"}, {"code": "A" * 16}],
    "/v1/accounts/{account}/wallet/entries": [{}, {"reference": ""}],
    "/v1/accounts/{account}/providers": [{}, {"removed": "true"}],
    "/v1/accounts/{account}/providers/{provider}/grants": [{}, {"gone": "true"}],
    "/v1/accounts/{account}/providers/{provider}/pulls": [{}],
    "/v1/accounts/{account}/providers/{provider}/reconciliations": [{}],
    "/v1/accounts/{account}/providers/{provider}/sub-users": [{}, {"gone": "true"}],
    "/v1/accounts/{account}/shadow/differences": [{}, {"dialect": "whitepages"}, {"dialect": "thordata"}],
    "/v1/accounts/{account}/webhooks": [{}, {"removed": "true"}],
    "/v1/accounts/{account}/webhooks/{webhook}/deliveries": [{}, {"state": "dead"}, {"state": "waiting"}],
    "/v1/webhooks": [{}, {"removed": "true"}],
    "/v1/webhooks/{webhook}/deliveries": [{}, {"state": "dead"}, {"state": "waiting"}],
    "/v1/accounts/{account}/purchases": [{}],
    "/v1/accounts/{account}/leases": [{}, {"kind": "isp"}, {"status": "active"}, {"status": "released"}],
    "/v1/accounts/{account}/leases/{lease}/actions": [{}, {"status": "requested"}, {"status": "done"}],
    "/v1/accounts/{account}/leases/{lease}/users": [{}],
    "/v1/actions": [{}, {"status": "requested"}, {"status": "done"}],
    "/v1/lease-plans": [{}, {"kind": "isp"}, {"retired": "true"}],
    "/v1/stock": [{}, {"kind": "isp"}, {"address": "192.0.2.1"}, {"country": "US"}, {"status": "leased"}],
    "/v1/stock/{stock}/leases": [{}],
    "/v1/accounts/{account}/check-ins": [{}],
    "/v1/accounts/{account}/credentials": [{}],
    "/v1/accounts/{account}/periods": [{}],
    PERIOD: [{}],
    "/v1/accounts/{account}/whitelist": [{}, {"pool": "traffic"}, {"pool": "mobile"}],
    "/v1/accounts/{account}/users/{user}/whitelist": [{}, {"pool": "traffic"}],
    "/v1/credentials": [{}],
    "/v1/places": [{}],
    "/v1/places/{product}": [{}, {"kind": "city"}, {"kind": "city", "country": "US"}, CITIES, {"kind": "asn"}],
    "/v1/plans": [{}, {"retired": "true"}],
    "/v1/gateways": [{}, {"product": "residential"}, {"product": "mobile"}],
    "/v1/providers": [{}, {"removed": "true"}],
    "/v1/senders": [{}, {"account": "acme"}, {"account": "globex"}],
    SOURCES: [{}, {"sender": "snd_1"}, {"sender": "snd_2"}],
    "/v1/audit": [
        {},
        {"action": "grant.give"},
        {"subject": "acme"},
        {"account": "acme"},
        {"credential": "crd_1"},
        {"until": "2027-01-01T00:00:00Z"},
    ],
    "/v1/accounts/{account}/audit": [
        {},
        {"action": "grant.give"},
        {"subject": "acme"},
        {"until": "2027-01-01T00:00:00Z"},
    ],
    HELD: [{}, {"source": "log"}, {"account": "acme"}, {"code": "time_in_future"}, {"sequence": "2"}],
    CHANGES: [{}, {"account": "acme"}, {"account": "globex"}],
    COUNTERS: [{"source": "box"}, {"source": "box", "prefix": "c"}, {"source": "other box"}],
}
# The smallest pages: every place is one where a page ends. A sample reads a long list in larger ones.
PAGES: Final = (1,) if SAMPLE else (1, 2)
LONG_PAGES: Final = (9,) if SAMPLE else PAGES
NEEDED: Final = {COUNTERS: {"source": "box"}}  # what it cannot be asked without


@dataclass
class Shop:
    """What one credential is shown of the stock, and what stands for the names in a path."""

    client: Client
    headers: dict[str, str]
    names: dict[str, dict[str, str]]

    def get(self, path: str, query: dict[str, str], account: str = "acme", **more: str) -> Any:
        names = self.names[account] | more
        if "{account}" not in path:
            names["webhook"] = names["ours"]
        url = path.format(**names)
        return self.client.get(url, params=NEEDED.get(path, {}) | query, headers=self.headers)

    def pages(self, path: str, query: dict[str, str], limit: int, account: str = "acme") -> list[tuple[list[Any], str]]:
        """Items and the cursor after them, to the end. What follows the last one is left empty."""
        found: list[tuple[list[Any], str]] = []
        for _ in range(500):
            at = {cursor_of(path): found[-1][1]} if found else {}
            answer = self.get(path, query | at | {"limit": str(limit)}, account)
            assert answer.status_code == 200, answer.text
            found.append(shown(path, answer.json()))
            if not found[-1][1]:
                return found
        raise AssertionError("it never ends")

    def cursor(self, path: str) -> str:
        """The one after the first item."""
        answer = self.get(path, ASKED[path][0] | {"limit": "1"})
        assert answer.status_code == 200, answer.text
        _, found = shown(path, answer.json())
        assert found
        return found


def shown(path: str, answer: Any) -> tuple[list[Any], str]:
    page = answer["adjustments"]["changes"] if path == PERIOD else answer
    return page["items"], page["next"] if page.get("more", True) and page["next"] else ""


def cursor_of(path: str) -> str:
    return "since" if path == CHANGES else "cursor"


@pytest.fixture
def held_events(usage: MemoryStore, app_ledger: Ledger, ingest: FakeIngest, tmp_path: Path) -> Iterator[None]:
    """Three of each of two sources; and four counters of each of two."""
    keys = Keys(tmp_path / "keys.db")
    numbers = [(keys.register(name, "numbered", "snd_1").no, n) for name in ("log", "edge") for n in (1, 2, 3)]
    keys.register("gw", "named", "snd_2")
    events = (
        Held(no, n, "", ("acme", "globex")[n % 2], "", 0, "time_in_future", "", 0, 0, b'{"source":"s","account":"a"}')
        for no, n in numbers
    )
    boxes = [keys.register(name, "counters", "snd_1").no for name in ("box", "other box")]
    run = Run("", 0, (1, 2, 3))
    counters = (
        KnownCounter(no, f"c{n}", Standing(n, run, 0, "", ("acme", "globex")[n % 2], "", "residential"), 1)
        for no in boxes
        for n in range(1, 5)
    )
    with keys.begin():
        keys.move(Moved(1, 0, 0, held=tuple(events), counters=tuple(counters)))
    ingest.lookup = Lookup(usage, keys, app_ledger)
    yield
    keys.close()


@pytest.fixture(scope="module")
def stocked(filling: Filling) -> Stock:
    with filling(check_in_bytes=10, max_users=0) as filled:
        return stock(filled)


@pytest.fixture(scope="module")
def ledger_of_admin(stocked: Stock) -> tuple[Path, str]:
    return stocked.filled.ledger_of_admin


@pytest.fixture
def usage(stocked: Stock) -> MemoryStore:
    return stocked.filled.copy_usage()


@pytest.fixture
def shop(make_client: Callable[..., Client], clock: Clock, stocked: Stock, held_events: None) -> Shop:
    clock.at = stocked.filled.clock.at
    client = make_client(check_in_bytes=10, max_users=0)
    return Shop(client, dict(client.headers), stocked.names)


def lists() -> dict[str, Operation]:
    """All operations that answer in pages."""
    return {op.path: op for op in OPERATIONS if {"cursor", "since"} & set(op.query.__struct_fields__)}


def test_every_list_is_here_and_every_parameter_that_selects() -> None:
    assert lists().keys() == ASKED.keys()
    for path, op in lists().items():
        said = {name for query in ASKED[path] for name in query}
        assert said == {
            field.encode_name for field in msgspec.structs.fields(op.query)
        } - NOTHING_SELECTED - INSTEAD.get(path, set()), path


def test_all_pages_together_are_the_whole_list(shop: Shop) -> None:
    for path, asked in ASKED.items():
        for query in asked:
            [(whole, _)] = shop.pages(path, query, 1_000)
            for limit in PAGES if len(whole) <= 30 else LONG_PAGES:
                assert [item for items, _ in shop.pages(path, query, limit) for item in items] == whole, (path, query)
            assert len(whole) >= 3 or query != asked[0], path


def test_a_cursor_is_refused_where_the_list_was_asked_otherwise(shop: Shop) -> None:
    for path, (first, *others) in ASKED.items():
        cursor = shop.cursor(path)
        answers = [shop.get(path, query | {cursor_of(path): cursor}) for query in others]
        if "{account}" in path:
            answers.append(shop.get(path, first | {cursor_of(path): cursor}, "globex"))
        if "{user}" in path:
            answers.append(shop.get(path, first | {cursor_of(path): cursor}, user="gus of acme"))
        for answer in answers:
            assert answer.status_code == 400, (path, answer.text)
            assert "of another account or other parameters" in answer.json()["detail"]


def test_a_cursor_of_another_list_is_refused(shop: Shop) -> None:
    cursors = {path: shop.cursor(path) for path in ASKED}
    for path in ASKED:
        for other in others(path, list(ASKED)):
            answer = shop.get(path, {cursor_of(path): cursors[other]})
            assert answer.status_code == 400, (path, other, answer.text)
            assert "is of" in answer.json()["detail"]


def others(path: str, known: list[str]) -> list[str]:
    """All other lists, the next one first; a sample takes each with a few."""
    at = known.index(path)
    return [*known[at + 1 :], *known[:at]][: sampled(len(known), 4)]


def test_a_cursor_from_before_a_restore_is_gone(shop: Shop, app_ledger: Ledger) -> None:
    cursors = {path: shop.cursor(path) for path in ASKED}
    with app_ledger.begin() as tx:
        bind(tx, "the same", "another generation")
    for path, cursor in cursors.items():
        answer = shop.get(path, {cursor_of(path): cursor})
        assert (answer.status_code, answer.json()["code"]) == (410, "cursor_gone"), path
        assert "Begin again" in answer.json()["detail"]
        assert shop.get(path, {cursor_of(path): shop.cursor(path)}).status_code == 200


def test_what_is_no_cursor_is_told(shop: Shop) -> None:
    for path in ASKED:
        for cursor in GARBAGE:
            answer = shop.get(path, {cursor_of(path): cursor})
            assert answer.status_code == 400, (path, cursor, answer.text)
            assert len(answer.json()["detail"]) < 400


@pytest.mark.parametrize(
    "place", [None, -1, "a\x00", [[]], 2.5, {}, [2**63, 1], [1, 2**63], [1, -1], [-1], [1, 1, 2**60]]
)
def test_a_place_that_no_list_has_is_refused(shop: Shop, place: Any) -> None:
    """A cursor is no secret: anybody can make one with a check sum that fits."""
    period = shop.names["acme"]["period"]
    [me] = [one["id"] for one in shop.get("/v1/credentials", {}).json()["items"] if one["name"] == "tests"]
    for path, walk in {
        HELD: Walk("held", "", (me, None, None, None, "")),
        "/v1/accounts": Walk("accounts", ""),
        CHANGES: Walk("changes", "", (None,)),
        PERIOD: Walk("period changes", "", ("acme", period)),
    }.items():
        assert shop.get(path, {cursor_of(path): walk.cursor("a" if path == "/v1/accounts" else [1, 1])}).is_success
        assert shop.get(path, {cursor_of(path): walk.cursor(place)}).status_code == 400


def test_a_cursor_shows_an_account_nothing_of_another(shop: Shop) -> None:
    cursors = {
        path: shop.cursor(path) for path, op in lists().items() if "account" in op.scopes and path not in TOLD_TO_ALL
    }
    assert len(cursors) > 8
    shop.headers = token_of(shop.client, "/v1/accounts/globex/credentials", scope="account")
    for path, cursor in cursors.items():
        assert shop.get(path, {cursor_of(path): cursor}, "globex").status_code == 400, path
        assert shop.get(path, {cursor_of(path): cursor}).status_code == (404 if "{account}" in path else 400), path


def test_what_asks_for_one_thing_takes_no_cursor(shop: Shop) -> None:
    for more in ({"cursor": shop.cursor(SOURCES)}, {"sender": "snd_1"}):
        assert shop.get(SOURCES, {"source": "log"} | more).status_code == 400


def test_a_number_of_a_block_is_told_how_to_ask_instead(shop: Shop) -> None:
    for since in ("4711", "3.5", "9" * 19):
        answer = shop.get(CHANGES, {"since": since})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_range")
        assert "a bare number is no cursor" in answer.json()["detail"]
    assert shop.get(CHANGES, {"since": "0"}).json()["items"] == shop.get(CHANGES, {}).json()["items"]


def test_the_pages_of_a_period_may_be_asked_as_of_the_first(shop: Shop, usage: MemoryStore) -> None:
    """Without `as_of` what came meanwhile is at the end; with that of the first page it is not there."""
    first = shop.get(PERIOD, {"limit": "2"}).json()
    late = usage.published().block + 1
    usage.append(block(late, {"account": "acme", "time": NOW - 73 * DAY_MS}, received_at=NOW + DAY_MS))
    rest = {"cursor": first["adjustments"]["changes"]["next"]}
    now = shop.get(PERIOD, rest).json()["adjustments"]["changes"]["items"]
    then = shop.get(PERIOD, rest | {"as_of": first["as_of"]["token"]}).json()["adjustments"]["changes"]["items"]
    assert [one["block"] for one in now] == [*(one["block"] for one in then), late]
    assert then

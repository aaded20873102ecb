"""Every documented code, provoked; HTTP 200 and the envelope in every case."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import msgspec
import pytest
from tests.conftest import Client, Clock
from tests.filling import Filled
from tests.vendors.ipfoxy.conftest import fox_of, make_reseller
from tests.vendors.ipfoxy.fox import BASE, Fox

from flowtally.core import errors
from flowtally.vendors.ipfoxy import IPFOXY, dialect, wire
from flowtally.vendors.ipfoxy.settings import Settings

FLOW = "get-sub-account-flow"
LIST = "get-account-use-flow-list"
RANGE = {"account": "reseller01", "start_time": "1773000000", "end_time": "1773500000", "unit": "1"}
WRITES = {route.path.removeprefix(BASE): dict(route.takes_example) for route in IPFOXY.routes if route.writes}
DOCUMENTED = {60400, 60401, 60300, 60500, 50000, 10086, 60600, 17001, 17002, 17003, 17004, 17011, 17012, 8700}
READS = [route.path.removeprefix(BASE) for route in IPFOXY.routes if not route.writes]


@pytest.fixture(scope="module")
def refused(shared: Filled) -> Fox:
    """Whose requests are refused, or change nothing; of one installation for all."""
    return make_reseller(shared.client, "reseller01")


@pytest.mark.parametrize(
    "shown", [{}, {"api-id": ""}, {"api-token": ""}, {"api-id": "crd_1"}, {"api-token": "x"}, {"api-id": "ü"}]
)
def test_60401_unless_both_headers_are_there_and_right(refused: Fox, shown: dict[str, str]) -> None:
    headers = {k.encode(): v.encode() for k, v in (refused.headers | shown).items()} if shown else {}
    answer = refused.client.get(f"{BASE}{FLOW}", params={"account": "reseller01"}, headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (200, 60401, {})


def test_60401_for_the_id_or_token_of_another_credential_and_one_that_was_revoked(fox: Fox, client: Client) -> None:
    other = fox_of(client, "reseller01")
    for mixed in (Fox(client, fox.id, other.token), Fox(client, other.id, fox.token)):
        assert mixed.refused("GET", FLOW, account="reseller01") == 60401
    assert other.get(FLOW, account="reseller01")
    assert client.post(f"/v1/credentials/{other.id}/revoke").status_code == 200
    assert other.refused("GET", FLOW, account="reseller01") == 60401


@pytest.mark.parametrize("name", WRITES)
def test_60401_for_a_credential_that_only_reads(refused: Fox, shared: Filled, name: str) -> None:
    reader = fox_of(shared.client, "reseller01", "account")
    assert reader.get(FLOW, account="reseller01")
    assert reader.refused("POST", name, **WRITES[name]) == 60401
    assert reader.refused("POST", name) == 60401  # before parameters are looked at


@pytest.mark.parametrize(
    "wrong",
    [{"account": "nobody"}, {"unit": "3"}, {"start_time": "1773500001"}, {"start_time": "1773000000000"},
     {"start_time": "1700000000"}, {"page": "0"}, {"page_size": "101"}, {"timezone_offset": "8.5"}, {"end_time": ""}],
)  # fmt: skip
def test_60400_for_a_wrong_parameter_and_an_account_that_is_not_the_callers(
    refused: Fox, wrong: dict[str, str]
) -> None:
    assert refused.refused("GET", LIST, **RANGE | wrong) == 60400


@pytest.mark.parametrize("name", [*WRITES, LIST, FLOW, "residential-data-history"])
def test_60400_where_parameters_are_missing(refused: Fox, name: str) -> None:
    assert refused.refused("POST" if name in WRITES else "GET", name) == 60400


def test_60300_where_the_balance_does_not_cover_it(refused: Fox) -> None:
    assert refused.refused("POST", "create-sub-account", **WRITES["create-sub-account"] | {"flow": "102401"}) == 60300


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"<a/>", "text/xml"),
        (b"--x\r\nno form", "multipart/form-data; boundary=x"),
        (b"account=%ff", "application/x-www-form-urlencoded"),
    ],
)
def test_10086_for_a_body_that_cannot_be_read(refused: Fox, content: bytes, kind: str) -> None:
    headers = refused.headers | {"content-type": kind}
    answer = refused.client.request("POST", f"{BASE}update-pass", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (200, 10086)


def test_10086_for_a_body_that_is_too_large_and_the_connection_ends(make_client: Callable[..., Client]) -> None:
    fox = make_reseller(make_client(max_json_bytes=2000), "reseller01")
    answer = fox.client.request("POST", f"{BASE}update-pass", content=b"x" * 2001, headers=fox.headers)
    assert (answer.status_code, answer.json()["code"], answer.headers["connection"]) == (200, 10086, "close")


def test_50000_for_the_61st_request_in_any_minute_whatever_it_asks(
    make_client: Callable[..., Client], clock: Clock
) -> None:
    client = make_client(vendors={"ipfoxy": Settings(requests_per_minute=60)})
    fox = make_reseller(client, "reseller01")
    for number in range(60):
        clock.at += 100
        fox.get(FLOW if number % 2 else "account-info", account="reseller01")
    assert fox.refused("GET", "account-info") == 50000
    assert fox.refused("GET", LIST) == 50000  # before parameters are looked at
    assert fox_of(client, "reseller01").get("account-info")
    clock.at += 60_000 - 59 * 100
    assert fox.get("account-info")
    assert fox.refused("GET", "account-info") == 50000


def test_60500_for_a_fault_inside_without_a_trace(fox: Fox, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    services = client.app.state.services

    class Broken:
        def sums(self, *args: object, **kwargs: object) -> object:
            raise RuntimeError("a secret of the server")

    client.app.state.services = msgspec.structs.replace(services, usage=Broken())
    told = fox.ask("GET", FLOW, params={"account": "reseller01"})
    assert (told["code"], told["data"]) == (60500, {})
    assert "secret" not in told["msg"]
    form = WRITES["create-sub-account"]
    assert fox.refused("POST", "create-sub-account", **form) == 60500
    client.app.state.services = services
    assert fox.post("create-sub-account", **form)["account"] == form["account"]  # and the key was not used up


def test_a_method_that_is_not_served_is_405_and_an_unknown_path_404(refused: Fox) -> None:
    answer = refused.client.post(f"{BASE}{FLOW}", headers=refused.headers)
    assert (answer.status_code, answer.json()["code"]) == (405, 10086)
    for path in ("dynamic-user-region", "nothing"):
        assert refused.client.get(f"{BASE}{path}", headers=refused.headers).status_code == 404


def test_every_error_of_ours_has_a_code_of_theirs() -> None:
    def below(kind: type[errors.FlowtallyError]) -> list[type[errors.FlowtallyError]]:
        return [kind, *(found for sub in kind.__subclasses__() for found in below(sub))]

    for kind in below(errors.FlowtallyError):
        made = kind.__new__(kind)
        errors.FlowtallyError.__init__(made, "why")
        assert dialect.code_of(made) in DOCUMENTED, kind
        assert (dialect.code_of(made) == wire.FAULT) == (kind.status >= 500), kind


def test_each_documented_code_is_shown_in_the_description() -> None:
    shown = {httpx.Response(200, content=fault.reply.content).json()["code"] for fault in IPFOXY.faults}
    assert shown == DOCUMENTED

"""Both clients: what is asked, what is answered, what is retried."""

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
import zstandard

from flowtally import protocol as p
from flowtally.api.application import MODULES
from flowtally.client import ApiError, AsyncClient, Client, Unreachable, calls
from flowtally.client.wire import Wire, retry_after_s
from flowtally.core.errors import ConfigError, FlowtallyError
from flowtally.providers.checks import CHECK_S
from flowtally.web.operation import OPERATIONS

T = TypeVar("T")
TOKEN = "ft_very-secret"
ACCOUNT = {"id": "acme", "name": "", "timezone": "UTC", "status": "active", "carry_from": "x", "overage": "carry",
           "created_at": "x"}  # fmt: skip
GRANT = {"id": "g1", "account": "acme", "pool": "traffic", "amount": 1, "source": "manual", "reference": "",
         "priority": 100, "starts_at": "x", "expires_at": None, "created_at": "x", "voided_at": None}  # fmt: skip
VOUCHER = {"id": "vch_1", "account": "a", "code": "x", "pool": "traffic", "amount": 1, "duration_s": 9,
           "status": "unused", "created_at": "x", "ended_at": None, "redeemed_by": None}  # fmt: skip
CHECK_IN = {"account": "a", "day": "x", "timezone": "UTC", "checked_in_at": "x", "grant": "g1", "amount": 1,
            "expires_at": "x", "next_at": "y"}  # fmt: skip
CREDENTIAL: dict[str, Any] = {
    "id": "c1", "scope": "ingest", "account": None, "name": "", "created_at": "x", "revoked_at": None,
    "expires_at": None, "last_used_at": None, "rights": [], "addresses": []}  # fmt: skip
SENDER = {"id": "s1", "account": None, "name": "", "created_at": "x"}
SOURCE = {"source": "a", "kind": "numbered", "sender": "s1", "sequence": 1, "position": None}
ENTRY = {"id": "t1", "account": "a", "kind": "deposit", "amount_micros": 5, "currency": "USD", "reference": "",
         "reason": "", "created_at": "x"}  # fmt: skip
PLAN = {"id": "m", "name": "M", "pool": "traffic", "amount": 1, "price_micros": 5, "currency": "USD", "days": None,
        "status": "active", "created_at": "x", "retired_at": None}  # fmt: skip
BOUGHT = {"id": "o1", "account": "a", "plan": "m", "name": "M", "pool": "traffic", "amount": 1, "price_micros": 5,
          "currency": "USD", "transfer": "t1", "grant": "g1", "created_at": "x", "expires_at": None}  # fmt: skip
GATEWAY = {"id": "g", "product": "mobile", "host": "h", "first_port": 1, "last_port": 2, "session": "rotating",
           "hold_s": None, "country": "", "state": "", "city": "", "created_at": "x"}  # fmt: skip
WEBHOOK: dict[str, Any] = {
    "id": "w", "account": None, "url": "https://h", "types": [], "description": "", "state": "active", "detail": "",
    "created_at": "x", "failing_since": None, "delivered_at": None, "held_until": None, "old_secret_until": None,
    "removed_at": None}  # fmt: skip
TRIED = {"webhook": "w", "message": "m", "ok": True, "status": 204, "detail": "", "duration_ms": 5, "signed": "m.1.{}",
         "answer": None}  # fmt: skip
ENDPOINTS: dict[str, Any] = {"account": "a", "product": "mobile", "endpoints": [], "fitting": 0}
WALLET = {"account": "a", "balance_micros": 5, "currency": "USD"}
POOL = {"name": "mobile", "charge": "bytes", "products": []}
PRODUCT = {"product": "m", "pool": "mobile"}
USAGE = {"account": "acme", "from": "x", "to": "y", "timezone": "UTC", "bucket": "day", "rows": [],
         "total": {"bytes_up": 0, "bytes_down": 0, "bytes": 0, "requests": 0}}  # fmt: skip
OVERALL = {name: value for name, value in USAGE.items() if name != "account"} | {"accounts": None}
BALANCE = {"account": "acme", "at": "x", "pools": {}, "grants": []}
PURSE = {"account": "acme", "user": "al", "user_id": "usr_1", "at": "x", "status": "active", "funded": True,
         "limit": None, "pools": {}, "allocations": []}  # fmt: skip
EXPLAINED = {"account": "a", "at": "x", "block": 1, "pools": {}, "user": "al", "user_id": "usr_1"}
PASSWORD = {"account": "a", "user_id": "usr_1", "user": "al", "password": "secret"}
WHITELISTED = {"account": "a", "user": None, "user_id": None, "pool": "traffic", "address": "::1", "enabled": True,
               "created_at": "x", "changed_at": "x"}  # fmt: skip
STATEMENT = {"products": [], "pools": [], "total": USAGE["total"], "balance": {}, "grants": [], "adjustments": []}
PERIOD = {"id": "per_1", "account": "a", "number": 1, "from": "x", "to": "y", "timezone": "UTC", "block": 1,
          "closed_at": "x", "statement": STATEMENT}  # fmt: skip


class Recorder:
    """Answers in order, and keeps what was asked."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def client(self, retry_s: float = 5) -> Client:
        return Client("http://f.test:1/", TOKEN, retry_s=retry_s, transport=httpx.MockTransport(self))

    def async_client(self, retry_s: float = 5) -> AsyncClient:
        return AsyncClient("http://f.test:1/", TOKEN, retry_s=retry_s, transport=httpx.MockTransport(self))


CALLS: list[tuple[str, str, Callable[[Client], object], object]] = [
    ("POST", "/v1/accounts", lambda c: c.create_account(p.AccountRequest(id="acme")), ACCOUNT),
    ("GET", "/v1/accounts/a%2F..%2Fb%20%C3%BC", lambda c: c.account("a/../b ü"), ACCOUNT),
    ("GET", "/v1/accounts/%2E%2E", lambda c: c.account(".."), ACCOUNT),
    ("PATCH", "/v1/accounts/acme", lambda c: c.change_account("acme", p.AccountChange(name="A")), ACCOUNT),
    ("GET", "/v1/accounts/acme/usage", lambda c: c.usage("acme"), USAGE),
    ("POST", "/v1/accounts/acme/grants", lambda c: c.give_grant("acme", p.GrantRequest(amount=1)), GRANT),
    ("GET", "/v1/accounts/acme/grants/g1", lambda c: c.grant("acme", "g1"), GRANT),
    ("POST", "/v1/accounts/acme/grants/g1/void", lambda c: c.void_grant("acme", "g1"), GRANT),
    ("POST", "/v1/accounts/a/vouchers", lambda c: c.create_vouchers("a", p.VoucherRequest(1)), {"items": [VOUCHER]}),
    ("GET", "/v1/accounts/a/vouchers/vch_1", lambda c: c.voucher("a", "vch_1"), VOUCHER),
    ("POST", "/v1/accounts/a/vouchers/vch_1/revoke", lambda c: c.revoke_voucher("a", "vch_1"), VOUCHER),
    ("POST", "/v1/accounts/a/redemptions", lambda c: c.redeem_voucher("a", p.RedemptionRequest("x")), GRANT),
    ("POST", "/v1/accounts/a/check-ins", lambda c: c.check_in("a"), CHECK_IN),
    ("GET", "/v1/usage?top=3&account=a&account=b", lambda c: c.overall_usage(top=3, accounts=["a", "b"]), OVERALL),
    ("GET", "/v1/accounts/acme/balance?as_of=7", lambda c: c.balance("acme", as_of="7"), BALANCE),
    ("GET", "/v1/accounts/acme/users/al/balance?as_of=7", lambda c: c.user_balance("acme", "al", as_of="7"), PURSE),
    ("GET", "/v1/accounts/a/users/al/password", lambda c: c.user_password("a", "al"), PASSWORD),
    ("GET", "/v1/accounts/a/users/al/explain?top=2", lambda c: c.explain_user("a", "al", top=2), EXPLAINED),
    ("POST", "/v1/accounts/a/periods", lambda c: c.close_period("a", p.PeriodRequest("x", "y")), PERIOD),
    ("GET", "/v1/accounts/a/wallet", lambda c: c.wallet("a"), WALLET),
    ("POST", "/v1/accounts/a/wallet/deposits", lambda c: c.deposit("a", p.DepositRequest(5)), ENTRY),
    ("POST", "/v1/accounts/a/wallet/adjustments", lambda c: c.adjust_wallet("a", p.AdjustmentRequest(5, "y")), ENTRY),
    ("POST", "/v1/plans", lambda c: c.create_plan(p.PlanRequest("M", 1, 5)), PLAN),
    ("GET", "/v1/plans/m%2Fn", lambda c: c.plan("m/n"), PLAN),
    (
        "GET",
        "/v1/accounts/a/endpoints?product=mobile&number=3",
        lambda c: c.endpoints("a", product="mobile", number=3),
        ENDPOINTS,
    ),
    ("POST", "/v1/gateways", lambda c: c.add_gateway(p.GatewayRequest("mobile", "h", 1)), GATEWAY),
    ("GET", "/v1/gateways/g%2Fh", lambda c: c.gateway("g/h"), GATEWAY),
    ("DELETE", "/v1/gateways/g", lambda c: c.remove_gateway("g"), GATEWAY),
    ("POST", "/v1/webhooks", lambda c: c.add_webhook(p.WebhookRequest("https://h")), WEBHOOK | {"secret": "s"}),
    ("POST", "/v1/accounts/a%2Fb/webhooks", lambda c: c.add_webhook(p.WebhookRequest("https://h"), "a/b"), WEBHOOK),
    ("GET", "/v1/webhooks/w", lambda c: c.webhook("w"), WEBHOOK),
    ("PATCH", "/v1/webhooks/w", lambda c: c.change_webhook("w", p.WebhookChange(enabled=False)), WEBHOOK),
    ("DELETE", "/v1/accounts/a/webhooks/w", lambda c: c.remove_webhook("w", "a"), WEBHOOK),
    ("POST", "/v1/webhooks/w/rotate", lambda c: c.rotate_webhook("w", p.WebhookRotation(60)), WEBHOOK),
    ("POST", "/v1/accounts/a/webhooks/w/test", lambda c: c.check_webhook("w", "a"), TRIED),
    ("POST", "/v1/webhooks/w/replay", lambda c: c.replay_webhook("w", p.WebhookReplay("d")), {"replayed": 1}),
    ("POST", "/v1/plans/m/retire", lambda c: c.retire_plan("m"), PLAN),
    ("POST", "/v1/accounts/a/purchases", lambda c: c.buy_plan("a", p.PurchaseRequest("m")), BOUGHT),
    ("GET", "/v1/accounts/a/purchases/o1", lambda c: c.purchase("a", "o1"), BOUGHT),
    (
        "DELETE",
        "/v1/accounts/a/whitelist/traffic/10.0.0.0%2F8",
        lambda c: c.remove_from_whitelist("a", "traffic", "10.0.0.0/8"),
        WHITELISTED,
    ),
    (
        "PUT",
        "/v1/accounts/a/users/al/whitelist/mobile/%3A%3A1",
        lambda c: c.put_on_whitelist("a", "mobile", "::1", p.WhitelistChange(), "al"),
        WHITELISTED,
    ),
    (
        "PUT",
        "/v1/accounts/a/whitelist/mobile",
        lambda c: c.replace_whitelist("a", "mobile", p.WhitelistRequest(["::1"])),
        {"items": [], "next": None},
    ),
    ("POST", "/v1/credentials", lambda c: c.create_credential(None, p.CredentialRequest("ingest")), CREDENTIAL),
    ("POST", "/v1/accounts/a/credentials", lambda c: c.create_credential("a", p.CredentialRequest()), CREDENTIAL),
    ("GET", "/v1/credentials/c1", lambda c: c.credential("c1"), CREDENTIAL),
    ("GET", "/v1/credential", lambda c: c.own_credential(), CREDENTIAL),
    ("PATCH", "/v1/credentials/c1", lambda c: c.change_credential("c1", p.CredentialChange(name="x")), CREDENTIAL),
    (
        "PATCH",
        "/v1/accounts/a/credentials/c1",
        lambda c: c.change_credential("c1", p.CredentialChange(), "a"),
        CREDENTIAL,
    ),
    ("POST", "/v1/credentials/c1/rotate", lambda c: c.rotate_credential("c1"), CREDENTIAL),
    (
        "POST",
        "/v1/accounts/a/credentials/c1/rotate",
        lambda c: c.rotate_credential("c1", p.RotateRequest(overlap_s=0), "a"),
        CREDENTIAL,
    ),
    ("POST", "/v1/credentials/c1/revoke", lambda c: c.revoke_credential("c1"), CREDENTIAL),
    ("POST", "/v1/accounts/a/credentials/c1/revoke", lambda c: c.revoke_credential("c1", "a"), CREDENTIAL),
    ("GET", "/v1/senders/s1", lambda c: c.sender("s1"), SENDER),
    ("PATCH", "/v1/senders/s1", lambda c: c.rename_sender("s1", "gw"), SENDER),
    (
        "POST",
        "/v1/sources/overlaps",
        lambda c: c.overlaps("a", [p.PlainEvent("b", "acme", sequence=1)]),
        {"overlaps": [{"index": 0, "sources": ["b"]}], "unknown_before": None},
    ),
    (
        "GET",
        "/v1/events/accounts?account=a&account=b%26",
        lambda c: c.taken_accounts(["a", "b&"]),
        {"accounts": [{"account": "a", "takes": True, "code": "", "detail": ""}]},
    ),
    ("POST", "/v1/sources/hand-over", lambda c: c.hand_over_source("a b&", "s1"), SOURCE),
    ("PUT", "/v1/pools/mobile", lambda c: c.create_pool("mobile", p.PoolRequest("bytes")), POOL),
    ("PUT", "/v1/products/m", lambda c: c.map_product("m", p.ProductRequest("mobile")), PRODUCT),
    ("GET", "/v1/sources?source=a+b%26", lambda c: c.source("a b&"), {"source": "a", "sequence": 1, "position": None}),
]


@pytest.mark.parametrize(("method", "path", "call", "answer"), CALLS)
def test_every_call_asks_its_path_and_types_the_answer(
    method: str, path: str, call: Callable[[Client], object], answer: object
) -> None:
    server = Recorder(answer)
    got = call(server.client())
    assert isinstance(got, msgspec.Struct)
    asked = server.asked[0]
    assert (asked.method, asked.url.raw_path.decode()) == (method, path)
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert ("Idempotency-Key" in asked.headers) == (method != "GET")


@pytest.mark.parametrize(("method", "path", "call", "answer"), CALLS)
def test_the_asynchronous_client_asks_and_answers_the_same(
    method: str, path: str, call: Callable[[Any], Any], answer: object
) -> None:
    server, other = Recorder(answer), Recorder(answer)
    assert asyncio.run(awaited(call(server.async_client()))) == call(other.client())
    asked, same = server.asked[0], other.asked[0]
    assert (asked.method, asked.url, asked.content) == (same.method, same.url, same.content)
    ignored = {"idempotency-key"}
    assert {**asked.headers, **dict.fromkeys(ignored)} == {**same.headers, **dict.fromkeys(ignored)}


def test_a_call_without_an_answer_says_nothing_and_is_asked_alike() -> None:
    sent = {"User-Name": "alice", "Acct-Status-Type": "Start"}
    for client in ("client", "async_client"):
        server = Recorder(httpx.Response(204))
        done: Any = getattr(server, client)().send_accounting(sent, account="acme", interval_s=300)
        assert (asyncio.run(awaited(done)) if client == "async_client" else done) is None
        asked = server.asked[0]
        assert asked.url.raw_path == b"/v1/radius/accounting?account=acme&interval_s=300"
        assert msgspec.json.decode(asked.content) == sent


def test_every_operation_is_in_both_clients_under_its_name() -> None:
    names = {name for name, one in vars(calls).items() if is_operation(name, one)}
    assert len(names) > 20
    for client in (Client, AsyncClient):
        missing = {name for name in names if getattr(getattr(client, name, None), "__name__", "") != name}
        assert not missing, f"{client.__name__}: add a line for each"
        strays = {
            name for name, one in vars(client).items() if name in names and one.__doc__ != vars(calls)[name].__doc__
        }
        assert not strays


def test_both_clients_have_the_same_methods_parameters_and_words() -> None:
    def shown(client: type) -> dict[str, tuple[str, str | None]]:
        public = {name: one for name, one in vars(client).items() if callable(one) and not name.startswith("_")}
        taken = {name: [str(one) for one in inspect.signature(public[name]).parameters.values()] for name in public}
        return {name: (re.sub(r"Async|Awaitable\[(\w+)\]", r"\1", str(taken[name])), public[name].__doc__)
                for name in public}  # fmt: skip

    assert shown(Client) == shown(AsyncClient)
    assert {"close", "do", "do_counted", "each", "healthy", "once", "ready", "stream", "told"} < shown(Client).keys()


def is_operation(name: str, one: object) -> bool:
    return inspect.isfunction(one) and one.__module__ == calls.__name__ and not name.startswith("_")


def made(name: str) -> set[tuple[str, str]]:
    """Method and path of an operation's calls, with `x` for every name; without an account, where it may be None."""
    operation = vars(calls)[name]
    asked: dict[str, object] = {"events": b"", "request": {}, "change": p.AccountChange()}
    shown = inspect.signature(operation).parameters
    given = {one.name: asked.get(one.name, "x") for one in shown.values() if one.kind is one.POSITIONAL_OR_KEYWORD}
    made = [operation(**given)]
    if "account" in shown and "None" in str(shown["account"].annotation):
        made.append(operation(**given | {"account": None}))
    if "user" in shown and "None" in str(shown["user"].annotation):
        made.append(operation(**given | {"user": None}))
    return {(getattr(one, "method", "GET"), one.path) for one in made}


def test_every_operation_of_the_api_is_a_call() -> None:
    names = [name for name, one in vars(calls).items() if is_operation(name, one)]
    assert MODULES, "the import declares the operations"
    known = set[tuple[str, str]]().union(*map(made, names))
    offered = {(one.method, re.sub(r"\{[^}]*\}", "x", one.path)) for one in OPERATIONS if one.path.startswith("/v1")}
    assert offered - known == set(), "add a function to client/calls.py"
    assert known - offered == set(), "nobody answers this"


def test_a_range_is_said_in_the_words_of_the_api_too() -> None:
    for said in ({"start": "2026-03-01", "end": "2026-04-01"}, {"from_": "2026-03-01", "to": "2026-04-01"}):
        for call in (calls.usage("acme", **said), calls.overall_usage(**said), calls.export("acme", **said)):  # type: ignore[arg-type]
            assert (call.query["from"], call.query["to"]) == ("2026-03-01", "2026-04-01")
    with pytest.raises(TypeError, match="from_ says the same as another argument"):
        calls.usage("acme", start="2026-03-01", from_="2026-03-02")


def test_help_shows_what_a_method_takes() -> None:
    assert str(inspect.signature(Client("http://x").balance)).endswith("-> 'p.BalanceAnswer'")
    assert list(inspect.signature(AsyncClient.balance).parameters) == ["self", "account", "at", "as_of"]


async def awaited(answer: Awaitable[T]) -> T:
    return await answer


@pytest.mark.parametrize("method", ["accounts", "pools", "products", "credentials", "senders", "sources"])
def test_lists_are_read_page_by_page(method: str) -> None:
    items = {"accounts": ACCOUNT, "pools": POOL, "products": PRODUCT, "credentials": CREDENTIAL, "senders": SENDER}
    item = (items | {"sources": SOURCE})[method]
    server = Recorder({"items": [item, item], "next": "c2"}, {"items": [item], "next": None})
    assert len(list(getattr(server.client(), method)())) == 3
    assert [request.url.params.get("cursor") for request in server.asked] == [None, "c2"]


def test_lists_are_read_page_by_page_on_an_event_loop_too() -> None:
    server = Recorder({"items": [ACCOUNT, ACCOUNT], "next": "c2"}, {"items": [ACCOUNT], "next": None})

    async def read() -> list[p.AccountAnswer]:
        return [account async for account in server.async_client().accounts()]

    assert len(asyncio.run(read())) == 3
    assert [request.url.params.get("cursor") for request in server.asked] == [None, "c2"]


def test_a_change_names_only_what_changes() -> None:
    server = Recorder(ACCOUNT)
    server.client().change_account("acme", p.AccountChange(status="closed"))
    assert json.loads(server.asked[0].content) == {"status": "closed"}


def test_a_usage_question_is_put_in_the_apis_words() -> None:
    server = Recorder(USAGE)
    server.client().usage("acme", start="2026-01-01", end=None, by=["user", "label:a"], users=["b,c"], bucket="day")
    asked = server.asked[0].url.params.multi_items()
    assert asked == [("from", "2026-01-01"), ("by", "user"), ("by", "label:a"), ("user", "b,c"), ("bucket", "day")]


@pytest.mark.parametrize(
    ("series", "asked"), [("thor", ["thor"]), (["metered", "thor"], ["metered", "thor"]), ([], [])]
)
def test_one_series_is_asked_for_or_several(series: Any, asked: list[str]) -> None:
    server = Recorder(USAGE)
    server.client().usage("acme", series=series, by=["series"])
    assert server.asked[0].url.params.get_list("series") == asked


def test_usage_as_csv_is_handed_on_as_it_is() -> None:
    server = Recorder(httpx.Response(200, content=b"start,end\r\n"))
    assert server.client().usage_csv("acme", tz="UTC") == b"start,end\r\n"
    assert server.asked[0].headers["Accept"] == "text/csv"


def test_events_travel_as_compressed_lines() -> None:
    server = Recorder({"stored": 50, "duplicate": 0, "conflict": 0, "refused": 0, "receipts": []})
    events = [p.PlainEvent(source="s", account="a", sequence=number) for number in range(1, 51)]
    server.client().send_events(events, atomic=True, all_receipts=True)
    asked = server.asked[0]
    body = zstandard.ZstdDecompressor().decompress(asked.content)
    assert msgspec.json.Decoder(p.PlainEvent).decode_lines(body) == events
    assert asked.headers["Content-Type"] == "application/x-ndjson"
    assert dict(asked.url.params) == {"atomic": "true", "receipts": "all"}


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(503, headers={"Retry-After": "0"}),
        httpx.Response(429, headers={"Retry-After": "0"}),
        httpx.Response(502),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
)
def test_passing_trouble_is_retried_with_the_same_key(trouble: object) -> None:
    server = Recorder(trouble, trouble, ACCOUNT)
    server.client().create_account(p.AccountRequest())
    assert len(server.asked) == 3
    assert len({request.headers["Idempotency-Key"] for request in server.asked}) == 1
    assert len({request.content for request in server.asked}) == 1


def test_passing_trouble_is_retried_on_an_event_loop_too() -> None:
    server = Recorder(httpx.Response(503, headers={"Retry-After": "0"}), httpx.ReadError("reset"), ACCOUNT)
    asyncio.run(awaited(server.async_client().create_account(p.AccountRequest())))
    assert len(server.asked) == 3
    assert len({request.headers["Idempotency-Key"] for request in server.asked}) == 1
    with pytest.raises(Unreachable):
        asyncio.run(awaited(Recorder(httpx.ConnectError("refused")).async_client(retry_s=0).balance("acme")))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Sun, 01 Mar 2026 00:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 00:00:00 GMT", 0),
        ("Sat, 28 Feb 2026 00:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(header: str, seconds: int | None) -> None:
    assert retry_after_s(header, 1772323200.0) == seconds


class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"start,"
        raise httpx.ReadError("reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def test_a_large_answer_is_read_as_it_comes_and_a_broken_one_is_not_taken_for_whole() -> None:
    call = calls.usage_csv("acme")
    server = Recorder(httpx.ReadError("reset"), httpx.Response(200, content=b"start,end\r\n", headers={"X-Rows": "0"}))
    with server.client().stream(call) as answer:
        assert (answer.headers["x-rows"], b"".join(answer.pieces)) == ("0", b"start,end\r\n")
    with (
        Recorder(httpx.Response(200, stream=Breaking())).client().stream(call) as answer,
        pytest.raises(Unreachable, match="broke its answer off: ReadError reset"),
    ):
        list(answer.pieces)
    refusing = Recorder(httpx.Response(404, json={"code": "unknown_account", "detail": "who?"})).client()
    with pytest.raises(ApiError, match="who"), refusing.stream(call):
        pass


def test_a_large_answer_is_read_as_it_comes_on_an_event_loop_too() -> None:
    async def read(server: Recorder) -> bytes:
        async with server.async_client().stream(calls.usage_csv("acme")) as answer:
            return b"".join([piece async for piece in answer.pieces])

    assert (
        asyncio.run(read(Recorder(httpx.ReadError("reset"), httpx.Response(200, content=b"start,end")))) == b"start,end"
    )
    with pytest.raises(Unreachable, match="broke its answer off"):
        asyncio.run(read(Recorder(httpx.Response(200, stream=Breaking()))))
    with pytest.raises(ApiError, match="who"):
        asyncio.run(read(Recorder(httpx.Response(404, json={"code": "unknown_account", "detail": "who?"}))))


def test_two_calls_have_two_keys() -> None:
    server = Recorder(ACCOUNT)
    client = server.client()
    client.create_account(p.AccountRequest())
    client.create_account(p.AccountRequest())
    assert len({request.headers["Idempotency-Key"] for request in server.asked}) == 2


def test_retrying_ends() -> None:
    with pytest.raises(Unreachable, match=r"http://f\.test:1 does not answer: ConnectError refused"):
        Recorder(httpx.ConnectError("refused")).client(retry_s=0.05).pools().__next__()
    server = Recorder(httpx.Response(503, json={"code": "storage_full", "detail": "no room"}))
    with pytest.raises(ApiError, match="no room") as caught:
        server.client(retry_s=0.05).balance("acme")
    assert (caught.value.code, caught.value.status) == ("storage_full", 503)


def test_a_server_that_asks_for_too_much_patience_is_not_waited_for() -> None:
    server = Recorder(httpx.Response(503, headers={"Retry-After": "3600"}, json={"code": "x", "detail": "later"}))
    with pytest.raises(ApiError) as caught:
        server.client().balance("acme")
    assert (len(server.asked), caught.value.retry_after_s) == (1, 3600)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_a_refusal_is_final_and_keeps_the_problem(status: int) -> None:
    server = Recorder(httpx.Response(status, json={"code": "some_code", "detail": "why", "mark": 7}))
    with pytest.raises(FlowtallyError) as caught:
        server.client().balance("acme")
    error = caught.value
    assert isinstance(error, ApiError)
    assert (error.code, error.status, error.detail, error.problem["mark"]) == ("some_code", status, "why", 7)
    assert len(server.asked) == 1


def test_an_answer_that_is_no_problem_document_still_is_an_error() -> None:
    with pytest.raises(ApiError) as caught:
        Recorder(httpx.Response(404, html="<h1>nginx</h1>")).client().balance("acme")
    assert (caught.value.code, caught.value.detail) == ("http_404", "Not Found")


def test_an_answer_of_another_shape_is_told() -> None:
    with pytest.raises(ApiError) as caught:
        Recorder({"hello": 1}).client().balance("acme")
    assert caught.value.code == "unexpected_answer"


def test_no_error_tells_the_token() -> None:
    for answer in (httpx.Response(401, json={"code": "x", "detail": f"bad {TOKEN}"}), httpx.ConnectError(TOKEN)):
        with pytest.raises(ApiError) as caught:
            Recorder(answer).client(retry_s=0).balance("acme")
        assert TOKEN not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    ("url", "token"),
    [("http://x", "a\nb"), ("http://x", "x y"), ("http://x", "ä"), ("ftp://x", ""), ("x", ""), ("http://u:p@x", "")],
)
def test_a_url_or_token_of_no_use_is_refused_without_repeating_it(url: str, token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Client(url, token)
    assert token not in str(caught.value) or not token
    assert "u:p" not in str(caught.value)


def test_health_is_a_yes_or_no() -> None:
    assert Recorder({"status": "ok"}).client().healthy()
    assert not Recorder(httpx.ConnectError("refused")).client().healthy()
    assert not Recorder(httpx.Response(503)).client().ready()
    assert asyncio.run(Recorder({"status": "ok"}).async_client().healthy())
    assert not asyncio.run(Recorder(httpx.ConnectError("refused")).async_client().ready())


def test_a_check_of_a_provider_is_waited_for_as_long_as_the_server_gives_it() -> None:
    wire = Wire("http://127.0.0.1:1", "ft_adm_x", 0)
    with httpx.Client(timeout=30) as http:
        waits = {
            call: wire.request(http, made).extensions["timeout"]["read"]
            for call, made in (
                ("check", calls.check_provider("acme", "thor")),
                ("pull", calls.pull_provider("acme", "thor")),
            )
        }
    assert waits["check"] > CHECK_S
    assert waits["pull"] == 30

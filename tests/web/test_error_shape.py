"""Every error of every route has one shape, and says no more than the caller may know."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.conftest import Client, token_of
from tests.filling import Filled

from flowtally.api.application import MODULES
from flowtally.web.operation import OPERATIONS, Operation

GUARDED = [op for op in OPERATIONS if op.may]
NAMES = {"account": "acme", "grant": "grn_x", "credential": "crd_x", "pool": "mobile", "product": "mobile"}
NAMES |= {
    "plan": "month",
    "dialect": "thordata",
    "provider": "thor",
    "reconciliation": "rec_x",
    "purchase": "ord_x",
    "sender": "snd_x",
    "gateway": "gtw_x",
    "webhook": "whk_x",
    "lease": "lse_x",
    "action": "act_x",
    "order": "ord_x",
    "stock": "stk_x",
}
NAMES |= {"user": "alice", "allocation": "alc_x", "period": "per_x", "address": "203.0.113.7", "voucher": "vch_x"}
STANDARD = {"type", "title", "status", "detail", "code", "request_id"}


def named(op: Operation) -> str:
    return f"{op.method} {op.path}"


every_guarded = pytest.mark.parametrize("op", GUARDED, ids=named)


def ask(client: Client, op: Operation, headers: Any, **names: str) -> Any:
    path = re.sub(r"\{(\w+)\}", lambda found: (NAMES | names)[found[1]], op.path)
    return client.request(op.method, path, headers=headers, json={} if op.body else None)


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code), body
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(body) >= STANDARD
    assert body["type"] == f"urn:flowtally:problem:{code}"
    assert body["request_id"] == answer.headers["x-request-id"]
    return dict(body)


@pytest.fixture
def refusing(shared: Filled) -> Client:
    """Refuses everything that it is asked for here."""
    return shared.client


@pytest.fixture(scope="module")
def tokens(shared: Filled) -> dict[str, dict[str, str]]:
    """One of each scope but admin, those of an account of acme's."""
    return {
        "ingest": token_of(shared.client, "/v1/credentials", scope="ingest"),
        "account": token_of(shared.client, "/v1/accounts/acme/credentials", scope="account"),
        "manage": token_of(shared.client, "/v1/accounts/acme/credentials", scope="manage"),
    }


def test_every_module_declares_operations() -> None:
    assert {op.work.__module__ for op in OPERATIONS} == {module.__name__ for module in MODULES}


@every_guarded
def test_without_a_known_token_it_is_401(refusing: Client, monkeypatch: pytest.MonkeyPatch, op: Operation) -> None:
    monkeypatch.delitem(refusing.headers, "authorization")
    for header in (None, "", "Basic abc", "Bearer", "Bearer nobody", "Bearer ü", "Bearer " + "x" * 2000):
        answer = ask(refusing, op, {} if header is None else {"Authorization": header.encode()})
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@every_guarded
def test_a_scope_that_may_not_is_403_whether_the_thing_exists_or_not(
    refusing: Client, tokens: dict[str, dict[str, str]], op: Operation
) -> None:
    for scope, headers in tokens.items():
        if scope not in op.scopes:
            answers = [ask(refusing, op, headers, account=account) for account in ("acme", "nobody")]
            assert len({assert_problem(answer, 403, "forbidden")["detail"] for answer in answers}) == 1


OWN = [(op, scope) for op in GUARDED if "{account}" in op.path for scope in ("account", "manage") if scope in op.scopes]


@pytest.mark.parametrize(("op", "scope"), OWN, ids=[f"{named(op)} {scope}" for op, scope in OWN])
def test_another_account_answers_exactly_like_one_that_does_not_exist(
    refusing: Client, tokens: dict[str, dict[str, str]], op: Operation, scope: str
) -> None:
    headers = tokens[scope] | {"X-Request-Id": "same"}
    theirs, nobodys = ask(refusing, op, headers, account="other"), ask(refusing, op, headers, account="nobod")
    assert_problem(theirs, 404, "unknown_account")
    assert theirs.text.replace("other", "nobod") == nobodys.text
    assert {k: v for k, v in theirs.headers.items() if k != "date"} == dict(nobodys.headers)


@every_guarded
def test_an_unknown_query_parameter_is_400_and_named(refusing: Client, op: Operation) -> None:
    path = re.sub(r"\{(\w+)\}", lambda found: NAMES[found[1]], op.path)
    answer = refusing.request(op.method, f"{path}?frm=2026", json={} if op.body else None)
    assert assert_problem(answer, 400, "bad_request")["parameter"] == "frm"


@pytest.mark.parametrize("op", [op for op in GUARDED if op.body], ids=named)
def test_a_body_that_cannot_be_read_is_told_apart(refusing: Client, op: Operation) -> None:
    path = re.sub(r"\{(\w+)\}", lambda found: NAMES[found[1]], op.path)
    for body, kind, status, code in (
        (b"{", "application/json", 400, "malformed_body"),
        (b"", "application/json", 400, "malformed_body"),
        (b'{"a": "\xff"}', "application/json", 400, "malformed_body"),
        (b"[" * 60_000, "application/json", 400, "malformed_body"),
        (b'{"a": 1} 2', "application/json", 400, "malformed_body"),
        (b"[]", "application/json; charset=utf-8", 422, "unprocessable"),
        (b'{"no_such_member": 1}', "application/json", 422, "unprocessable"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media"),
        (b" " * 70_000, "application/json", 413, "too_large"),
    ):
        answer = refusing.request(op.method, path, content=body, headers={"Content-Type": kind})
        assert_problem(answer, status, code)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/accounts/acme/grants/a/b/c", 404, "not_found"),
        ("DELETE", "/v1/pools", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/accounts/acme%00", 400, "bad_request"),
        ("GET", "/v1/accounts/acme/usage?user=%00", 400, "bad_request"),
        ("GET", "/v1/accounts/acme/usage?user=%ff", 400, "bad_request"),
        ("GET", "/v1/accounts/acme/usage?tz=UTC&tz=UTC", 400, "bad_request"),
        ("GET", "/v1/accounts/acme/usage?tz=Mars", 400, "unknown_zone"),
        ("GET", "/v1/accounts/acme/usage?bucket=year", 400, "bad_request"),
        ("GET", "/v1/accounts/acme/usage?by=colour", 400, "bad_request"),
        ("GET", "/v1/accounts/acme/usage?from=2026-03-10&to=2026-03-01", 400, "bad_range"),
        ("GET", "/v1/accounts/acme/usage?from=9999-12-31T23:59:59Z", 400, "bad_range"),
        ("GET", "/v1/accounts/acme/balance?at=now", 400, "bad_range"),
        ("GET", "/v1/accounts?limit=0", 400, "bad_request"),
        ("GET", "/v1/accounts?limit=1001", 400, "bad_request"),
        ("GET", "/v1/accounts?limit=ten", 400, "bad_request"),
        ("GET", "/v1/accounts?cursor=abc", 400, "bad_request"),
        ("GET", "/v1/accounts/nobody/balance", 404, "unknown_account"),
        ("GET", "/v1/accounts/nobody/users", 404, "unknown_account"),
        ("GET", "/v1/accounts/nobody/users/alice", 404, "unknown_account"),
        ("GET", "/v1/accounts/acme/users/nobody", 404, "unknown_user"),
        ("DELETE", "/v1/accounts/acme/users/nobody", 404, "unknown_user"),
        ("GET", "/v1/accounts/acme/users/nobody/balance", 404, "unknown_user"),
        ("GET", "/v1/accounts/acme/users/nobody/explain", 404, "unknown_user"),
        ("POST", "/v1/accounts/acme/users/nobody/erase", 404, "unknown_user"),
        ("GET", "/v1/accounts/acme/users/alice/erase", 404, "not_found"),
        ("GET", "/v1/accounts/acme/users/alice/usage?user=alice", 400, "bad_request"),
        ("GET", "/v1/events?source=gw", 400, "bad_request"),
        ("GET", "/v1/events?source=gw&id=none", 404, "not_found"),
        ("POST", "/v1/accounts/acme/grants/grn_x/void", 404, "not_found"),
        ("GET", "/v1/accounts/nobody/wallet", 404, "unknown_account"),
        ("GET", "/v1/accounts/nobody/wallet/entries", 404, "unknown_account"),
        ("GET", "/v1/accounts/nobody/purchases", 404, "unknown_account"),
        ("GET", "/v1/accounts/acme/purchases/ord_x", 404, "not_found"),
        ("GET", "/v1/plans/none", 404, "not_found"),
        ("POST", "/v1/plans/none/retire", 404, "not_found"),
    ],
)
def test_every_fault_has_its_code(refusing: Client, method: str, path: str, status: int, code: str) -> None:
    assert_problem(refusing.request(method, path), status, code)


def test_405_says_what_is_allowed(refusing: Client) -> None:
    assert "GET" in refusing.delete("/v1/pools").headers["allow"]


def test_something_failing_inside_is_500_without_its_story(
    shared: Filled, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(shared.usage, "rows", [{"wrong": "a secret detail"}])
    answer = shared.client.get("/v1/accounts/acme/usage", headers={"X-Request-Id": "look-me-up"})
    assert assert_problem(answer, 500, "internal")["request_id"] == "look-me-up"
    assert "KeyError" not in answer.text
    assert "look-me-up" in "".join(capfd.readouterr())


def test_values_are_repeated_only_as_far_as_they_are_short(refusing: Client) -> None:
    answer = refusing.post("/v1/accounts", json={"id": "x", "name": ["n" * 10_000]})
    assert len(answer.text) < 1000
    body = assert_problem(refusing.post("/v1/accounts", json={"timezone": 5}), 422, "unprocessable")
    assert (body["field"], body["value"]) == ("timezone", 5)


@pytest.mark.parametrize(
    ("sent", "value", "detail"),
    [
        ({"name": ["n"]}, "array", "name = 'array': text is expected, not an array."),
        ({"name": {}}, "object", "name = 'object': text is expected, not an object."),
    ],
)
def test_what_is_no_single_value_is_called_by_jsons_word(refusing: Client, sent: Any, value: str, detail: str) -> None:
    body = assert_problem(refusing.post("/v1/accounts", json=sent), 422, "unprocessable")
    assert (body["value"], body["detail"]) == (value, detail)


def test_what_is_missing_is_told_by_name(refusing: Client) -> None:
    body = assert_problem(refusing.post("/v1/accounts/acme/grants", json={}), 422, "unprocessable")
    assert (body["detail"], body["field"]) == ("amount is missing.", "amount")
    body = assert_problem(refusing.get("/v1/events?source=gw"), 400, "bad_request")
    assert (body["detail"], body["parameter"]) == ("The parameter id is missing.", "id")


WRONG: list[tuple[str, str, Any, str]] = [
    ("GET", "/v1/accounts/acme/usage?bucket=weekly", None, "it takes 15m, hour, day, week, month or total"),
    ("GET", "/v1/accounts/acme/usage?fill=all", None, "it takes "),
    ("GET", "/v1/accounts?limit=many", None, "a whole number is expected, not text"),
    ("GET", "/v1/accounts?limit=0", None, "a whole number of 1 or more is expected"),
    ("GET", "/v1/events", None, "The parameter source is missing."),
    ("GET", "/v1/accounts/acme/usage?from=2026-03-01T00:00:00+01:00", None, "write %2B instead of +"),
    ("GET", "/v1/accounts/acme/balance?at=2026-03-01T00:00:00+01:00", None, "write %2B instead of +"),
    ("POST", "/v1/accounts/acme/grants", {"amount": "5GB"}, "amount = '5GB': a whole number is expected, not text"),
    ("POST", "/v1/accounts/acme/grants", {"amonut": 5}, "unknown field `amonut`"),
    ("POST", "/v1/accounts/acme/grants", {}, "amount is missing."),
    ("POST", "/v1/accounts/acme/grants", {"amount": 5, "expires_at": "2020-01-01T00:00:00Z"}, "and expire at 2020"),
    (
        "PATCH",
        "/v1/accounts/acme",
        {"status": "deleted"},
        "status = 'deleted': it takes active, suspended or closed",
    ),
]


def test_what_is_wrong_is_told_in_words_with_all_words_there_are(refusing: Client) -> None:
    for method, path, body, told in WRONG:
        answer = refusing.request(method, path, **({} if body is None else {"json": body})).text
        assert told in answer, answer
        assert "Expected `" not in answer
        assert "Invalid enum" not in answer


def test_a_body_of_another_type_says_what_to_add_to_curl(refusing: Client) -> None:
    for path in ("/v1/accounts", "/v1/accounts/acme/grants"):
        for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
            answer = refusing.request("POST", path, content=b"{}", headers={"content-type": kind})
            assert answer.status_code == 415, answer.text
            assert "With curl: -H 'Content-Type: application/json'" in answer.json()["detail"]

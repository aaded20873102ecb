"""Who is asking: token and key, wherever they are put, and what happens without the right ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.conftest import Clock, ask_as_sent
from tests.filling import Filled
from tests.logged import Logged
from tests.vendors.asking import issue
from tests.vendors.thordata.conftest import Shop, answered, data_of, shop_of

from flowtally.config import load_config
from flowtally.core.errors import ConfigError
from flowtally.vendors.thordata.settings import Settings

BALANCE = "/api/account/traffic-balance"
CREATE = "/api/proxy-users/create-user"
FORM = "application/x-www-form-urlencoded"


def test_secrets_count_wherever_they_are(shop: Shop) -> None:
    shop.grant(10_000 * 1024**2)
    token, both = {"token": shop.shown.token}, {"token": shop.shown.token, "key": shop.shown.key}
    ask: Callable[..., Any] = shop.client.request
    places = [
        {"params": token},
        {"params": both},
        {"headers": both},
        {"headers": {"Token": shop.shown.token}, "params": {"key": shop.shown.key}},
        {"data": both},
        {"json": both},
    ]
    answers = [answered(ask("GET", BALANCE, **place)) for place in places]
    assert [data_of(one) for one in answers] == [{"traffic_balance": 10000, "expiration_time": "2099-12-31"}] * len(
        places
    )


TWO_PLACES = [
    lambda one, two: {"headers": one, "params": two},
    lambda one, two: {"headers": one, "data": two},
    lambda one, two: {"headers": one, "json": two},
    lambda one, two: {"params": one, "data": two},
    lambda one, two: {"params": one, "json": two},
    lambda one, two: {"headers": [*one.items(), *two.items()]},
    lambda one, two: {"params": [*one.items(), *two.items()]},
    lambda one, two: {"content": urlencode([*one.items(), *two.items()]), "headers": {"content-type": FORM}},
    lambda one, two: {"content": twice(one, two), "headers": {"content-type": "application/json"}},
    lambda one, two: {"files": [*((name, (None, value)) for part in (one, two) for name, value in part.items())]},
]


def twice(one: dict[str, str], two: dict[str, str]) -> str:
    """A JSON object with its names given twice."""
    return json.dumps(one)[:-1] + ", " + json.dumps(two)[1:]


@pytest.fixture(scope="module")
def refused(shared: Filled) -> Shop:
    """Whose requests are refused, or change nothing; of one installation for all."""
    return shop_of(shared.client)


@pytest.mark.parametrize("place", TWO_PLACES)
@pytest.mark.parametrize(("name", "code"), [("token", 10047), ("key", 10014)])
def test_two_secrets_that_differ_are_refused_and_the_same_one_twice_is_fine(
    refused: Shop, place: Callable[..., dict[str, Any]], name: str, code: int
) -> None:
    """Which of two callers it is nobody guesses: what stands between may have looked at the other one."""
    secrets = {"token": refused.shown.token, "key": refused.shown.key}
    right, wrong = {name: secrets.pop(name)}, {name: "somebody-elses"}

    def code_of(one: dict[str, str], two: dict[str, str]) -> int:
        """The other secret goes with the first of them, so that it is this one that is refused."""
        return int(answered(ask_as_sent(refused.client, "POST", CREATE, **place(one | secrets, two)))["code"])

    assert [code_of(right, wrong), code_of(wrong, right)] == [code, code]
    assert {code_of(right, right), code_of(right, {name: ""})} == {10000}  # told who asks: the parameters are missing


def test_a_token_nobody_has_is_a_token_error(refused: Shop) -> None:
    for token in ("nobody", "ft_acc_" + "x" * 43, "ü", "a b", "x" * 2000, ""):
        told = answered(refused.client.get(BALANCE, params={"token": token}))
        assert told == {"code": 10047, "data": {}, "msg": "Token error"}
    assert answered(refused.client.get(BALANCE))["code"] == 10047


def test_a_wrong_key_is_10014_and_none_is_fine(refused: Shop) -> None:
    assert answered(refused.client.get(BALANCE, params={"token": refused.shown.token, "key": "wrong"}))["code"] == 10014
    assert answered(refused.client.get(BALANCE, params={"token": refused.shown.token, "key": ""}))["code"] == 200


def test_the_key_can_be_required_or_ignored(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(key="required")
    assert answered(shop.client.get(BALANCE, params={"token": shop.shown.token}))["code"] == 10014
    assert shop.get("account/traffic-balance")["code"] == 200


def test_an_ignored_key_may_be_anything(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(key="ignored")
    assert answered(shop.client.get(BALANCE, params={"token": shop.shown.token, "key": "wrong"}))["code"] == 200


def test_a_key_of_another_credential_of_the_account_is_wrong(refused: Shop) -> None:
    other = issue(refused.client, "shop", "manage")
    assert (
        answered(refused.client.get(BALANCE, params={"token": refused.shown.token, "key": other.key}))["code"] == 10014
    )


def test_a_credential_that_only_reads_reads_and_is_told_that_it_may_not_write(refused: Shop) -> None:
    reader = Shop(refused.client, issue(refused.client, "shop", "account"))
    assert reader.ok("account/traffic-balance") == refused.ok("account/traffic-balance")
    told = reader.post("proxy-users/delete-user", username="user123")
    assert (told["code"], told["msg"]) == (10047, "Token error: not allowed with this token")


def test_a_credential_that_only_reads_sees_no_password(shop: Shop) -> None:
    shop.make("user123")
    reader = Shop(shop.client, issue(shop.client, "shop", "account"))
    assert reader.ok("proxy-users/user-list")["list"][0]["password"] == ""
    assert shop.ok("proxy-users/user-list")["list"][0]["password"] == "password123"


def test_calls_above_the_rate_are_10011_with_status_200(make_shop: Callable[..., Shop], clock: Clock) -> None:
    shop = make_shop(rate_requests=2, rate_seconds=3)
    other = Shop(shop.client, issue(shop.client, "shop", "account"))
    codes = [shop.get("account/traffic-balance")["code"] for _ in range(3)]
    assert codes == [200, 200, 10011]
    assert other.get("account/traffic-balance")["code"] == 200
    clock.at += 3000
    assert shop.get("account/traffic-balance")["code"] == 200


def test_what_is_not_served_is_a_plain_404(refused: Shop) -> None:
    for path in ("web-scraper-api/tasks-list", "account/nothing", "n8n"):
        told = refused.client.get(f"/api/{path}", params={"token": refused.shown.token})
        assert (told.status_code, told.text) == (404, "404 page not found")


def test_another_method_is_a_parameter_error_in_their_envelope(refused: Shop) -> None:
    told = refused.client.post(BALANCE, headers={"token": refused.shown.token})
    assert told.json()["code"] == 10000


def test_a_body_that_cannot_be_read_is_a_parameter_error(refused: Shop) -> None:
    headers = {"token": refused.shown.token, "content-type": "application/json"}
    for body in ("[1]", "{", '"text"'):
        told = answered(refused.client.post("/api/proxy-users/create-user", headers=headers, content=body))
        assert told["code"] == 10000


@pytest.mark.parametrize("unread", ["%ff", "%00", "%1b", "\xff"])
@pytest.mark.parametrize("path", [BALANCE, "/api/proxy-users/user-list"])
def test_a_good_token_beside_what_cannot_be_read_is_a_parameter_error(refused: Shop, path: str, unread: str) -> None:
    """Whoever is told that the token is wrong changes the token, and looks no further."""
    for token, code in ((refused.shown.token, 10000), ("nobody", 10047)):
        raw = f"proxy_type={unread}&token={token}".encode("latin-1")
        form = {"content": raw, "headers": {"content-type": FORM}}
        assert answered(ask_as_sent(refused.client, "POST", CREATE, **form))["code"] == code
        if raw.isascii():
            assert answered(refused.client.get(f"{path}?{raw.decode()}"))["code"] == code
            assert answered(refused.client.post(f"{CREATE}?{raw.decode()}"))["code"] == code


def test_a_good_token_beside_what_cannot_be_read_is_one_in_other_bodies_too(refused: Shop) -> None:
    token = refused.shown.token.encode()
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    bodies = [
        (b'{"username": "\\ud800", "token": "%s"}' % token, "application/json"),
        (b'{"username": "\xff", "token": "%s"}' % token, "application/json"),
        (part % (b"username", b"\xff") + part % (b"token", token) + b"--x--\r\n", "multipart/form-data; boundary=x"),
    ]
    for body, kind in bodies:
        told = answered(refused.client.post(CREATE, content=body, headers={"content-type": kind}))
        assert told["code"] == 10000


def test_refusals_do_not_repeat_what_was_sent(refused: Shop) -> None:
    """A client that puts a secret into the wrong parameter must not find it in its own log of our answers."""
    secret = "s3cret-value"
    for path in ("account/usage-statistics", "proxy-users/usage-statistics", "proxy-users/user-list"):
        told = refused.get(path, from_date=secret, to_date=secret, username=secret, proxy_type=secret)
        assert secret not in str(told)
    for path in ("proxy-users/create-user", "proxy-users/update-user", "whitelisted-ips/add-ip"):
        told = refused.post(path, username=secret, password=secret, ip=secret, status=secret)
        assert secret not in str(told)


def test_secrets_in_a_query_reach_no_log(refused: Shop, capfd: pytest.CaptureFixture[str], logged: Logged) -> None:
    capfd.readouterr()
    for path in ("account/traffic-balance", "account/usage-statistics", "proxy-users/user-list", "nothing/there"):
        refused.client.get(f"/api/{path}", params={"token": refused.shown.token, "key": refused.shown.key})
    refused.client.get(BALANCE, params={"token": refused.shown.token, "key": "a-wrong-key"})
    said = capfd.readouterr()
    printed = said.out + said.err + logged.text
    assert "/api/account/traffic-balance" in printed  # it is the log that was looked at
    for secret in (refused.shown.token, refused.shown.key, "a-wrong-key"):
        assert secret not in printed


def test_accounts_do_not_see_each_other(shop: Shop) -> None:
    """Every read of a second account answers as that of an empty one, every write fails on what is not its own."""
    shop.grant(10 * 1024**3)
    shop.use("a", "2025-01-02T00:00:00Z", 5000, user="user123")
    shop.make("user123", traffic_limit="100")
    theirs = shop.other()
    assert theirs.ok("account/traffic-balance") == {"traffic_balance": 0, "expiration_time": "2099-12-31"}
    used = theirs.ok("account/usage-statistics", from_date="2025-01-01", to_date="2025-01-03")
    assert (used["total_usage_traffic"], used["traffic_balance"], used["range_usage_traffic"]) == (0, 0, 0)
    assert theirs.ok("proxy-users/user-list")["list"] == []
    days = {"username": "user123", "from_date": "2025-01-01", "to_date": "2025-01-03"}
    hours = {"username": "user123", "from_date": "2025-01-01 00", "to_date": "2025-01-03 00"}
    assert theirs.get("proxy-users/usage-statistics", **days)["code"] == 10020
    assert theirs.get("proxy-users/usage-statistics-hour", **hours)["code"] == 10020
    assert theirs.post("proxy-users/update-user", username="user123", new_status="false")["code"] == 10020
    assert theirs.post("proxy-users/delete-user", username="user123")["code"] == 10020
    assert shop.ok("proxy-users/user-list")["list"][0]["status"] is True


def test_a_zone_that_is_none_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Mars/Base"):
        load_config({"FLOWTALLY_THORDATA_TIMEZONE": "Mars/Base"}, {"thordata": Settings}, data=str(tmp_path))

"""Webhooks over HTTP: secrets shown once, each account's own, a test that sends now, and what was sent."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Client, token_of
from tests.providers.stub import Stub, ok, say

from flowtally.ledger.messages import outbox

RECEIVER = Path(__file__).parents[2] / "docs" / "examples" / "webhooks" / "receiver.py"
OURS = "/v1/webhooks"
MINE = "/v1/accounts/acme/webhooks"


def add(
    client: Client, path: str = OURS, url: str = "https://hooks.example/x?token=abc", **more: Any
) -> dict[str, Any]:
    answer = client.post(path, json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def at_home(make_client: Callable[..., Client]) -> Client:
    """The operator's webhooks may be on this machine."""
    return make_client(webhook_networks="127.0.0.0/8")


@pytest.mark.parametrize("path", [OURS, MINE])
def test_a_webhook_is_added_changed_rotated_and_removed(client: Client, acme: str, path: str) -> None:
    made = add(client, path, types=["balance.low"], description="on call")
    one = f"{path}/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert (made["account"], made["state"]) == ("acme" if path == MINE else None, "active")
    shown = client.get(one).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert client.get(path).json()["items"] == [shown]
    changed = client.patch(one, json={"url": "https://b.example", "types": [], "enabled": False}).json()
    assert (changed["url"], changed["types"], changed["state"]) == ("https://b.example", [], "disabled")
    assert changed["description"] == "on call"
    assert client.patch(one, json={"enabled": True}).json()["state"] == "active"
    rotated = client.post(f"{one}/rotate", json={"overlap_s": 60}).json()
    assert rotated["secret"] not in (None, made["secret"])
    assert rotated["old_secret_until"] is not None
    gone = client.delete(one).json()
    assert (gone["state"], gone["old_secret_until"]) == ("removed", None)
    assert client.delete(one).json() == gone
    assert client.get(path).json()["items"] == []
    assert client.get(path, params={"removed": True}).json()["items"] == [gone]
    for refused in (client.patch(one, json={"enabled": True}), client.post(f"{one}/test")):
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_a_repeated_request_makes_one_and_shows_no_secret_again(client: Client) -> None:
    again = {"Idempotency-Key": "one"}
    first, second = (client.post(OURS, json={"url": "https://a.example"}, headers=again).json() for _ in range(2))
    assert second == {name: value for name, value in first.items() if name != "secret"}
    assert len(client.get(OURS).json()["items"]) == 1


def test_an_account_sees_its_own_and_may_not_say_http(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "beta"})
    mine, ours = add(client, MINE), add(client)
    other = token_of(client, "/v1/accounts/beta/credentials", scope="manage")
    own = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    assert client.get(f"{MINE}/{mine['id']}", headers=own).status_code == 200
    assert client.get(f"{MINE}/{ours['id']}", headers=own).status_code == 404
    assert client.get(f"{OURS}/{ours['id']}", headers=own).status_code == 403
    assert client.get(f"{MINE}/{mine['id']}", headers=other).json()["code"] == "unknown_account"
    assert client.get(f"/v1/accounts/beta/webhooks/{mine['id']}", headers=other).status_code == 404
    for url in ("http://a.example", "https://me:pw@a.example", "https://a.example:22"):
        answer = client.post(MINE, json={"url": url}, headers=own)
        assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable")
        assert "pw" not in answer.text


def test_a_test_is_sent_now_and_shows_what_was_signed(at_home: Client) -> None:
    with Stub(say(202, "welcome" * 1_000)) as stub:
        made = add(at_home, url=f"{stub.url}/hook")
        came = at_home.post(f"{OURS}/{made['id']}/test").json()
        [heard] = stub.heard
    assert (came["ok"], came["status"], came["detail"], len(came["answer"])) == (True, 202, "", 1_024)
    at = heard.headers["webhook-timestamp"]
    assert came["signed"] == f"{came['message']}.{at}.{heard.body.decode()}"
    assert heard.headers["webhook-id"] == came["message"]
    assert b'"endpoint.test"' in heard.body
    assert at_home.get(f"{OURS}/{made['id']}/deliveries").json()["items"] == []
    came = at_home.post(f"{OURS}/{made['id']}/test").json()  # nobody listens there any more
    assert (came["ok"], came["status"], came["answer"]) == (False, None, None)


def test_an_account_learns_nothing_of_this_network(at_home: Client, acme: str) -> None:
    """Neither where the operator may go, nor what is answered there."""
    with Stub(ok("a secret of this machine")) as stub:
        made = add(at_home, MINE, url=stub.url.replace("http:", "https:"))
        came = at_home.post(f"{MINE}/{made['id']}/test").json()
        assert stub.connections == 0
    assert (came["ok"], came["status"], came["answer"]) == (False, None, None)
    assert "not public" in came["detail"]


def test_what_was_sent_is_listed_and_replayed(client: Client, acme: str) -> None:
    made = add(client, MINE)
    one = f"{MINE}/{made['id']}"
    with client.app.state.services.ledger.begin() as tx:
        outbox.put(tx, "a", "balance.low", {"left": 5}, account="acme", now=5)
    [found] = client.get(f"{one}/deliveries").json()["items"]
    assert (found["type"], found["state"], found["attempts"], found["webhook"]) == (
        "balance.low",
        "waiting",
        0,
        made["id"],
    )
    client.patch(one, json={"enabled": False})
    assert client.get(f"{one}/deliveries", params={"state": "dead"}).json()["items"][0]["id"] == found["id"]
    assert client.post(f"{one}/replay", json={"delivery": found["id"]}).status_code == 409
    client.patch(one, json={"enabled": True})
    since = {"since": "1970-01-01T00:00:00Z"}
    assert client.post(f"{one}/replay", json={"delivery": found["id"]}).json() == {"replayed": 1}
    assert client.post(f"{one}/replay", json=since).json() == {"replayed": 0}
    for body in ({}, since | {"delivery": found["id"]}):
        assert client.post(f"{one}/replay", json=body).status_code == 422
    assert client.post(f"{one}/replay", json={"delivery": "dlv_9"}).status_code == 404


def test_the_trail_and_the_log_hold_neither_secret_nor_url(client: Client, acme: str, logged: Any) -> None:
    made = add(client, MINE)
    client.post(f"{MINE}/{made['id']}/rotate", json={})
    client.post(f"{MINE}/{made['id']}/test")
    text = client.get("/v1/audit", params={"limit": 1000}).text + repr(logged.__dict__)
    assert "webhook.rotate" in text
    for kept in (made["secret"], "hooks.example", "token=abc"):
        assert kept not in text


def test_metrics_tell_how_it_goes(client: Client, acme: str) -> None:
    add(client, MINE)
    with client.app.state.services.ledger.begin() as tx:
        outbox.put(tx, "a", "balance.low", {}, account="acme", now=5)
    text = client.get("/metrics").text
    assert 'flowtally_webhooks{state="active"} 1' in text
    assert "flowtally_webhook_deliveries_waiting 1" in text
    assert 'flowtally_webhook_attempts_total{outcome="failed"} 0' in text


def test_the_receiver_of_the_page_takes_what_is_sent_and_nothing_else(
    make_client: Callable[..., Client], capsys: pytest.CaptureFixture[str], clock: Any
) -> None:
    """docs/examples/webhooks/receiver.py, by the worker of a server."""
    spec = importlib.util.spec_from_file_location("receiver", RECEIVER)
    assert spec is not None
    assert spec.loader is not None
    receiver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(receiver)
    clock.at = int(time.time() * 1000)
    client = make_client(webhook_networks="127.0.0.0/8", deliver_webhooks=True)
    made = add(client, url="http://127.0.0.1:1")
    server = receiver.main(0, made["secret"])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        one = f"{OURS}/{made['id']}"
        client.patch(one, json={"url": f"http://127.0.0.1:{server.server_port}/"})
        assert client.post(f"{one}/test").json()["status"] == 204
        with client.app.state.services.ledger.begin() as tx:
            outbox.put(tx, "a", "balance.low", {"left": 5}, now=clock.at)
        client.app.state.services.deliverer.nudge()
        until = time.monotonic() + 60
        while not (items := client.get(f"{one}/deliveries", params={"state": "delivered"}).json()["items"]):
            assert time.monotonic() < until
            time.sleep(0.01)
        client.post(f"{one}/rotate", json={"overlap_s": 0})
        assert client.post(f"{one}/test").json()["status"] == 400
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("msg_")]
    assert [line.split()[1] for line in told] == ["endpoint.test", "balance.low"]
    assert told[1] == f"{items[0]['message']} balance.low {{'left': 5}}"


def test_the_page_shows_the_receiver_as_it_is() -> None:
    page = (RECEIVER.parents[2] / "alerts.md").read_text()
    assert RECEIVER.read_text() in page

"""A shadow on a real server, whose vendor is the server itself: another account of it, asked over HTTP."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
from tests.live import Live, live_server


def native(live: Live, method: str, path: str, body: Any = None) -> Any:
    shown = {"Authorization": f"Bearer {live.token}"}
    answer = httpx.request(method, f"{live.url}/v1/accounts{path}", json=body, headers=shown, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def test_a_customer_is_answered_and_what_the_vendor_says_otherwise_is_shown(tmp_path: Path) -> None:
    with live_server(tmp_path / "data") as live:
        keys = {}
        for account, amount in (("acme", 5 * 2**30), ("theirs", 3 * 2**30)):
            native(live, "POST", "", {"id": account})
            native(live, "POST", f"/{account}/grants", {"amount": amount})
            keys[account] = native(live, "POST", f"/{account}/credentials", {"scope": "manage"})
        secrets = {"token": keys["theirs"]["token"], "key": keys["theirs"]["key"]}
        provider = {"name": "thor", "vendor": "thordata", "secrets": secrets, "address": f"{live.url}/api"}
        native(live, "POST", "/acme/providers", provider)
        native(live, "PUT", "/acme/shadow/thordata", {"enabled": True, "provider": "thor"})
        asked = {"token": keys["acme"]["token"], "key": keys["acme"]["key"]}
        told = httpx.get(f"{live.url}/api/account/traffic-balance", params=asked, trust_env=False).json()
        assert told["data"]["traffic_balance"] == 5 * 1024
        until = time.monotonic() + 60
        while not (found := native(live, "GET", "/acme/shadow/differences")["items"]):
            assert time.monotonic() < until, native(live, "GET", "/acme/shadow/thordata")
            time.sleep(0.1)
        [one] = found
        [field] = [one for one in one["fields"] if one["place"] == "data.traffic_balance"]
        assert (field["ours"], field["theirs"], field["by"]) == ("5120", "3072", "-2048")
        assert (one["route"], one["question"]) == ("GET /api/account/traffic-balance", "{}")
        log = (tmp_path / "data.log").read_text()
        kept = f"{one}{native(live, 'GET', '/acme/shadow/thordata')}{log}"
        assert not [secret for secret in (*secrets.values(), *asked.values()) if secret in kept]

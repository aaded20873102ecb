"""Any name can be addressed in a path: through the framework, and through a real server with the client and curl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.filling import Filled
from tests.live import live_server
from tests.web.test_error_shape import assert_problem

from flowtally import client as ours
from flowtally.client.call import segment
from flowtally.protocol import AccountRequest, PoolRequest, ProductRequest, UserChange, UserRequest
from flowtally.web.paths import as_segment, name_of

NAMES = ["a/b", "/", "//", "a%2Fb", "100%", "a?b#c", "a b ", ".", "..", "../x", "größe €", "a/balance", "usage", "%"]


@given(st.text())
def test_a_segment_has_no_slash_and_is_its_name_again(name: str) -> None:
    assert "/" not in as_segment(name)
    assert name_of(as_segment(name)) == name


@pytest.mark.parametrize("name", NAMES)
def test_a_user_of_any_name_is_addressed_by_it(shared: Filled, name: str) -> None:
    made = shared.client.post("/v1/accounts/acme/users", json={"name": name}).json()["id"]
    path = f"/v1/accounts/acme/users/{segment(name)}"
    assert shared.client.get(path).json()["id"] == made
    for below in ("/balance", "/usage", "/names", "/explain", "/allocations"):
        assert shared.client.get(path + below).status_code == 200, below
    assert shared.client.patch(path, json={"status": "disabled"}).json()["name"] == name
    assert shared.client.delete(path).json()["id"] == made


@pytest.mark.parametrize("name", NAMES)
def test_a_product_of_any_name_is_mapped_by_it(shared: Filled, name: str) -> None:
    shared.client.put("/v1/pools/mobile", json={"charge": "bytes"})
    assert shared.client.put(f"/v1/products/{segment(name)}", json={"pool": "mobile"}).json()["product"] == name


def test_what_is_encoded_without_need_is_the_same_path(shared: Filled) -> None:
    assert shared.client.get("/v1/%61ccounts/%61cme").json()["id"] == "acme"
    assert shared.client.get("/v1/accounts/acme%2Fusers").json()["code"] == "unknown_account"
    assert shared.client.get("/v1%2Faccounts").status_code == 404


def test_a_path_that_is_no_text_is_refused(shared: Filled) -> None:
    for sent in ("%FF", "a%00", "%E2%82"):
        assert_problem(shared.client.put(f"/v1/products/{sent}", json={"pool": "mobile"}), 400, "bad_request")


def curl(url: str, token: str) -> str:
    command = ["curl", "-s", "--path-as-is", "-H", f"Authorization: Bearer {token}", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def test_a_real_server_hears_the_names_that_the_client_and_curl_say(tmp_path: Path) -> None:
    with live_server(tmp_path / "data") as live, ours.Client(live.url, live.token) as client:
        client.create_account(AccountRequest(id="acme"))
        client.create_pool("mobile", PoolRequest("bytes"))
        made: dict[str, Any] = {}
        for name in NAMES:
            made[name] = client.create_user("acme", UserRequest(name=name)).id
            assert client.map_product(name, ProductRequest("mobile")).product == name
        for name, user_id in made.items():
            assert client.user("acme", name).id == user_id
            assert client.user_balance("acme", name).user == name
            assert client.change_user("acme", name, UserChange(status="disabled")).id == user_id
            written = quote(name, safe="").replace(".", "%2E")
            assert user_id in curl(f"{live.url}/v1/accounts/acme/users/{written}", live.token)
        assert {one.product for one in client.products()} >= set(NAMES)

"""Whose address a request has: nobody's word is taken but that of proxies that are trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Client

from flowtally.config import load_config
from flowtally.core.errors import ConfigError
from flowtally.core.words import ForwardedHeader
from flowtally.web.forwarded import address_of, caller_of

TRUSTED = load_config({}, trusted_proxies="10.0.0.0/8, 127.0.0.1, ::1, 2001:db8:a::/48").proxies
XFF: ForwardedHeader = "x-forwarded-for"


def caller(peer: str, *said: str, header: ForwardedHeader = XFF, trusted: Any = TRUSTED) -> str:
    return caller_of(peer, [(header.encode(), one.encode("latin-1")) for one in said], trusted, header)


@pytest.mark.parametrize(
    ("peer", "said", "found"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: its word is nothing
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # what the caller wrote himself stands left of it
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),  # lines are one list
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, rubbish"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, rubbish, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::7]:443"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8:a::1", ["2001:DB8::0007"], "2001:db8::7"),
        ("10.0.0.1", ["fe80::1%eth0"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1\x1b[31m"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.300"], "10.0.0.1"),
        ("10.0.0.1", ["0x7f.1"], "10.0.0.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_the_first_hop_from_the_right_that_is_no_proxy_of_ours_is_the_caller(
    peer: str, said: list[str], found: str
) -> None:
    assert caller(peer, *said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('For="[2001:db8::7]:4711";proto=https;by=10.0.0.1', "2001:db8::7"),
        ("for=1.1.1.1, for=198.51.100.1;host=x, for=10.0.0.2", "198.51.100.1"),
        ('for=198.51.100.1;host="a;for=1.1.1.1, for=2.2.2.2"', "198.51.100.1"),
        ('host="\\";for=1.1.1.1;x=\\"";for=198.51.100.1', "198.51.100.1"),
        ("for=_hidden, for=10.0.0.2", "10.0.0.2"),
        ("for=unknown", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ("for=1.1.1.1;for=198.51.100.1", "10.0.0.1"),
        ('for="198.51.100.1', "10.0.0.1"),
        ("for=198.51.100.1 for=1.1.1.1", "10.0.0.1"),
    ],
)
def test_the_header_of_rfc_7239_is_read_by_its_rules(said: str, found: str) -> None:
    assert caller("10.0.0.1", said, header="forwarded") == found


def test_only_the_header_that_is_set_is_read() -> None:
    both = [(b"x-forwarded-for", b"198.51.100.1"), (b"forwarded", b"for=1.1.1.1"), (b"x-real-ip", b"2.2.2.2")]
    assert caller_of("10.0.0.1", both, TRUSTED, "x-forwarded-for") == "198.51.100.1"
    assert caller_of("10.0.0.1", both, TRUSTED, "forwarded") == "1.1.1.1"
    assert caller_of("10.0.0.1", both, (), "forwarded") == "10.0.0.1"


@given(st.text(st.characters(max_codepoint=255)), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_nothing_a_stranger_writes_gives_him_another_address(said: str, header: ForwardedHeader) -> None:
    assert caller("203.0.113.9", said, header=header) == "203.0.113.9"
    ours = "203.0.113.9" if header == "x-forwarded-for" else "for=203.0.113.9"
    through = caller("10.0.0.1", said, ours, header=header)  # as a proxy adds it
    assert through == "203.0.113.9" or (header == "forwarded" and through == "10.0.0.1")
    ip_address(caller("10.0.0.1", said, header=header))


@given(st.text())
def test_an_address_is_read_or_is_none(text: str) -> None:
    assert address_of(text) is None or ip_address(str(address_of(text)))


def test_a_very_long_header_is_read_from_its_right_end() -> None:
    assert caller("10.0.0.1", "1.1.1.1, " * 100_000 + "198.51.100.1") == "198.51.100.1"
    assert caller("10.0.0.1", " " * 100_000 + "x", header="forwarded") == "10.0.0.1"


@pytest.mark.parametrize("setting", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", "1.2.3.4 5.6.7.8"])
def test_a_network_that_is_none_ends_the_start(setting: str) -> None:
    with pytest.raises(ConfigError, match="trusted_proxies = "):
        load_config({"FLOWTALLY_TRUSTED_PROXIES": setting})


@pytest.mark.parametrize(("trusted", "client"), [("", "127.0.0.1"), ("127.0.0.0/8", "198.51.100.1")])
def test_the_log_has_the_callers_address(make_client: Callable[..., Client], trusted: str, client: str) -> None:
    app = make_client(trusted_proxies=trusted).app
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 5000))

    async def ask() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as asking:
            await asking.get("/v1/accounts", headers={"X-Forwarded-For": "198.51.100.1"})

    with structlog.testing.capture_logs() as logged:
        asyncio.run(ask())
    assert [line["client"] for line in logged if line["event"] == "request"] == [client]


def test_who_comes_through_a_proxy_is_not_from_this_machine_though_it_says_so(
    make_client: Callable[..., Client],
) -> None:
    app = make_client(trusted_proxies="127.0.0.0/8", metrics="loopback").app
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 5000))

    async def ask() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as asking:
            return (await asking.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})).status_code

    assert asyncio.run(ask()) == 401


@pytest.mark.parametrize(
    ("trusted", "headers", "status"),
    [
        ("", {}, 200),
        ("", {"X-Forwarded-For": "198.51.100.7"}, 403),
        ("", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("", {"Via": "1.1 squid"}, 403),
        ("127.0.0.0/8", {"X-Forwarded-For": "198.51.100.7"}, 403),
        ("127.0.0.0/8", {"X-Forwarded-For": "127.0.0.1"}, 200),
    ],
)
def test_a_key_of_this_machine_alone_is_no_key_for_all_who_come_through_a_proxy_on_it(
    make_client: Callable[..., Client], trusted: str, headers: dict[str, str], status: int
) -> None:
    client = make_client(trusted_proxies=trusted)
    made = client.post("/v1/credentials", json={"scope": "ingest", "addresses": ["127.0.0.1", "::1"]}).json()
    transport = httpx.ASGITransport(client.app, client=("127.0.0.1", 5000))

    async def ask() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as asking:
            own = {"Authorization": f"Bearer {made['token']}"}
            return (await asking.get("/v1/credential", headers=headers | own)).status_code

    assert asyncio.run(ask()) == status

"""Gateways: which are offered, and which fit a question."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, text
from tests.ledger.test_every_command import NOW

from flowtally.core.endpoints import address
from flowtally.core.errors import Conflict, LimitReached, NotFound, Unprocessable
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory import gateways, orders, stock
from flowtally.ledger.inventory.gateways import Gateway, Wanted
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.people import accounts


def add(tx: Connection, host: str, ports: tuple[int, int], product: str = "residential", **more: Any) -> Gateway:
    return gateways.add_gateway(tx, product, host, *ports, now=NOW, **{"session": "rotating"} | more)


def told(tx: Connection, number: int = 100, **wanted: Any) -> set[str]:
    found, fitting = gateways.choose_endpoints(
        tx, "acme", Wanted(**{"product": "residential"} | wanted), number, 0, at=NOW
    )
    assert len(found) == min(number, fitting)
    return {address(one.host, one.port) for one in found}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Gate.Example.COM.", "gate.example.com"),
        ("gate", "gate"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("xn--80ak6aa92e.com", "xn--80ak6aa92e.com"),
        ("my_host.lan", "my_host.lan"),
    ],
)
def test_a_host_has_one_spelling(given: str, kept: str) -> None:
    assert gateways.host_of(given) == kept


@pytest.mark.parametrize(
    "host", ["", "a b", "tab\t", " a", "-a.com", "10.0.0.0/8", "1.2.3", "1.2.3.4.5", "a..b", "x" * 64, "ä.de"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(Unprocessable, match="host"):
        gateways.host_of(host)


@pytest.mark.parametrize(
    ("ports", "more", "field"),
    [
        ((0, 5), {}, "first_port"),
        ((5, 4), {}, "last_port"),
        ((5, 65_536), {}, "last_port"),
        ((5, 5), {"hold_s": 60}, "hold_s"),
        ((5, 5), {"session": "sticky", "hold_s": 0}, "hold_s"),
        ((5, 5), {"session": "steady"}, "session"),
        ((5, 5), {"city": "berlin"}, "country"),
        ((5, 5), {"country": "Germany"}, "country"),
        ((5, 5), {"product": ""}, "product"),
        ((5, 5), {"gateway_id": "a/b"}, "id"),
    ],
)
def test_what_is_no_gateway_is_refused(
    ledger: Ledger, ports: tuple[int, int], more: dict[str, Any], field: str
) -> None:
    with ledger.begin() as tx, pytest.raises(Unprocessable) as raised:
        add(tx, "a.example", ports, **more)
    assert raised.value.extra["field"] == field


@pytest.mark.parametrize("ports", [(10, 10), (20, 20), (5, 30), (12, 13), (1, 10), (20, 99)])
def test_no_port_of_a_host_is_offered_twice_for_a_product(ledger: Ledger, ports: tuple[int, int]) -> None:
    with ledger.begin() as tx:
        first = add(tx, "a.example", (10, 20), session="sticky")
        with pytest.raises(Conflict) as raised:
            add(tx, "A.example.", ports)
        assert raised.value.extra["gateway"] == first.id
        add(tx, "a.example", ports, product="mobile")
        add(tx, "b.example", ports)
        add(tx, "a.example", (21, 21))
        gateways.remove_gateway(tx, first.id)
        add(tx, "a.example", (10, 20))


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ("first_port = 20 WHERE id = 'two'", [("two", "ports 20 to 20 of a.example that gateway one offers")]),
        ("first_port = 12, last_port = 13 WHERE id = 'two'", [("two", "ports 12 to 13 of a.example")]),
        ("last_port = 31 WHERE id = 'one'", [("two", "ports 21 to 30"), ("three", "ports 31 to 31")]),
        ("host = 'a.example' WHERE id = 'other-host'", [("other-host", "ports 12 to 19")]),
        ("product = 'residential' WHERE id = 'other-product'", [("other-product", "ports 12 to 19")]),
        ("last_port = 30 WHERE id = 'two'", []),
    ],
)
def test_ports_that_two_gateways_offer_are_named(ledger: Ledger, edit: str, named: list[tuple[str, str]]) -> None:
    with ledger.begin() as tx:
        add(tx, "a.example", (10, 20), gateway_id="one")
        add(tx, "a.example", (21, 30), gateway_id="two")
        add(tx, "a.example", (31, 40), gateway_id="three")
        add(tx, "b.example", (12, 19), gateway_id="other-host")
        add(tx, "a.example", (12, 19), product="mobile", gateway_id="other-product")
        tx.execute(text(f"UPDATE gateways SET {edit}"))
        found = list(rules.faults(tx))
    assert [(one.code, one.where) for one in found] == [("gateway", f"gateway {id}") for id, _ in named]
    assert all(said in one.detail for one, (_, said) in zip(found, named, strict=True))


def test_an_id_is_taken_once_and_what_is_removed_is_gone(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = add(tx, "a.example", (1, 1), gateway_id="one")
        with pytest.raises(Conflict, match="exists already"):
            add(tx, "b.example", (1, 1), gateway_id="one")
        assert gateways.read_gateway(tx, "one") == made == gateways.remove_gateway(tx, "one")
        for gone in ("one", "\x00"):
            with pytest.raises(NotFound):
                gateways.read_gateway(tx, gone)
            with pytest.raises(NotFound):
                gateways.remove_gateway(tx, gone)


def test_there_are_so_many_at_most(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "MAX_GATEWAYS", 2)
    with ledger.begin() as tx:
        for port in (1, 2):
            add(tx, "a.example", (port, port))
        with pytest.raises(LimitReached):
            add(tx, "a.example", (3, 3))


def test_a_place_holds_what_is_within_it_and_nothing_that_serves_any(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        add(tx, "any", (1, 1))
        add(tx, "us", (1, 1), country="US")
        add(tx, "ny", (1, 1), country="us", state="New York")
        add(tx, "nyc", (1, 1), country="US", state="newyork", city="New York City")
        add(tx, "de", (1, 1), country="DE")
        add(tx, "mobile", (1, 1), product="mobile", country="US")
        assert told(tx) == {"any:1", "us:1", "ny:1", "nyc:1", "de:1"}
        assert told(tx, country="us") == {"us:1", "ny:1", "nyc:1"}
        assert told(tx, country="US", state="NEW YORK") == {"ny:1", "nyc:1"}
        assert told(tx, country="US", city="newyorkcity") == told(tx, city="newyorkcity") == {"nyc:1"}
        assert told(tx, country="FR") == told(tx, product="none") == told(tx, product="\x00") == set()
        with pytest.raises(Unprocessable):
            told(tx, country="USA")


def test_sticky_and_rotating_are_told_apart_and_both_where_nothing_is_said(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        add(tx, "a", (1, 2), session="sticky", hold_s=600)
        add(tx, "a", (9, 9))
        assert told(tx, session="sticky") == {"a:1", "a:2"}
        assert told(tx, session="rotating") == {"a:9"}
        assert told(tx) == {"a:1", "a:2", "a:9"}


def test_a_list_is_spread_over_gateways_whatever_their_size(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        add(tx, "large", (1, 60_000))
        add(tx, "small", (1, 3))
        found, fitting = gateways.choose_endpoints(tx, "acme", Wanted("residential"), 10, 2**62 + 1, at=NOW)
    assert fitting == 60_003
    assert sorted(one.host for one in found) == ["large"] * 7 + ["small"] * 3


def test_a_host_in_stock_is_told_to_whoever_leases_it_for_as_long_as_it_does(ledger: Ledger) -> None:
    wanted = Wanted("unlimited")

    def fits(tx: Connection, account: str, at: int, **more: str) -> tuple[set[str], str | None]:
        asked = msgspec.structs.replace(wanted, **more)
        found, _ = gateways.choose_endpoints(tx, account, asked, 9, 0, at=at)
        return {one.host for one in found}, gateways.withheld(tx, account, asked, at=at)

    with ledger.begin() as tx:
        for account in ("acme", "beta"):
            accounts.create_account(tx, account, now=1)
        for host in ("192.0.2.1", "srv2.example", "free.example"):
            add(tx, host, (1, 1), product="unlimited")
        first = stock.add_item(tx, NewStock("unlimited", "192.0.2.1", name="srv1"), now=1)
        stock.add_item(tx, NewStock("unlimited", "192.0.2.2", name="srv2.example"), now=1)
        orders.give_lease(tx, "acme", first.id, now=NOW, ends_at=NOW + 1000)
        assert fits(tx, "acme", NOW) == ({"192.0.2.1", "free.example"}, "never")
        assert fits(tx, "beta", NOW) == ({"free.example"}, "never")
        for name in (first.id, "srv1", "192.0.2.1"):
            assert fits(tx, "acme", NOW, gateway=name) == ({"192.0.2.1"}, None)
            assert fits(tx, "acme", NOW + 1000, gateway=name) == (set(), "ended")
            assert fits(tx, "beta", NOW, gateway=name) == (set(), "never")
        assert fits(tx, "beta", NOW, gateway="srv9") == fits(tx, "beta", NOW, gateway="\x00") == (set(), None)
        assert fits(tx, "acme", NOW, gateway="srv2.example") == (set(), "never")
        stock.retire_item(tx, stock.list_items(tx, at=NOW, address="192.0.2.2").items[0].id, now=NOW)
        assert fits(tx, "beta", NOW, gateway="srv2.example") == ({"srv2.example"}, None)

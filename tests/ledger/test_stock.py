"""Stock: one of an address and port at a time, imports as a whole, and what is retired."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, text

from flowtally.core.errors import Conflict, LinesRefused, NotFound, StockHeld, StockRetired, Unprocessable
from flowtally.core.leasing import Site, Size
from flowtally.core.words import StockState
from flowtally.ledger import sealed
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory import orders, stock
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.people import accounts
from flowtally.ledger.vault import Vault, VaultKeys

ISP = NewStock("isp", "192.0.2.1", 8080, "user", "sealed", "", Site("US", "ny", "newyork", "us-east"))


def test_what_is_put_into_stock_is_read_as_it_was_put(ledger: Ledger) -> None:
    server = NewStock("unlimited", "Gate.Example.", None, name="gate-1", size=Size(8, 16384, 200))
    with ledger.begin() as tx:
        made = [stock.add_item(tx, one, now=5) for one in (ISP, server)]
        assert [stock.read_item(tx, one.id) for one in made] == made
        first, second = made
        assert (first.address, first.port, first.has_password, first.place.region) == (
            "192.0.2.1",
            8080,
            True,
            "us-east",
        )
        assert (second.address, second.port, second.has_password, second.size) == (
            "gate.example",
            None,
            False,
            server.size,
        )
        assert stock.list_items(tx, at=5).items == made
        assert stock.sealed_password_of(tx, first.id) == "sealed"
        with pytest.raises(NotFound):
            stock.read_item(tx, "stk_9")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "ISP"}, "kind"),
        ({"kind": ""}, "kind"),
        ({"address": "192.0.2.256"}, "address"),
        ({"address": "a b"}, "address"),
        ({"port": 0}, "port"),
        ({"port": 65_536}, "port"),
        ({"username": "\x00"}, "username"),
        ({"place": Site("x" * 129)}, "country"),
        ({"size": Size(0)}, "cpu_cores"),
        ({"size": Size(bandwidth_mbps=2**31)}, "bandwidth_mbps"),
    ],
)
def test_what_cannot_be_in_stock_is_refused(ledger: Ledger, change: dict[str, object], field: str) -> None:
    with ledger.begin() as tx, pytest.raises(Unprocessable) as refused:
        stock.add_item(tx, msgspec.structs.replace(ISP, **change), now=5)
    assert refused.value.extra["field"] == field


@pytest.mark.parametrize("again", [ISP, NewStock("datacenter", "::ffff:192.0.2.1", 8080)])
def test_an_address_and_port_is_in_stock_once_whatever_its_kind_and_spelling(ledger: Ledger, again: NewStock) -> None:
    with ledger.begin() as tx:
        stock.add_item(tx, ISP, now=5)
        stock.add_item(tx, msgspec.structs.replace(again, port=8081), now=5)
        with pytest.raises(Conflict):
            stock.add_item(tx, again, now=5)
        with pytest.raises(LinesRefused) as refused:
            stock.import_items(tx, [msgspec.structs.replace(again, line=7)], now=5)
        assert refused.value.extra["faults"] == [
            {"line": 7, "detail": f"{again.address.removeprefix('::ffff:')}:8080 is in stock already"}
        ]


def test_an_import_takes_all_lines_or_tells_what_is_wrong_with_which(ledger: Ledger) -> None:
    lines = [NewStock("isp", f"192.0.2.{n}", 1, line=n) for n in range(1, 9)]
    bad = [
        NewStock("isp", "192.0.2.3", 1, line=9),
        NewStock("Isp", "192.0.2.4", 2, line=10),
        NewStock("isp", "?", line=11),
    ]
    with ledger.begin() as tx:
        with pytest.raises(LinesRefused) as refused:
            stock.import_items(tx, [bad[1], *lines, bad[0], bad[2]], now=5)
        assert [one["line"] for one in refused.value.extra["faults"]] == [9, 10, 11]  # type: ignore[attr-defined]
        assert refused.value.extra["count"] == 3
        assert stock.list_items(tx, at=5).items == []
        ids = stock.import_items(tx, lines, now=5)
        assert [one.id for one in stock.list_items(tx, at=5).items] == ids
        with pytest.raises(Unprocessable, match="0 lines"):
            stock.import_items(tx, [], now=5)


def test_a_retired_address_comes_back_only_when_nobody_has_it(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        first = stock.add_item(tx, ISP, now=5)
        orders.give_lease(tx, "acme", first.id, now=6, ends_at=100, grace_ms=10)
        retired = stock.retire_item(tx, first.id, now=7)
        assert (retired.retired_at, stock.retire_item(tx, first.id, now=8)) == (7, retired)
        for now in (50, 105):
            with pytest.raises(StockHeld):
                stock.add_item(tx, ISP, now=now)
            with pytest.raises(LinesRefused, match="nothing was put"):
                stock.import_items(tx, [ISP], now=now)
        second = stock.add_item(tx, ISP, now=110)
        assert [one.id for one in stock.list_items(tx, at=110, address="192.0.2.1").items] == [first.id, second.id]
        with pytest.raises(StockRetired):
            stock.change_item(tx, first.id, username="x", now=110)
        with pytest.raises(StockHeld, match="in that time"):
            orders.give_lease(tx, "acme", second.id, now=111, starts_at=99)
        assert list(rules.faults(tx)) == []


def test_a_list_shows_what_is_free_leased_kept_and_retired(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        ids = stock.import_items(tx, [NewStock("isp", f"192.0.2.{n}", 1) for n in range(1, 5)], now=5)
        orders.give_lease(tx, "acme", ids[0], now=6)
        orders.give_lease(tx, "acme", ids[1], now=6, ends_at=100, grace_ms=10)
        stock.retire_item(tx, ids[2], now=7)

        def listed(state: StockState, at: int) -> list[str]:
            return [one.id for one in stock.list_items(tx, at=at, state=state).items]

        assert [listed(one, 50) for one in ("free", "leased", "kept", "retired")] == [[ids[3]], ids[:2], [], [ids[2]]]
        assert [listed(one, 105) for one in ("free", "leased", "kept")] == [[ids[3]], [ids[0]], [ids[1]]]
        assert listed("free", 110) == [ids[1], ids[3]]
        for at in (50, 105, 110):
            held = stock.held_among(tx, ids, at)
            for item in stock.list_items(tx, at=at).items:
                assert item.id in listed(stock.state_of(item, item.id in held, at), at)
        assert stock.list_items(tx, at=9, kind="unlimited").items == []
        assert stock.list_items(tx, at=9, country="\x00").items == []


def test_a_change_keeps_the_address_and_says_whether_there_is_a_password(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = stock.add_item(tx, ISP, now=5)
        assert stock.change_item(tx, made.id, username="user", now=6) == made
        changed = stock.change_item(tx, made.id, username="new", sealed=None, name="host", size=Size(4), now=7)
        assert stock.read_item(tx, made.id) == changed
        assert (changed.username, changed.has_password, changed.name, changed.changed_at) == ("new", False, "host", 7)
        assert stock.change_item(tx, made.id, sealed="other", now=8).has_password
        with pytest.raises(Unprocessable):
            stock.change_item(tx, made.id, username="\x00", now=9)


def test_passwords_of_stock_get_the_new_key_when_keys_are_replaced(ledger: Ledger) -> None:
    keys = [Fernet.generate_key() for _ in range(3)]
    old = Vault(VaultKeys(keys[0], keys[2]))
    both = Vault(VaultKeys(keys[1], keys[2], (keys[0],)))
    with ledger.begin() as tx:
        made = stock.add_item(tx, msgspec.structs.replace(ISP, sealed=old.seal("secret")), now=5)
        assert sealed.any_sealed(tx) is not None
        assert sealed.reseal(tx, both) == 1
        renewed = stock.sealed_password_of(tx, made.id)
    assert renewed is not None
    assert Vault(VaultKeys(keys[1], keys[2])).reveal(renewed) == "secret"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE stock SET free_at = 3", "is free from another instant on"),
        ("UPDATE stock SET address = '192.0.02.1'", "is not how an address is written"),
    ],
)
def test_stock_that_was_edited_is_named(ledger: Ledger, statement: str, said: str) -> None:
    with ledger.begin() as tx:
        stock.add_item(tx, ISP, now=5)
        assert faults(tx) == []
        tx.execute(text(statement))
        [found] = faults(tx)
    assert said in found


def faults(tx: Connection) -> list[str]:
    return [fault.detail for fault in rules.faults(tx)]

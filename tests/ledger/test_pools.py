"""Pools: what pays for a product, fixed from its first use on."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from flowtally.core.errors import Conflict, NotFound, Unprocessable
from flowtally.ledger import pools
from flowtally.ledger.database import Ledger
from flowtally.ledger.tables import products_used


@pytest.mark.parametrize(
    ("product", "pool", "charge"),
    [
        ("residential", "traffic", "bytes"),
        ("datacenter", "traffic", "bytes"),
        ("", "traffic", "bytes"),
        ("mobile", "mobile", "bytes"),
        ("unlimited", "unlimited", "nothing"),
        ("api", "api", "requests"),
    ],
)
def test_a_new_ledger_knows_the_usual_products(ledger: Ledger, product: str, pool: str, charge: str) -> None:
    with ledger.read() as tx:
        known = pools.read_pools(tx)
    assert (known.pool_of(product), known.charge(pool)) == (pool, charge)


def test_a_product_is_mapped_and_mapped_again_while_nobody_used_it(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        pools.create_pool(tx, "isp", "bytes", 1)
        for pool in ("isp", "mobile", "traffic", "isp"):
            pools.map_product(tx, "isp-us", pool, 2)
            assert pools.read_pools(tx).pool_of("isp-us") == pool
        assert pools.read_pools(tx).products_of("isp") == ["isp-us"]


@pytest.mark.parametrize("product", ["mobile", "residential"])
def test_a_used_product_stays_in_its_pool_mapped_or_by_default(ledger: Ledger, product: str) -> None:
    with ledger.begin() as tx:
        pools.mark_products_used(tx, [product], 1)
        before = pools.read_pools(tx)
        with pytest.raises(Conflict, match=f"was used in pool '{before.pool_of(product)}'"):
            pools.map_product(tx, product, "api", 2)
        pools.map_product(tx, product, before.pool_of(product), 2)  # where it is already: fine
        assert pools.read_pools(tx) == before


def test_a_product_keeps_the_instant_of_its_first_use(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        pools.mark_products_used(tx, ["a", "b", "a"], 1)
        pools.mark_products_used(tx, ["b", "c", ""], 2)
        rows = tx.execute(select(products_used).order_by(products_used.c.product)).all()
        assert [tuple(row) for row in rows] == [("", 2), ("a", 1), ("b", 1), ("c", 2)]
        assert pools.used_products(tx, ["a", "x", "\x00"]) == {"a"}


def test_thousands_of_products_are_marked_in_one_call(ledger: Ledger) -> None:
    products = {f"product-{number}" for number in range(2500)}
    with ledger.begin() as tx:
        pools.mark_products_used(tx, products, 1)
        assert pools.used_products(tx, products) == products


def test_a_pool_is_created_once_and_its_charge_stays(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        pools.create_pool(tx, "sms", "requests", 1)
        with pytest.raises(Conflict, match="exists"):
            pools.create_pool(tx, "sms", "bytes", 1)
        assert pools.read_pools(tx).charge("sms") == "requests"


def test_impossible_pools_and_products_are_refused(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for name in ("", "a/b", "x" * 65, "a\n"):
            with pytest.raises(Unprocessable):
                pools.create_pool(tx, name, "bytes", 1)
        for product in ("", "x" * 257, "\x00"):
            with pytest.raises(Unprocessable):
                pools.map_product(tx, product, "mobile", 1)
        with pytest.raises(NotFound, match="no pool 'nowhere'"):
            pools.map_product(tx, "isp", "nowhere", 1)

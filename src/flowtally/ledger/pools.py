"""Pools: which products are paid from the same grants, and what they charge.

A pool charges bytes (up + down), requests, or nothing. A product nobody mapped belongs to the default pool. A mapping
decides which grants paid for past use, so it can change only until the product is first used; ingest says so with
`mark_products_used` before it stores the first event of a product.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select

from flowtally.core.errors import Conflict, NotFound
from flowtally.core.texts import may_be_known
from flowtally.core.units import exact_bytes, human_count
from flowtally.core.words import Charge
from flowtally.ledger import trail
from flowtally.ledger.tables import pools, product_pools, products_used
from flowtally.ledger.texts import check_id, check_text
from flowtally.protocol.words import DEFAULT_POOL

MAX_POOL_NAME_CHARS: Final = 64
_CHUNK: Final = 500
_CHARGES: Final = select(pools.c.name, pools.c.charge).order_by(pools.c.name)
_MAPPED: Final = select(product_pools.c.product, product_pools.c.pool).order_by(product_pools.c.product)


class Pools(msgspec.Struct, frozen=True):
    """All pools and mappings at one moment: few, set by the operator, read whole."""

    charges: dict[str, Charge]  # by pool
    products: dict[str, str]  # mapped product -> pool

    def pool_of(self, product: str) -> str:
        """Every product has a pool."""
        return self.products.get(product, DEFAULT_POOL)

    def words(self, pool: str, *amounts: int) -> list[str]:
        """Amounts of the pool as people write them, whole; NotFound for a pool that does not exist."""
        counts = self.charge(pool) != "bytes"
        return [f"{human_count(one)} requests" if counts else exact_bytes(one) for one in amounts]

    def charge(self, pool: str) -> Charge:
        """What the pool charges; NotFound for a pool that does not exist."""
        if pool not in self.charges:
            raise NotFound(f"there is no pool {pool!r}", pool=pool)
        return self.charges[pool]

    def products_of(self, pool: str) -> list[str]:
        """The products mapped to the pool by name, sorted (the default pool has all others too)."""
        return sorted(product for product, name in self.products.items() if name == pool)


def read_pools(tx: Connection) -> Pools:
    """All pools in order of name, with their products."""
    charges: dict[str, Charge] = dict(map(tuple, tx.execute(_CHARGES)))
    mapped: dict[str, str] = dict(map(tuple, tx.execute(_MAPPED)))
    return Pools(charges, mapped)


def create_pool(tx: Connection, name: str, charge: Charge, now: int) -> None:
    """A new pool. Its charge is fixed: changing it would alter past balances. Conflict when the name is taken."""
    check_id("pool", name, most=MAX_POOL_NAME_CHARS)
    if name in read_pools(tx).charges:
        raise Conflict(f"pool {name!r} exists already", pool=name)
    tx.execute(insert(pools).values(name=name, charge=charge, created_at=now))
    trail.note(tx, "pool.create", subject=name, after={"charge": charge})


def map_product(tx: Connection, product: str, pool: str, now: int) -> None:
    """Pay for the product from this pool. Conflict once the product was used, mapped or by default; NotFound without
    such a pool. Mapping a product where it already is changes nothing and is always fine."""
    present = read_pools(tx)
    if product not in present.products:
        check_text("product", product, least=1)
    present.charge(pool)
    if present.pool_of(product) == pool:
        return
    if used_products(tx, [product]):
        raise Conflict(
            f"product {product!r} was used in pool {present.pool_of(product)!r} and stays there",
            product=product,
            pool=present.pool_of(product),
        )
    tx.execute(delete(product_pools).where(product_pools.c.product == product))
    tx.execute(insert(product_pools).values(product=product, pool=pool, mapped_at=now))
    before = {"pool": present.pool_of(product)}
    trail.note(tx, "product.map", subject=product, before=before, after={"pool": pool})


def used_products(tx: Connection, products: Iterable[str]) -> set[str]:
    """Those of the products that were used before."""
    wanted = sorted(product for product in set(products) if may_be_known(product))
    used: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        used.update(tx.execute(select(products_used.c.product).where(products_used.c.product.in_(chunk))).scalars())
    return used


def mark_products_used(tx: Connection, products: Iterable[str], now: int) -> None:
    """Fix the pools of these products, from their first use on. Those already marked keep their first instant."""
    wanted = set(products)
    new = sorted(check_text("product", product) for product in wanted - used_products(tx, wanted))
    if new:
        tx.execute(insert(products_used), [{"product": product, "first_used_at": now} for product in new])
        trail.note(tx, "product.use", after=trail.ids(new))

"""Pools and the products they pay for: set by the operator, few, listed whole."""

from __future__ import annotations

from flowtally.core.errors import Conflict, NotFound, Unprocessable
from flowtally.ledger import pools
from flowtally.ledger.pages import ListPage
from flowtally.ledger.pools import Pools
from flowtally.protocol import PoolAnswer, PoolRequest, ProductAnswer, ProductRequest
from flowtally.web.call import Call
from flowtally.web.operation import Listed, operation

EXAMPLE = PoolAnswer("mobile", "bytes", ["mobile"])


@operation(
    "GET",
    "/v1/pools",
    may="pools:read",
    narrows=True,
    summary="List pools",
    answer=Listed(PoolAnswer),
    example={"items": [EXAMPLE, PoolAnswer("traffic", "bytes", [])], "next": None},
)
def list_pools(call: Call) -> ListPage[PoolAnswer]:
    """All of them. A product that is mapped to no pool belongs to `traffic`."""
    known = pools.read_pools(call.tx)
    return ListPage([show(known, name) for name in known.charges], None)


@operation(
    "PUT",
    "/v1/pools/{pool}",
    may="pools:write",
    summary="Create a pool",
    body=PoolRequest,
    answer=PoolAnswer,
    errors=(Conflict, Unprocessable),
    body_example={"charge": "bytes"},
    example=EXAMPLE,
)
def put_pool(call: Call, pool: str, body: PoolRequest) -> PoolAnswer:
    """What it charges is fixed: changing it would alter past balances. Repeating the request changes nothing."""
    if pools.read_pools(call.tx).charges.get(pool) != body.charge:
        pools.create_pool(call.tx, pool, body.charge, call.now)
    return show(pools.read_pools(call.tx), pool)


@operation(
    "GET",
    "/v1/products",
    may="pools:read",
    narrows=True,
    summary="List mapped products",
    answer=Listed(ProductAnswer),
    example={"items": [ProductAnswer("mobile", "mobile")], "next": None},
)
def list_products(call: Call) -> ListPage[ProductAnswer]:
    """All that are mapped; every other product belongs to `traffic`."""
    known = pools.read_pools(call.tx)
    return ListPage([ProductAnswer(product, pool) for product, pool in known.products.items()], None)


@operation(
    "PUT",
    "/v1/products/{product}",
    may="pools:write",
    summary="Map a product to a pool",
    body=ProductRequest,
    answer=ProductAnswer,
    errors=(NotFound, Conflict, Unprocessable),
    body_example={"pool": "mobile"},
    example=ProductAnswer("mobile", "mobile"),
)
def map_product(call: Call, product: str, body: ProductRequest) -> ProductAnswer:
    """Possible until the product is first used. Repeating the request changes nothing."""
    pools.map_product(call.tx, product, body.pool, call.now)
    return ProductAnswer(product, body.pool)


def show(known: Pools, pool: str) -> PoolAnswer:
    return PoolAnswer(pool, known.charge(pool), known.products_of(pool))

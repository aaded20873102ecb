"""`flowtally pool`: which products are paid from the same grants, and what they charge."""

from __future__ import annotations

from typing import Annotated

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, table
from flowtally.core.words import Charge
from flowtally.protocol import PoolAnswer, PoolRequest, ProductRequest

commands = typer.Typer(name="pool", help="Pools: products that the same grants pay for.", cls=CommandGroup)

Pool = Annotated[str, typer.Argument(metavar="POOL", help="The pool's name.")]


@commands.command("list")
def list_all(json: Json = False) -> None:
    """List all pools with the products mapped to them."""
    with ask.client() as client:
        found = list(client.pools())
    if json:
        document(found)
        return
    table(("pool", "charges", "products"), [(one.name, one.charge, ", ".join(one.products)) for one in found])


@commands.command("create", epilog=example("flowtally pool create captcha --charge requests"))
def create(
    pool: Pool,
    charge: Annotated[Charge, typer.Option("--charge", help="What its grants pay for.")] = "bytes",
    json: Json = False,
) -> None:
    """Create a pool. What its grants pay for cannot be changed later."""
    with ask.client() as client:
        _show(client.create_pool(pool, PoolRequest(charge=charge)), json)


@commands.command("map", epilog=example("flowtally pool map captcha-solver captcha"))
def map_product(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="The product, as events name it.")],
    pool: Pool,
    json: Json = False,
) -> None:
    """Let the grants of a pool pay for a product. A mapping that has been used cannot be changed."""
    with ask.client() as client:
        answer = client.map_product(product, ProductRequest(pool=pool))
    if json:
        document(answer)
        return
    facts({"product": answer.product, "pool": answer.pool})


def _show(pool: PoolAnswer, json: bool) -> None:
    if json:
        document(pool)
        return
    facts({"pool": pool.name, "charges": pool.charge, "products": ", ".join(pool.products)})

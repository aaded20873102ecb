"""The application: every operation as a route, one shape for errors, one layer around all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from litestar import Litestar, Response
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler

from flowtally.api import (
    accounts,
    actions,
    allocations,
    audit,
    balance,
    bound_users,
    care,
    changes,
    check_ins,
    corrections,
    credentials,
    endpoints,
    erasures,
    events,
    explain,
    export,
    gateways,
    grants,
    health,
    held,
    lease_plans,
    leases,
    passwords,
    periods,
    places,
    plans,
    pools,
    provider_reports,
    providers,
    purchases,
    radius,
    readings,
    reconciliation,
    retention,
    samples,
    senders,
    shadows,
    sources,
    stock,
    taken,
    usage,
    users,
    vouchers,
    wallet,
    webhooks,
    whitelist,
)
from flowtally.core.errors import FlowtallyError
from flowtally.web.access import Access
from flowtally.web.bodies import AnyRequest, HeadersOnce
from flowtally.web.cors import Preflights
from flowtally.web.direct import Direct
from flowtally.web.heads import Heads
from flowtally.web.openapi import describe
from flowtally.web.operation import OPERATIONS, options, route
from flowtally.web.paths import Paths
from flowtally.web.problems import answer_problem
from flowtally.web.schemas import Document

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

# Importing a module declares its operations.
MODULES = (
    *(events, taken, sources, held, corrections, readings, radius, changes, usage, export, balance, explain, periods),
    reconciliation,
    *(accounts, users, passwords, erasures, allocations, whitelist),
    *(grants, wallet, plans, purchases, vouchers, check_ins, credentials, senders, pools, places),
    *(stock, lease_plans, leases),
    *(providers, provider_reports, shadows),
    *(actions, bound_users, samples, gateways, endpoints),
    webhooks,
    *(audit, care, retention, health),
)


def build_application(
    lifespan: Sequence[Lifespan] = (),
    *,
    dialects: Sequence[HTTPRouteHandler] = (),
    more: Callable[[Document], Document] = lambda document: document,
    elsewhere: Callable[[AnyRequest], Response[Any] | None] = lambda request: None,
) -> Litestar:
    """Routes over `app.state.services`, which whoever starts it sets (a lifespan, or `server.run`). `dialects`: routes
    beside our own; `more` puts them into the OpenAPI document, `elsewhere` answers at paths that nobody serves, or
    leaves them to us."""

    def answer_unserved(request: AnyRequest, error: NotFoundException) -> Response[Any]:
        return elsewhere(request) or answer_problem(request, error)

    app = Litestar(
        [*_options(), *(route(op) for op in OPERATIONS), *dialects],
        exception_handlers={
            FlowtallyError: answer_problem,
            NotFoundException: answer_unserved,
            HTTPException: answer_problem,
            Exception: answer_problem,
        },
        lifespan=list(lifespan),
        request_class=HeadersOnce,
        openapi_config=None,  # ours says more, and strictly what is enforced
        logging_config=None,
        debug=False,
        request_max_body_size=None,  # every body is read by api.inputs, which bounds size and time
    )
    app.state.openapi = msgspec.json.encode(more(describe(OPERATIONS)))
    # Unknown paths are answered before the framework's own middleware: so the layer goes around everything.
    app.asgi_handler = Access(Preflights(Heads(Paths(Direct(app.asgi_handler, OPERATIONS)))))
    return app


def _options() -> Iterator[HTTPRouteHandler]:
    """Before the others of their paths, or the framework makes its own."""
    methods: dict[str, list[str]] = defaultdict(list)
    for op in OPERATIONS:
        methods[op.path].append(op.method)
    return (options(path, served) for path, served in methods.items())

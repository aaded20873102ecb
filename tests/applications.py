"""Applications that are built once in a process and serve one test after another, each over stores of its own.

What an application is made of (its routes, the OpenAPI document) is the same for all with the same dialects, takes a
fifth of a second to build and holds nothing of an installation: that is in the services, made for each test, and in
the dialects' throttles and meters, which are begun anew. So an application is taken by one test at a time, and two
that a test has at once are two. `test_applications.py` holds that one of these is what `create_app` builds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import cache, partial
from typing import Any, Final

import msgspec
from litestar import Litestar
from tests import promised
from tests.app_client import AppClient

from flowtally.api import application
from flowtally.api.reference import serving
from flowtally.config import Config
from flowtally.server import open_services
from flowtally.vendors import VENDORS
from flowtally.vendors.describing import describe_dialects
from flowtally.vendors.serving import Served, elsewhere, enabled
from flowtally.web.openapi import describe
from flowtally.web.operation import OPERATIONS, Operation
from flowtally.web.schemas import Document
from flowtally.web.services import Services

Opening = Callable[[], AbstractContextManager[Services]]


@cache
def _described() -> bytes:
    return msgspec.json.encode(describe(OPERATIONS))


def _described_once(_operations: Sequence[Operation]) -> Document:
    """Half of what an application takes to build is the part of its document that is the same in all of them."""
    document: Document = msgspec.json.decode(_described())
    return document


building: Any = application
building.describe = _described_once
serving.make = cache(serving.make)  # the page of a document is the same whoever serves it


class Kept:
    """One application, for whoever serves now."""

    def __init__(self, config: Config) -> None:
        self._served = [Served(dialect, config) for dialect in enabled(VENDORS, config)]
        self._opening: Opening | None = None
        self.app = application.build_application(
            [self._lifespan],
            dialects=[handler for one in self._served for handler in one.handlers()],
            more=partial(describe_dialects, enabled(VENDORS, config)),
            elsewhere=elsewhere(VENDORS, config),
        )
        self._document = self.app.state.openapi

    @asynccontextmanager
    async def _lifespan(self, app: Litestar) -> AsyncIterator[None]:
        assert self._opening is not None
        with self._opening() as services:
            app.state.services = services
            yield

    def begin(self, config: Config, opening: Opening) -> None:
        """As if it had just been built."""
        for one, dialect in zip(self._served, enabled(VENDORS, config), strict=True):
            Served.__init__(one, dialect, config)
        for name in list(self.app.state):
            del self.app.state[name]
        self.app.state.openapi = self._document
        self._opening = opening


_idle: Final[defaultdict[tuple[tuple[str, int], ...], list[Kept]]] = defaultdict(list)


@contextmanager
def served(config: Config, *, raise_server_exceptions: bool = True, **services: Any) -> Iterator[AppClient]:
    """A client of an application with these settings over what `services` hands in: see `server.open_services`."""
    idle = _idle[tuple((one.name, len(one.routes)) for one in enabled(VENDORS, config))]
    kept = idle.pop() if idle else Kept(config)
    kept.begin(config, partial(open_services, config, **services))
    with AppClient(kept.app, raise_server_exceptions=raise_server_exceptions) as client:
        yield client
    idle.append(kept)  # one whose test left with an error is not used again


@contextmanager
def asked_by(token: str, config: Config, **services: Any) -> Iterator[AppClient]:
    """The same for who has this token: faults are answered as a server answers them, and each answer is held against
    the document."""
    with served(config, raise_server_exceptions=False, **services) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        client.event_hooks["response"].append(promised.check)
        yield client

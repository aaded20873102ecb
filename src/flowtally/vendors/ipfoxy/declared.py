"""Where IPFoxy's routes are declared: each under the one path all of them have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowtally.core.words import Method
from flowtally.vendors.base import Route, declaring

BASE: Final = "/ip/open-api/"
ROUTES: Final[list[Route]] = []
_declare: Final = declaring(ROUTES)


def route(method: Method, name: str, **declared: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorated function as the endpoint of that name."""
    return _declare(method, BASE + name, **declared)

"""What all lists have in common: the two parameters, and pages of ledger records as pages of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from flowtally.ledger.pages import DEFAULT_LIMIT, MAX_LIMIT, ListPage

R = TypeVar("R")
A = TypeVar("A")

Cursor = Annotated[
    str | None,
    Meta(
        description="The `next` of the page before, with the same other parameters (`limit` may change). Left out: "
        "the first page."
    ),
]
Limit = Annotated[int, Meta(description="How many items a page has at most.", ge=1, le=MAX_LIMIT)]


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


def show_page(page: ListPage[R], show: Callable[[R], A]) -> ListPage[A]:
    return ListPage([show(item) for item in page.items], page.next)

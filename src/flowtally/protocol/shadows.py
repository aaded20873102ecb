"""Shadows: which calls of a dialect are asked of the vendor, too, and where its answers differ."""

from __future__ import annotations

import msgspec

from flowtally.core.comparing import Differs
from flowtally.core.edges import Instant


class ShadowRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Whether calls of a dialect are asked of the vendor, too.

    enabled: On or off.
    provider: With the secrets of which provider of the account, at this vendor; needed to turn it on.
    share: Of so many of a hundred calls, chosen by chance.
    """

    enabled: bool
    provider: str | None = None
    share: int = 100


class ShadowRouteCount(msgspec.Struct, frozen=True):
    """What came of the calls of one route.

    route: Method and path of the dialect.
    agreed: How often the vendor's answer said the same.
    differed: How often it did not.
    failed: How often there was none to compare.
    last_at: When the last of them was asked here.
    """

    route: str
    agreed: int
    differed: int
    failed: int
    last_at: Instant


class ShadowAnswer(msgspec.Struct, frozen=True):
    """Whether an account's calls of a dialect are asked of the vendor, too, and what came of it.

    dialect: In which vendor's format the calls are.
    enabled: Off until somebody turns it on.
    asking: Whether the vendor is asked: it is not where the provider is paused or the account closed.
    provider: With whose secrets; null: it never was on.
    share: Of so many of a hundred calls.
    changed_at: When it was set last; null: never.
    detail: Why the last call that failed did; empty: none did.
    detail_at: When that call was asked here.
    routes: The routes of which calls were asked.
    """

    account: str
    dialect: str
    enabled: bool
    asking: bool
    provider: str | None
    share: int
    changed_at: Instant | None
    detail: str
    detail_at: Instant | None
    routes: list[ShadowRouteCount]


class ShadowDifference(msgspec.Struct, frozen=True):
    """A call to which the vendor's answer was another than ours.

    id: Its id.
    dialect: In which vendor's format it was asked.
    provider: With whose secrets the vendor was asked.
    route: Method and path of the dialect.
    at: When the customer asked it.
    question: Its parameters as JSON, without what the caller showed.
    ours: Our answer as JSON, without passwords; a long one ends in an ellipsis.
    theirs: The vendor's.
    fields: Which fields differ, and by how much: at most 50.
    count: How many differ.
    """

    id: str
    dialect: str
    provider: str
    route: str
    at: Instant
    question: str
    ours: str
    theirs: str
    fields: list[Differs]
    count: int

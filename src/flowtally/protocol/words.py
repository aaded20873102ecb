"""The words that several messages share: scopes, states, limits, totals, as of when."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from flowtally.core.edges import Instant

MAX_EVENTS: Final = 100_000  # per request
MAX_BODY_BYTES: Final = 64 * 1024 * 1024  # decompressed, per request
DEFAULT_DURATION_S: Final = 90 * 86_400  # of what a voucher is redeemed into
DEFAULT_URL: Final = "http://127.0.0.1:8120"  # where a server listens unless it is told otherwise
DEFAULT_POOL: Final = "traffic"  # of products that name none
MAX_PRIORITY: Final = 1_000_000  # of a grant
MAX_KEY_CHARS: Final = 255  # of an Idempotency-Key
MAX_ACCOUNTS_ASKED: Final = 100  # in one question whether they are there

ReceiptStatus = Literal["stored", "duplicate", "conflict", "refused"]


class CommitAnswer(msgspec.Struct, frozen=True):
    """A block and the instant it was received."""

    block: int
    received_at: Instant


class AsOf(msgspec.Struct, frozen=True):
    """The moment of an answer. The same question with `as_of` = `token` has the same answer for ever.

    block: Rows up to this block are counted.
    instant: What had been promised by then (grants, draws and the like) is counted.
    earliest: The first commit whose rows were kept then, which is how far back could be asked; null before the first
        event.
    token: Send it as `as_of` to ask for this moment again.
    """

    block: int
    instant: Instant
    earliest: CommitAnswer | None
    token: str = ""


class Totals(msgspec.Struct, frozen=True):
    """Quantities added up.

    requests: How many requests.
    """

    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class Problem(msgspec.Struct, frozen=True):
    """What went wrong, as RFC 9457 problem details. Other members depend on the code.

    type: A URN of the code.
    title: The kind of problem, in a few words.
    status: The HTTP status of the answer.
    detail: What is wrong with this request, with its values, and what to do; this text may change.
    code: A stable word for the kind of problem: what programs look at.
    request_id: The id of the request, which the server's log has too.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


class PageAnswer(msgspec.Struct, frozen=True):
    """A page of a list: ask again with `cursor` = `next`."""

    items: list[object]
    next: str | None

"""Why something failed, in the few words that a vendor's message has room for. Pure.

Our own sentences name our routes, ids and settings, and repeat values: nothing of that is a vendor's. Owns what is said
instead, beside the vendor's own words for its code: the parameter that is wrong, or what stands in the way.
"""

from __future__ import annotations

from typing import Final

from flowtally.core import errors
from flowtally.core.errors import FlowtallyError

# The first that fits. What is not here is said by the code alone.
WHY: Final[tuple[tuple[type[FlowtallyError], str], ...]] = (
    (errors.Forbidden, "not allowed with this token"),
    (errors.MethodNotAllowed, "method not allowed"),
    (errors.AccountSuspended, "the account is suspended"),
    (errors.AccountErased, "the account is closed"),
    (errors.NameTaken, "the name exists already"),
    (errors.LimitReached, "the maximum number is reached"),
    (errors.IdempotencyMismatch, "the key was used for another request"),
    (errors.UnknownUser, "no such account"),
    (errors.TooLarge, "too large"),
    (errors.SlowBody, "too slow"),
    (errors.UnsupportedMedia, "content type"),
    (errors.MalformedBody, "body"),
)


def why(error: FlowtallyError) -> str:
    """The name of the parameter, or what stands in the way; empty where there is nothing to add."""
    parameter = error.extra.get("parameter")
    if isinstance(parameter, str) and parameter:
        return parameter
    return next((words for kind, words in WHY if isinstance(error, kind)), "")


def with_why(usual: str, error: FlowtallyError) -> str:
    """`Parameter error: page`."""
    added = why(error)
    return f"{usual}: {added}" if added else usual

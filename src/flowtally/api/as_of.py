"""The parameter that asks for the answer of a past moment. Whatever has it tells its own moment too (`operation`)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.protocol import AsOf

AsOfText = Annotated[
    str | None,
    Meta(
        description="The answer of a past moment: the token of an earlier answer (its `as_of.token`), or an instant "
        "(RFC 3339), which means all that had been received and promised by then. What depends on now, such as "
        "defaults, depends on that instant.",
        examples=["2026-03-14T00:00:00Z"],
    ),
]
EXAMPLE = AsOf(4711, "2026-03-14T00:00:00Z", None, "kqVhc19vZpbAzRJnB88AAAGdHKZ4AAAAR6yZfQ")


class AsOfQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: AsOfText = None

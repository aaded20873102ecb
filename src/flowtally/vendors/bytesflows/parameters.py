"""What a request of BytesFlows' clients says. Pure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

MAX_PAGE_SIZE: Final = 100


class RecordsQuery(msgspec.Struct, frozen=True, rename="camel"):
    page_no: Annotated[int, Meta(description="Which page, from 1 on; past the end there are no records.", ge=1)] = 1
    page_size: Annotated[
        int, Meta(description="How many records a page has; more than 100 is taken for 100.", ge=1)
    ] = 10
    source_type: Annotated[str, Meta(description="Only grants of this source, such as `order` or `sign`.")] = ""

    def page(self) -> slice:
        """Which of all records."""
        size = min(self.page_size, MAX_PAGE_SIZE)
        return slice((self.page_no - 1) * size, self.page_no * size)

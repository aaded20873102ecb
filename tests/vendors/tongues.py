"""Every dialect and each of its routes, for the laws that hold for all of them: how a success and a refusal look.

Everything else is read from what a dialect declares, and from `asking`, which says where its clients put their secrets:
a new route or a new vendor is under the laws by being there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import msgspec
import pytest

from flowtally.vendors import VENDORS
from flowtally.vendors.base import Dialect


class Tongue(msgspec.Struct, frozen=True):
    """`refusal`: the code of a whole error envelope; None if the answer is none."""

    succeeded: Callable[[int, Any], bool]
    refusal: Callable[[int, Any], int | None]


def _in_body(success: int, fields: set[str], empty: Any) -> Callable[[int, Any], int | None]:
    """Refusals that say their code in the body, whatever HTTP says."""

    def refusal(status: int, body: Any) -> int | None:
        whole = set(body) == fields and body["data"] == empty and isinstance(body["msg"], str) and body["msg"] != ""
        return int(body["code"]) if whole and body["code"] != success else None

    return refusal


def _whitepages(status: int, body: Any) -> int | None:
    gateway = set(body) == {"message"}
    service = set(body) == {"error", "wp_trace_id"} and body["error"]["code"] == status
    return status if status >= 400 and (gateway or service) else None


def _thordata_code(body: Any) -> Any:
    """One of its answers has an envelope of its own."""
    return body["status_code"] if set(body) == {"status_code", "payload"} else body["code"]


ENVELOPE: Final = {"code", "msg", "data"}
TONGUES: Final[dict[str, Tongue]] = {
    "thordata": Tongue(lambda status, body: status == 200 and _thordata_code(body) == 200, _in_body(200, ENVELOPE, {})),
    "bytesflows": Tongue(lambda status, body: status == 200 and body["code"] == 200, _in_body(200, ENVELOPE, None)),
    "ipfoxy": Tongue(lambda status, body: status == 200 and body["code"] == 0, _in_body(0, ENVELOPE, {})),
    "whitepages": Tongue(lambda status, body: status == 200 and "usage_data" in body, _whitepages),
}

MOST_CHARS: Final = 120  # of a message: the longest known of theirs has 107

ROUTES: Final = [(dialect, route) for dialect in VENDORS for route in dialect.routes]

every_dialect = pytest.mark.parametrize("dialect", VENDORS, ids=lambda one: one.name)


def assert_refused(dialect: Dialect, answer: httpx.Response) -> int:
    """A whole envelope of the vendor's, that is no success; its code."""
    assert answer.headers["content-type"].startswith("application/json"), answer.text
    code = TONGUES[dialect.name].refusal(answer.status_code, answer.json())
    assert code is not None, (answer.request.method, answer.url.path, answer.status_code, answer.text)
    assert max(map(len, texts_in(answer.json()))) <= MOST_CHARS, answer.text
    return code


def texts_in(value: Any) -> Iterator[str]:
    """All of a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts_in([*value, *value.values()])
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)

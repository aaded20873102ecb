"""An answer of a vendor: JSON with exact decimals, or an error that shows what came."""

from __future__ import annotations

from decimal import Decimal

import pytest

from flowtally.providers.puller import MAX_SAMPLE, ChangedShape, VendorAnswer


def answer(body: str, content_type: str = "text/html") -> VendorAnswer:
    return VendorAnswer(200, {"content-type": content_type}, body.encode())


def test_decimals_are_exact_and_whole_numbers_whole() -> None:
    assert answer('{"a": 4719123.98, "b": 12345678901234567890}').json() == {
        "a": Decimal("4719123.98"),
        "b": 12345678901234567890,
    }


@pytest.mark.parametrize("body", ["<html>Maintenance</html>", "", '{"a": NaN}', '{"a": 1', "[" * 100_000])
def test_what_is_no_json_is_an_error_that_shows_it(body: str) -> None:
    with pytest.raises(ChangedShape, match=r"HTTP 200 \(text/html\) is no JSON") as found:
        answer(body).json()
    assert found.value.sample == body[:MAX_SAMPLE]

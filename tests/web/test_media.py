"""Accept headers: what is liked best, and what fits nothing. Pure."""

from __future__ import annotations

import pytest

from flowtally.core.errors import NotAcceptable
from flowtally.web.media import choose

OFFERED = ("application/json", "text/csv")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        (",, ,", "application/json"),
        ("TEXT/CSV", "text/csv"),
        ("text/csv, application/json", "text/csv"),  # equals: what is named first
        ("*/*, text/csv", "text/csv"),  # equals: what is named more closely
        ("application/json;q=0.1, text/csv;q=0.2", "text/csv"),
        ("application/json;q=0, */*", "text/csv"),  # left out by name, though anything goes
        ("text/csv;q=abc, application/json;q=0.1", "application/json"),
        ("text/csv;q=1.5, application/json;q=0.1", "application/json"),
        ("text/csv;header=present;q=0.4, application/json;q=0.3", "text/csv"),
        ("text/html;q=1, text/csv;q=0.001", "text/csv"),
    ],
)
def test_the_best_fit_is_chosen(accept: str, chosen: str) -> None:
    assert choose(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["text/html", "*/*;q=0", "text/csv;q=0.0, image/*", "application/json;q=0"])
def test_nothing_that_fits_is_an_error_that_says_what_there_is(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json, text/csv"):
        choose(accept, OFFERED)

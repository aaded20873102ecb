"""What is kept of a request until it is answered is what was sent, to the letter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.core.events import UsageEvent
from flowtally.ingest import event_rows
from flowtally.ingest.columns import Columns
from flowtally.ingest.prepare import prepare, prepare_rows, slim

TIMES: Final = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.25+01:00", "2026-01-01T00:00:00.000Z"]

names = st.sampled_from(["a", "b", "שלום", "a name"])
events = st.builds(
    UsageEvent, source=names, account=names, id=names, sequence=st.none() | st.integers(1, 9) | st.just("007"),
    position=st.sampled_from([None, None, "", "p"]), time=st.sampled_from(TIMES), user=st.just("") | names,
    product=st.just("") | names, bytes_up=st.integers(0, 2**53 - 1), bytes_down=st.integers(0, 9),
    requests=st.integers(0, 2), status=st.integers(0, 65_535),
    labels=st.sampled_from([None, None, {}, {"k": "v", "c": "de"}, {"c": ""}]),
)  # fmt: skip
alike = st.sampled_from(["named", "numbered", "mixed"])


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """A few are looked at as many are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_rows, "FEW", 0)
        yield


@settings(deadline=None)
@given(st.lists(events, min_size=1, max_size=6), alike, st.integers(1, 10**6))
def test_what_is_kept_of_a_request_is_what_was_sent(those: list[UsageEvent], kind: str, first: int) -> None:
    for number, one in enumerate(those, first):
        if kind != "mixed":
            one.sequence = str(number) if kind == "numbered" else None
    prepared = prepare_rows(those, {})
    kept = slim(prepared)
    assert kept is not None
    assert (list(kept), kept[:], kept[-1], len(kept)) == (those, those, those[-1], len(those))
    assert prepared.columns.all() == Columns.of(those).all()


def test_what_is_changed_later_is_not_what_was_sent() -> None:
    sent = [UsageEvent("log", "acme", f"{n}", None, f"p{n}", TIMES[0], labels={} if n else {"k": "v"}) for n in (0, 1)]
    prepared = prepare_rows(sent, {})
    kept = slim(prepared)
    columns = prepared.columns
    columns.id[0], columns.time[0], columns.labels[0], columns.position[0] = "x", "x", None, "x"
    assert kept is not None
    assert list(kept) == sent
    assert prepared.columns.id[0] == "x"


def test_where_something_is_wrong_or_there_are_no_rows_nothing_is_made_small() -> None:
    sent = [UsageEvent("log", "acme", "1", None, None, TIMES[0])]
    assert slim(prepare(sent, {})) is None
    assert slim(prepare_rows(sent, {0: "bad"})) is None
    assert slim(prepare_rows([UsageEvent("log", "acme", "1", None, None, "x")], {})) is None

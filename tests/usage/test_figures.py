"""What providers said, by its keys: the same sentences hold for the list and for the engine."""

from __future__ import annotations

from typing import Any, Final

from tests.usage.blocks import block

from flowtally.core.reported import span_key
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.entries import CHUNK
from flowtally.usage.store import UsageStore
from flowtally.usage.values import Commit, FigureStretch, Said

DAY: Final = 86_400_000


def row(day: int, user: str = "bob", added: int = 1, series: str = "thor", **more: Any) -> dict[str, Any]:
    key = span_key("day", day * DAY, "residential", user)
    said = {"series": series, "user": user, "time": day * DAY, "bytes_down": added, "requests": 0}
    return said | {"refers_to": key, "key_source": f"provider:{series}", "source": f"provider:{series}"} | more


def keep(store: UsageStore, *blocks: list[dict[str, Any]]) -> None:
    for number, rows in enumerate(blocks, 1):
        store.append(block(number, *rows))
        store.publish(Commit(number, number * 1000))


def said(day: int, user: str, rows: int, sum_: int) -> Said:
    return Said(span_key("day", day * DAY, "residential", user), day * DAY, user, "residential", rows, sum_, 0)


def test_what_was_said_in_a_stretch_is_added_up_by_its_keys(store: UsageStore) -> None:
    before, after = row(0), row(3)
    others = [row(1, series="fox"), row(1, account="beta"), row(1, series="metered", refers_to="")]
    another_grain = row(1, refers_to=span_key("hour", DAY, "residential", "bob"))
    keep(
        store,
        [row(1, "bob", 7), row(2, "eve", 5), before],
        [row(1, "bob", -3, kind="correction", place=1), after, *others, another_grain],
        [row(2, "bob", 0, requests=4)],
    )
    stretch = FigureStretch("thor", "acme", DAY, 3 * DAY, "day ")
    of_bob_in_requests = Said(span_key("day", 2 * DAY, "residential", "bob"), 2 * DAY, "bob", "residential", 1, 0, 4)
    assert store.said_in(stretch) == [said(1, "bob", 2, 4), of_bob_in_requests, said(2, "eve", 1, 5)]
    assert store.said_in(FigureStretch("thor", "acme", DAY, 3 * DAY, "day ", "eve")) == [said(2, "eve", 1, 5)]
    assert store.said_in(FigureStretch("thor", "acme", DAY, 3 * DAY, "day ", "")) == []


def test_what_stands_under_keys_is_found_whenever_it_is_dated(store: UsageStore) -> None:
    grant: dict[str, Any] = {"refers_to": "grant 7", "user": ""}
    keep(
        store,
        [row(1, added=5, product="mobile", place=2, **grant), row(1, series="fox", **grant)],
        [row(9, added=2, kind="correction", **grant)],
    )
    found = store.said_under("thor", "acme", ["grant 7", "grant 8", *(f"none {one}" for one in range(CHUNK))])
    assert found == [Said("grant 7", DAY, "", "mobile", 2, 7, 0)]
    assert store.said_under("thor", "acme", []) == []


def test_sums_of_what_was_said_do_not_end_at_64_bits(written: ClickHouseStore) -> None:
    keep(written, [row(1, added=2**62, place=one) for one in range(4)])
    assert [one.bytes_down for one in written.said_in(FigureStretch("thor", "acme", 0, 9 * DAY, "day "))] == [2**64]

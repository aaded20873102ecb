"""nft's JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.counters.nftables import Nftables, elements, named, objects, table_handle, written
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked

# nftables 1.0.6 (Debian 12), recorded.
META = '{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}'
TABLES = '{"nftables": [%s, {"table": {"family": "inet", "name": "other", "handle": 1}}, %s]}'
TABLE = '{"table": {"family": "inet", "name": "usage", "handle": %d}}'
COUNTERS = (
    '{"nftables": [%s, {"counter": {"family": "inet", "name": "alice_up", "table": "usage", "handle": 2, "packets": 1, '
    '"bytes": 84}}, {"counter": {"family": "inet", "name": "alice_down", "table": "usage", "handle": 3, "packets": 0, '
    '"bytes": %d}}]}'
)
SET = (
    '{"nftables": [%s, {"set": {"family": "inet", "name": "users", "table": "usage", "type": "ipv4_addr", "handle": 4, '
    '"elem": [{"elem": {"val": "10.9.0.1", "counter": {"packets": 2, "bytes": 168}}}, {"elem": {"val": "10.9.0.3", '
    '"comment": "bob", "counter": {"packets": 0, "bytes": 0}}}], "stmt": [{"counter": null}]}}]}'
)


class Nft:
    def __init__(self, handles: Sequence[int] = (7,)) -> None:
        self.handles = list(handles)
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str], timeout_s: float) -> bytes:
        self.asked.append(" ".join(command))
        if command[-1] == "list tables":
            handle = self.handles.pop(0) if len(self.handles) > 1 else self.handles[0]
            return (TABLES % (META, TABLE % handle)).encode()
        return (SET % META if "set" in command[-1] else COUNTERS % (META, 5)).encode()


def poll(nft: Nft, **settings: object) -> list[Stood]:
    counters = Counters(name="x", kind="nftables", table="inet usage", **settings)  # type: ignore[arg-type]
    return Nftables(counters, nft, lambda: "boot-1")()


def test_named_counters_begin_with_their_table_and_themselves() -> None:
    nft = Nft()
    assert [(one.name, one.bytes_up, one.bytes_down, one.epoch) for one in poll(nft)] == [
        ("alice_up", 84, 0, "boot-1/7/2"),
        ("alice_down", 5, 0, "boot-1/7/3"),
    ]
    assert nft.asked == ["nft -j list tables", "nft -j list counters table inet usage", "nft -j list tables"]


def test_elements_are_called_by_their_comment_and_known_by_their_value() -> None:
    found = poll(Nft(), set="users")
    assert [(one.name, one.bytes_up, one.epoch) for one in found] == [
        ("10.9.0.1", 168, "boot-1/7"),
        ("bob", 0, "boot-1/7"),
    ]
    assert not [one for one in found if one.name in one.counter]


def test_counters_of_a_table_that_was_reloaded_meanwhile_are_read_again() -> None:
    assert {one.epoch.rpartition("/")[0] for one in poll(Nft([7, 8, 8]))} == {"boot-1/8"}
    with pytest.raises(Unasked, match="reloaded each time"):
        poll(Nft([1, 2, 3, 4, 5, 6]))


def test_a_table_that_is_not_there_is_told() -> None:
    with pytest.raises(Unasked, match="no table inet nope"):
        table_handle(objects((TABLES % (META, TABLE % 1)).encode()), "inet nope")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ({"prefix": {"addr": "10.0.0.0", "len": 8}}, "10.0.0.0/8"),
        ({"range": ["10.0.0.1", "10.0.0.9"]}, "10.0.0.1-10.0.0.9"),
        ({"concat": ["10.0.0.1", 80]}, "10.0.0.1 . 80"),
        ({"concat": [{"prefix": {"addr": "fd00::", "len": 8}}, "eth0"]}, "fd00::/8 . eth0"),
    ],
)
def test_values_are_written_as_nft_takes_them(value: object, text: str) -> None:
    assert written(value) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["elem", "val", "counter", "bytes"]), inner)
    ),
    max_leaves=8,
)


@given(JSON, st.binary(max_size=30))
def test_anything_else_is_told_and_counts_nothing(noise: object, raw: bytes) -> None:
    counter = {"family": "inet", "table": "usage", "name": "a", "handle": 1, "bytes": noise}
    kept = {"set": {"name": "users", "elem": noise}}
    for text in (
        json.dumps({"nftables": [noise]}).encode(),
        json.dumps({"nftables": [{"counter": counter}, kept]}).encode(),
        raw,
    ):
        for read in (named, elements):
            try:
                found = read(objects(text), "inet usage", "e")
            except Unasked:
                continue
            assert all(isinstance(one.bytes_up, int) and one.bytes_up >= 0 for one in found)

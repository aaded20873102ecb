"""Columns made for whole requests before anything is looked up, against a model that takes one event at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowtally.core.edges import parse_instant
from flowtally.core.errors import FlowtallyError, SequenceGap
from flowtally.core.events import UsageEvent
from flowtally.ingest import admission, event_rows
from flowtally.ingest.admission import Submitter
from flowtally.ingest.block import first_number
from flowtally.ingest.columns import Columns
from flowtally.ingest.event_rows import EventRows, coded, numbers_of
from flowtally.ingest.prepare import NO_DIGESTS, Prepared, join, prepare, prepare_rows
from flowtally.keys.values import Advance

TIME: Final = "2026-01-01T00:00:00Z"
PLAIN: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(\.\d{1,6})?(Z|[+-]\d\d:[0-5]\d)", re.ASCII)

texts = st.sampled_from(["", "a", "b", "c", "שלום", "\x00"])
sequences = st.none() | st.integers(1, 9) | st.sampled_from(["1", "7", "007", "x", "", "99999999999999999999"])
events = st.builds(
    UsageEvent, source=texts, account=texts, id=texts, sequence=sequences, position=st.none() | st.just("p"),
    time=st.sampled_from([TIME, "1969-01-01T00:00:00Z", None, "x"]), user=texts, product=texts,
    bytes_up=st.integers(0, 2**53 - 1), status=st.integers(0, 65_535),
    labels=st.none() | st.dictionaries(texts, texts, max_size=2),
)  # fmt: skip
requests = st.tuples(st.lists(events, min_size=1, max_size=6), st.sampled_from([prepare, prepare_rows]))


@pytest.fixture(scope="module", autouse=True, params=["few", "many"])
def few(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is short here is looked at as what is short, and as what is long."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "many":
            patch.setattr(event_rows, "FEW", 0)
            patch.setattr(admission, "FEW", 1)
        yield


def slow_batch(
    columns: Columns, times: Any, ids: Sequence[str], digests: Sequence[int], advances: Mapping[str, Advance]
) -> dict[str, list[Any]]:
    """What is stored of these events, one after the other."""
    numbers = [0 if one is None else int(one) for one in columns.sequence]
    positions, told = [""] * len(columns), set()
    for row in reversed(range(len(columns))):
        name = columns.source[row]
        if numbers[row] and name in advances and name not in told:
            told.add(name)
            positions[row] = advances[name].position or ""
    return {
        "series": ["metered"] * len(columns),
        "account": columns.account,
        "user": list(ids),
        "product": columns.product,
        "source": columns.source,
        "id": columns.id,
        "sequence": numbers,
        "time": list(times),
        "status": columns.status,
        "bytes_up": columns.bytes_up,
        "bytes_down": columns.bytes_down,
        "requests": columns.requests,
        "labels": [list((one or {}).items()) for one in columns.labels],
        "kind": ["use"] * len(columns),
        "refers_to": [""] * len(columns),
        "key_source": columns.source,
        "digest": [
            0 if number or not digests else digest for number, digest in zip(numbers, digests or numbers, strict=True)
        ],
        "mark": [advances[name].mark if number else 0 for name, number in zip(columns.source, numbers, strict=True)],
        "position": positions,
    }


def storable(rows: Prepared) -> list[int]:
    """Those that nothing is wrong with, as far as can be seen here."""
    columns = rows.columns
    numbered = [one is None or isinstance(one, int) or one in ("1", "7", "007") for one in columns.sequence]
    return [row for row in range(len(columns)) if row not in rows.faults and numbered[row]]


@settings(max_examples=400, deadline=None)
@given(st.lists(requests, min_size=1, max_size=3), st.data())
def test_the_columns_of_requests_are_those_of_their_events(sent: list[Any], data: st.DataObject) -> None:
    block = join([how(those, {}) for those, how in sent])
    rows = [row for row in storable(block) if data.draw(st.booleans() | st.just(True))]
    columns = Columns.of([one for those, _ in sent for one in those]).only(rows)
    digests = block.digests[rows].tolist() if len(block.digests) else []
    numbered = {name for name, one in zip(columns.source, columns.sequence, strict=True) if one is not None}
    advances = {name: Advance(1, name, 40 + n, data.draw(st.sampled_from([None, "", "ü9"]))) for n, name in
                enumerate(sorted(numbered))}  # fmt: skip
    made = block.rows().only(rows)
    names = [f"{account}/{user}" for account, users in made.groups for user in users]
    batch = made.batch(names, made.codes, advances)
    ids = [f"{account}/{user}" for account, user in zip(columns.account, columns.user, strict=True)]
    assert batch.to_pydict() == slow_batch(columns, block.times[rows], ids, digests, advances)
    for column in batch.columns:
        column.validate(full=True)
        if isinstance(column, pa.DictionaryArray):
            texts = column.dictionary.to_pylist()
            assert len(set(texts)) == len(texts), "a text that is there twice would be two values to the engine"
    if rows:
        assert {(account, user) for account, users in block.rows().groups_of(rows) for user in users} == set(
            zip(columns.account, columns.user, strict=True)
        )
        assert set(made.products()) == set(columns.product)


@settings(deadline=None)
@given(st.lists(events, min_size=1, max_size=6))
def test_what_is_wrong_with_events_is_the_same_with_their_columns(those: list[UsageEvent]) -> None:
    plain, ahead = prepare(those, {}), prepare_rows(those, {})
    assert (plain.faults, plain.times.tolist(), plain.keys, plain.digests.tolist()) == (
        ahead.faults, ahead.times.tolist(), ahead.keys, ahead.digests.tolist(),
    )  # fmt: skip
    assert set(plain.accounts()) - set(ahead.accounts()) <= {those[row].account for row in plain.faults}


@pytest.mark.parametrize("field", ["account", "user", "product", "labels"])
def test_half_a_character_is_in_no_column_and_in_the_way_of_no_other_event(field: str) -> None:
    those = [UsageEvent("log", "acme", "", number, None, TIME, user=f"u{number}") for number in (1, 2, 3)]
    setattr(those[1], field, {"k": "\ud800"} if field == "labels" else "\ud800")
    for how in (prepare, prepare_rows):
        block = how(those, {})
        assert list(block.faults) == [1]
        made = block.rows().only([0, 2])
        assert made.groups == [("acme", ["u1"]), ("acme", ["u3"])]
        assert made.sequence.tolist() == [1, 3]


@pytest.mark.parametrize("table", [0, event_rows.TABLE])
def test_users_are_the_same_however_many_could_be(table: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_rows, "TABLE", table)
    those = [UsageEvent(f"s{n}", f"a{n * 7 % 11}", f"{n}", time=TIME, user=f"u{n * 5 % 13}") for n in range(60)]
    rows = EventRows.of(Columns.of(those), np.zeros(60, dtype=np.int64), {}, NO_DIGESTS)
    names = [(account, user) for account, users in rows.groups for user in users]
    assert [names[code] for code in rows.codes.tolist()] == [(one.account, one.user) for one in those]
    assert len(names) == len(set(names))


@given(st.lists(st.sampled_from("abc")))
def test_ids_are_told_once_each(ids: list[str]) -> None:
    each, codes = coded(ids)
    assert [each[code] for code in codes.tolist()] == ids
    assert len(each) == len(set(ids))


# -- numbers ----------------------------------------------------------------------------------------------------------


@st.composite
def numberings(draw: st.DrawFn) -> list[int | str | None]:
    """Runs, and what is nearly one."""
    first = draw(st.sampled_from([0, 1, 7, 8, 95, 99, 998, 10**18 - 2, 2**63 - 3]))
    asked: list[Any] = list(map(str, range(first, first + draw(st.integers(1, 12)))))
    if draw(st.booleans()):
        other = draw(st.sampled_from([None, 9, "09", "0010", "10", "+9", " 9", "x", "", "²", "\ud800", "-1", "1e1"]))
        asked[draw(st.integers(0, len(asked) - 1))] = other
    return asked


@settings(max_examples=400)
@given(numberings())
@example(["1", "02", "3"])
def test_a_run_is_known_exactly_where_every_number_is_written_as_it_is(asked: list[int | str | None]) -> None:
    numbers, first = numbers_of(asked)
    if first:
        assert asked == list(map(str, range(first, first + len(asked))))
        assert first_number(asked, "log", first - 1) == first
        assert numbers.tolist() == list(range(first, first + len(asked)))
    elif None not in asked and all(isinstance(one, str) for one in asked):
        written = [one for one in asked if isinstance(one, str) and one.isascii() and one.isdigit()]
        run = len(written) == len(asked) and written == [str(int(written[0]) + n) for n in range(len(written))]
        assert not run or written[0] == "0" or int(written[-1]) >= 2**63 or len(asked) <= event_rows.FEW
    if not first and None not in asked:
        try:
            first_number(asked, "log", 2**63)
        except SequenceGap:
            return
        assert numbers.tolist() == [int(one) for one in asked if one is not None]


# -- times ------------------------------------------------------------------------------------------------------------


@st.composite
def instants(draw: st.DrawFn) -> list[str]:
    ends = ["Z", ".1Z", ".123456Z", "+02:00"]
    text = f"2026-0{draw(st.integers(1, 9))}-17T2{draw(st.integers(0, 4))}:5{draw(st.integers(0, 9))}:59"
    found = [text + draw(st.sampled_from(ends))] * draw(st.integers(1, 4))
    if draw(st.booleans()):
        at, char = draw(st.integers(0, len(found[0]) - 1)), draw(st.sampled_from("0956:-TZz. +٣"))
        found.append(found[0][:at] + char + found[0][at + 1 :])
    return [*found, text + draw(st.sampled_from([*ends, "", ".Z", ".1234567Z"]))]


@settings(max_examples=400)
@given(instants())
def test_instants_are_read_at_once_exactly_where_each_is_plain(texts: list[str]) -> None:
    found = admission._plain_times(list(texts))
    if found is not None:
        assert all(PLAIN.fullmatch(text) for text in texts)
        assert found.tolist() == [parse_instant(text) for text in texts]
    elif len(texts) >= admission.FEW and all(PLAIN.fullmatch(text) for text in texts):
        assert any(map(_is_none, texts))


def _is_none(text: str) -> bool:
    try:
        parse_instant(text)
    except FlowtallyError:
        return True
    return False


# -- the world --------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=4),
    st.sampled_from([None, "a"]),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["active", "suspended", "closed"])),
)
def test_all_fit_exactly_where_nothing_is_wrong_with_any(
    those: list[tuple[str, int]], account: str | None, statuses: dict[str, str]
) -> None:
    columns = Columns.of([UsageEvent("s", account) for account, _ in those])
    times, writers = np.array([at for _, at in those]), [(Submitter("me", account), len(those))]
    fit = admission.all_fit(set(columns.account), times, writers, statuses, 2)
    assert fit == (not admission.world_faults(columns, times, writers, statuses, 2))

"""What a provider says becomes rows that add up to what it said last, and not one more than it changed its mind.

The bookkeeper (`said`) remembers amounts and no differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.said import Bookkeeper, a_statement, added_up, figure, said

from flowtally.core.reported import UseSaid, check_said
from flowtally.ingest.report_plan import NO_MORE, OTHERWISE, ReportAnswer, id_of, plan, stretch_of
from flowtally.ingest.rows import NewRow, batch_of
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import Block

STATEMENTS: Final = st.randoms(use_true_random=False).map(a_statement)


class Book:
    """What was planned is kept, and read as the store reads it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.rows: list[NewRow] = []
        self.blocks = 0

    def hear(self, said: UseSaid, series: str = "thor") -> tuple[Sequence[NewRow], ReportAnswer]:
        check_said(said)
        stretch = stretch_of("acme", series, said)
        keys = [one.key for one in said.figures]
        stood = self.store.said_under(series, "acme", keys) if stretch is None else self.store.said_in(stretch)
        done = plan("acme", series, said, stood)
        if done.rows:
            self.blocks += 1
            self.store.append(Block(self.blocks, self.blocks, batch_of(done.rows)))
            self.rows += done.rows
        return done.rows, done.answer


@given(st.lists(STATEMENTS, max_size=12))
def test_whatever_is_said_each_key_stands_at_what_was_said_last(all_said: list[UseSaid]) -> None:
    book, keeper = Book(), Bookkeeper()
    for one in all_said:
        before = keeper.changes
        keeper.hear(one)
        rows, answer = book.hear(one)
        assert len(rows) == keeper.changes - before
        assert answer.new + answer.changed + answer.same == len(one.figures)
        assert added_up(book.rows) == keeper.standing()
        again, told = book.hear(one)
        assert (list(again), told) == ([], ReportAnswer(same=len(one.figures)))
    assert sum(row.bytes_down for row in book.rows) == keeper.total("bytes")


def is_less(row: NewRow) -> bool:
    return row.bytes_down + row.requests < 0


@given(st.lists(STATEMENTS, max_size=12))
def test_no_two_rows_have_one_id_and_use_is_never_below_zero(all_said: list[UseSaid]) -> None:
    book = Book()
    for one in all_said:
        book.hear(one)
    assert len({row.id for row in book.rows}) == len(book.rows)
    assert all(row.bytes_down >= 0 and row.requests >= 0 for row in book.rows if row.kind == "use")
    firsts = {row.refers_to: row for row in reversed(book.rows)}
    grows = {key for key in firsts if key.startswith("grant ")}
    for row in book.rows:
        told_first = row is firsts[row.refers_to] or (row.refers_to in grows and row.bytes_down + row.requests > 0)
        assert (row.kind, row.reason == "") == ("use" if told_first and not is_less(row) else "correction", told_first)


def test_a_row_has_the_names_of_the_vendor_and_the_figures_instant() -> None:
    [row], answer = Book().hear(said(figure(3, "bob", 7)))
    assert answer == ReportAnswer(new=1)
    assert (row.series, row.account, row.user, row.product) == ("thor", "acme", "bob", "residential")
    assert (row.source, row.key_source, row.time) == ("provider:thor", "provider:thor", 3 * 86_400_000)
    assert (row.bytes_up, row.bytes_down, row.requests, row.kind) == (0, 7, 0, "use")
    assert (row.refers_to, row.reason) == ("day 1970-01-04T00:00:00Z residential bob", "")


def test_a_vendor_that_changes_its_mind_or_says_nothing_any_more_is_corrected() -> None:
    book = Book()
    book.hear(said(figure(1, "bob", 7), figure(2, "eve", 5)))
    changed, answer = book.hear(said(figure(1, "bob", 4)))
    assert answer == ReportAnswer(changed=1, gone=1)
    assert [(row.user, row.bytes_down, row.kind, row.reason, row.place) for row in changed] == [
        ("bob", -3, "correction", OTHERWISE, 1),
        ("eve", -5, "correction", NO_MORE, 2),
    ]
    assert [row.time for row in changed] == [86_400_000, 2 * 86_400_000]  # where the figures fell
    again, _ = book.hear(said(figure(1, "bob", 4), figure(2, "eve", 6)))
    assert [(row.bytes_down, row.kind) for row in again] == [(6, "correction")]


def test_what_nobody_used_below_zero_is_a_correction_from_the_first() -> None:
    [row], answer = Book().hear(said(figure(1, "", -2)))
    assert (row.kind, row.bytes_down, row.reason, answer) == ("correction", -2, "", ReportAnswer(new=1))


def test_a_statement_of_one_sub_user_says_nothing_of_the_others() -> None:
    book = Book()
    book.hear(said(figure(1, "bob", 7), figure(1, "eve", 5), figure(1, "", 2)))
    rows, _ = book.hear(said(of="bob"))
    assert [row.user for row in rows] == ["bob"]
    rows, _ = book.hear(said(of=""))
    assert [row.user for row in rows] == [""]


def test_a_grant_that_is_not_listed_keeps_what_it_used_and_growth_is_dated_when_it_was_seen() -> None:
    book = Book()
    book.hear(said(figure(7, "", 5, grain="pull", time=100), grain="pull"))
    [more], _ = book.hear(said(figure(8, "", 1, grain="pull", time=200), grain="pull"))
    assert more.refers_to == "grant 8"
    [growth], _ = book.hear(said(figure(7, "", 9, grain="pull", time=300), grain="pull"))
    assert (growth.bytes_down, growth.time, growth.kind, growth.reason) == (4, 300, "use", "")
    [less], answer = book.hear(said(figure(7, "", 8, grain="pull", time=400), grain="pull"))
    assert (less.bytes_down, less.time, less.kind, answer.changed) == (-1, 400, "correction", 1)


def test_what_is_said_in_requests_leaves_the_bytes_of_a_key() -> None:
    book = Book()
    book.hear(said(figure(1, "bob", 7)))
    rows, _ = book.hear(said(figure(1, "bob", 3), quantity="requests"))
    assert [(row.bytes_down, row.requests) for row in rows] == [(0, 3)]
    assert book.hear(said(quantity="requests"))[1] == ReportAnswer(gone=1)
    assert added_up(book.rows) == {("day 1970-01-02T00:00:00Z residential bob", "bytes"): 7}


def test_an_id_tells_no_name_and_is_anothers_in_another_account() -> None:
    [row], _ = Book().hear(said(figure(1, "bob", 7)))
    assert "bob" not in row.id
    assert row.id == id_of("acme", row.refers_to, 0) != id_of("beta", row.refers_to, 0)

"""A table is one line a row where there is room; elsewhere long cells stand beside the grid, and nothing is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowtally.cli.show.cells import cells
from flowtally.cli.show.layout import aligned, lay_out

ID = "grn_01a1f8c711c27722a28983e63947e91c"
KEY = "crd_01a1f8c711c27722a28983e63947e91d"
TEXTS = st.sampled_from(
    ["", "", "a", "acme", "traffic", "2026-11-01T00:00Z", "東京の顧客", "👨‍👩‍👧 family", ID, KEY, "x" * 90]
)
TABLES = st.integers(1, 9).flatmap(
    lambda columns: st.tuples(
        st.just([f"column{index}" for index in range(columns)]),
        st.lists(st.lists(TEXTS, min_size=columns, max_size=columns), min_size=1, max_size=8),
    )
)


def test_a_table_is_aligned_by_cells() -> None:
    rows = [("東京", "5 GB"), ("acme", "1,000 GB"), ("e\u0301a", "7 GB")]
    assert aligned(("name", "amount"), rows, frozenset({1})) == [
        "name    amount",
        "東京      5 GB",
        "acme  1,000 GB",
        "e\u0301a        7 GB",
    ]


def test_a_long_id_stands_above_its_row_and_empty_columns_go() -> None:
    columns = ("id", "pool", "amount", "note", "reference", "starts", "ends")
    rows = [
        (ID, "traffic", "100 GB", "", "order-1", "2026-11-01", "never"),
        (KEY, "api", "5", "", "", "2026-11-01", "never"),
    ]
    assert lay_out(columns, rows, frozenset({2}), 60) == (
        ["id", "  pool     amount  reference  starts      ends"],
        [
            ID,
            "  traffic  100 GB  order-1    2026-11-01  never",
            KEY,
            "  api           5             2026-11-01  never",
        ],
    )


def test_one_long_cell_is_told_below_its_row_with_its_name() -> None:
    rows = [("acme", "x" * 90, "active"), ("globex", "Globex", "active")]
    assert lay_out(("id", "name", "status"), rows, frozenset(), 40) == (
        ["id      name    status"],
        ["acme            active", "    name " + "x" * 90, "globex  Globex  active"],
    )


def test_ids_that_fit_share_the_line_below() -> None:
    where = "203.0.113.0/24 198.51.100.0/24"
    rows = [("12", "2026-11-01T00:00Z", "grant.give", ID, KEY, where)]
    assert lay_out(("number", "at", "action", "subject", "by", "from"), rows, frozenset({0}), 92) == (
        ["number  at                 action      from"],
        [f"    12  2026-11-01T00:00Z  grant.give  {where}", f"    subject {ID}  by {KEY}"],
    )


@given(TABLES, st.integers(20, 160), st.booleans())
def test_nothing_of_a_table_is_ever_cut_and_only_single_cells_are_wider_than_the_screen(
    table: tuple[list[str], list[list[str]]], width: int, figures: bool
) -> None:
    columns, rows = table
    head, body = lay_out(columns, rows, frozenset({len(columns) - 1}) if figures else frozenset(), width)
    shown = "\n".join(body)
    for row in rows:
        assert all(text in shown for text in row)
    if not figures:
        for line in (*head, *body):
            assert cells(line) <= width or any(
                text in line and cells(text) + 14 > width for row in rows for text in row
            )


@given(TABLES)
def test_where_there_is_room_a_row_is_a_line(table: tuple[list[str], list[list[str]]]) -> None:
    columns, rows = table
    head, body = lay_out(columns, rows, frozenset(), 10_000)
    assert [*head, *body] == aligned(columns, rows, frozenset())
    assert len(body) == len(rows)

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowtally.cli.show.cells import cells
from flowtally.cli.show.chart import Bar, bar, chart, gauge

BARS = st.lists(
    st.builds(
        Bar,
        st.text(st.characters(categories=["L", "N", "So"]), max_size=60),
        st.integers(-(2**60), 2**60),
        st.tuples(st.sampled_from(["1 B", "12.34 GB"]), st.just("1,234 req")),
    ),
    min_size=1,
    max_size=20,
)


def test_the_largest_value_fills_the_width() -> None:
    assert bar(100, 100, 10) == "█" * 10


def test_half_an_eighth_is_still_seen() -> None:
    assert bar(1, 1_000_000, 10) == "▏"
    assert bar(1, 1_000_000, 10, unicode=False) == "#"


def test_nothing_and_less_than_nothing_have_no_bar() -> None:
    assert bar(0, 100, 10) == bar(-5, 100, 10) == bar(5, 0, 10) == ""


def test_bars_have_eighths() -> None:
    assert bar(9, 16, 2) == "█▏"


def test_a_chart_reads_like_a_table() -> None:
    rows = [Bar("2026-07-01", 100, ("100 B", "2 req")), Bar("2026-07-02", 50, ("50 B", "10 req"))]
    assert chart(rows, 43, unicode=False) == [
        "2026-07-01  ################  100 B   2 req",
        "2026-07-02  ########           50 B  10 req",
    ]


def test_without_room_for_bars_the_figures_stay() -> None:
    assert chart([Bar("2026-07-01", 100, ("100 B",))], 20) == ["2026-07-01  100 B"]


def test_a_long_name_is_cut_before_a_figure_is() -> None:
    (line,) = chart([Bar("customer-" * 10, 100, ("12.34 GB",))], 30)
    assert len(line) == 30
    assert "…" in line
    assert line.endswith("  12.34 GB")


def test_one_long_name_is_shortened_alone_and_every_row_keeps_its_bar() -> None:
    rows = [Bar("shop-" + "x" * 100 + "-0001", 100, ("100 B",)), Bar("東京", 50, ("50 B",))]
    lines = chart(rows, 60, unicode=False)
    assert [cells(line) for line in lines] == [60, 60]
    assert lines[0].startswith("shop-xxxx")
    assert "x-0001  ################  100 B" in lines[0]
    assert lines[1] == "東京" + " " * 31 + "  ########           50 B"


def test_in_a_pipe_a_long_name_is_whole_and_the_other_rows_are_as_they_were() -> None:
    rows = [Bar("x" * 100, 100, ("100 B",)), Bar("東京", 50, ("50 B",))]
    lines = chart(rows, 60, unicode=False, whole=True)
    assert lines[0] == "x" * 100 + "  ################  100 B"
    assert lines[1] == chart(rows, 60, unicode=False)[1]


@given(BARS, st.integers(30, 200), st.booleans())
def test_no_line_is_wider_than_asked(bars: list[Bar], width: int, unicode: bool) -> None:
    lines = chart(bars, width, unicode=unicode)
    assert len(lines) == len(bars)
    assert max(cells(line) for line in lines) <= width


def test_a_gauge_shows_its_track() -> None:
    assert gauge(1, 2, 4, unicode=False) == "[##  ]"
    assert gauge(0, 0, 4) == "[    ]"

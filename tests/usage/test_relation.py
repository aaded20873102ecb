"""The text of a question over table and tail."""

from __future__ import annotations

from flowtally.usage.relation import View, leaf, render, rows

ONE = f"SELECT count() FROM {rows('account = 5', first='block IN (1)')} LIMIT 1"


def test_without_a_tail_it_is_asked_of_the_table_alone() -> None:
    table = "SELECT * FROM usage_events PREWHERE block IN (1) WHERE account = 5"
    assert render(ONE, View(7, 9)) == f"SELECT count() FROM ({table}) AS usage_events LIMIT 1"


def test_the_tail_is_asked_for_blocks_after_the_flushed_ones_up_to_the_last() -> None:
    told = render(ONE, View(7, 9, ("t1", "t2")))
    for table in ("t1", "t2"):
        inside = f"FROM {table} AS usage_events WHERE block <= 9 AND block > 7 AND block IN (1) AND account = 5)"
        assert f" UNION ALL (SELECT * {inside}" in told, "no PREWHERE there: tables in memory know none"
    assert told.count("PREWHERE") == 1


def test_blocks_that_are_set_aside_are_in_the_tail_whatever_was_flushed_after_them() -> None:
    assert "block <= 9 AND (block > 7 OR block IN (3, 5)) AND" in render(ONE, View(7, 9, ("t",), (3, 5)))


def test_by_rows_the_table_is_asked_for_what_was_flushed_then() -> None:
    assert "PREWHERE block IN (1) WHERE block <= 7 AND account = 5" in render(ONE, View(7, 9, by_rows=True))


def test_every_part_of_a_question_is_asked_of_both() -> None:
    text = f"{leaf('a', 'x = 1', then=' GROUP BY a')} UNION ALL {leaf('b', 'y = 2')}"
    told = render(text, View(1, 2, ("t",)))
    assert told == (
        "(SELECT a FROM usage_events WHERE x = 1 GROUP BY a)"
        " UNION ALL (SELECT a FROM t AS usage_events WHERE block <= 2 AND block > 1 AND x = 1 GROUP BY a)"
        " UNION ALL (SELECT b FROM usage_events WHERE y = 2)"
        " UNION ALL (SELECT b FROM t AS usage_events WHERE block <= 2 AND block > 1 AND y = 2)"
    )


def test_what_is_no_question_to_rows_stays() -> None:
    assert render("SELECT 1 FROM usage_events", View(1, 2, ("t",), by_rows=True)) == "SELECT 1 FROM usage_events"

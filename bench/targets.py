"""The speed to reach, as the design states it, and how a run stands against it.

Ratios of one run, but for memory and the start: what a machine does a second is measured, and no target. What a
dialect may cost is a bound of our own."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bench.report import Report, Row, Standing, Unit, show

NOT_MEASURED: Final = "not measured in this run"


class Target(msgspec.Struct, frozen=True):
    """A bound on a row: on its `ratio`, on our own figure (`ours`) or on a note. `case` ending in `*`: the last such
    row, which is the largest size measured."""

    work: str
    part: str
    case: str
    of: str
    bound: Literal["at least", "at most"]
    limit: float
    unit: Unit | None = None
    baseline: str | None = None


RAW: Final = "engine alone"
PG: Final = "PostgreSQL"
PG_BY_HAND: Final = "PostgreSQL by hand"
PG_FAVOURED: Final = "PostgreSQL, favoured"
NOOP: Final = "no-op POST"
SQL: Final = "its SQL in process"
SQL_OF_SMALL: Final = "SQL of a small account"
USAGE_TWICE: Final = "its two usage questions"
ONE_DAY: Final = "usage of one day"
NATIVE: Final = "native read"
ALONE: Final = "alone"
DIALECTS: Final = ("thordata", "bytesflows", "ipfoxy", "whitepages")
TARGETS: Final = (
    Target(
        "numbered, 10,000 a request: share of the engine", "ingest-numbered", "10,000 x 2", "ratio", "at least", 0.5
    ),
    Target(
        "numbered, 50,000 a request: share of the engine", "ingest-numbered", "50,000 x 2", "ratio", "at least", 0.5
    ),
    Target("UUIDv7 ids, against PostgreSQL", "ingest-v7", "10,000 x 4", "ratio", "at least", 2.5, baseline=PG),
    Target("random ids, against PostgreSQL", "ingest-random", "10,000 x 4", "ratio", "at least", 1.5, baseline=PG),
    Target("one event a request, 64 connections", "single", "1 x 64", "ratio", "at least", 0.4, baseline=NOOP),
    Target("the same, against PostgreSQL by hand", "single", "1 x 64", "ratio", "at least", 0.4, baseline=PG_BY_HAND),
    Target(
        "one event a request, one connection: median", "single", "1 x 1", "ratio", "at most", 5, baseline=PG_BY_HAND
    ),
    Target("90 days, middle account: against its SQL", "usage", "middle, *", "ratio", "at most", 2),
    Target("90 days, largest account: against its SQL", "usage", "largest, *", "ratio", "at most", 2),
    Target("90 days, SQL: middle against a hundredth of it", "usage", "SQL of middle, *", "ratio", "at most", 3),
    Target("balance, 20 grants, middle: against a day's usage", "balance", "middle, *", "ratio", "at most", 2),
    Target("balance, 20 grants, largest: against a day's usage", "balance", "largest, *", "ratio", "at most", 2),
    Target(
        "growth: balance, middle, times its first median", "balance", "growth of middle, *", "ratio", "at most", 1.3
    ),
    Target(
        "growth: balance, largest, times its first median", "balance", "growth of largest, *", "ratio", "at most", 1.3
    ),
    Target(
        "a year of 200 sub-users reconciled: against its two usage questions",
        *("reconcile", "365 days, 200 sub-users", "ratio", "at most", 3),
    ),
    *(
        Target(f"{vendor}: against the native read", "dialects", f"{vendor}, *", "ratio", "at most", 1.3)
        for vendor in DIALECTS
    ),
    Target("growth: ingest, share of its first rate", "growth", "ingest, *", "ratio", "at least", 0.9),
    Target("growth: 90 days, middle, times its first median", "growth", "query, *", "ratio", "at most", 1.5),
    Target("start: ready", "start", "ready, *", "ours", "at most", 5, "s"),
    Target("memory: the most it had, four requests under way", "start", "memory, *", "peak_MB", "at most", 1000, "MB"),
)


def stand(report: Report) -> list[Standing]:
    """Every target, measured or not."""
    return [_stand(target, report) for target in TARGETS]


def _stand(target: Target, report: Report) -> Standing:
    wanted = f"{target.bound} {_figure(target.limit, target.unit)}"
    row = _row(target, report)
    value = None if row is None else _value(target, row)
    if row is None or value is None:
        return Standing(target.work, wanted, NOT_MEASURED, None)
    met = value >= target.limit if target.bound == "at least" else value <= target.limit
    return Standing(target.work, wanted, f"{_figure(value, target.unit)} ({row.case})", met)


def _row(target: Target, report: Report) -> Row | None:
    if not target.case.endswith("*"):
        return report.find(target.part, target.case, target.baseline)
    begins = target.case.removesuffix("*")
    fitting = [row for row in report.rows if row.part == target.part and row.case.startswith(begins)]
    return fitting[-1] if fitting else None


def _value(target: Target, row: Row) -> float | None:
    if target.of == "ratio":
        return row.ratio
    return row.ours if target.of == "ours" else row.notes.get(target.of)


def _figure(value: float, unit: Unit | None) -> str:
    return f"{value:.2f} times" if unit is None else show(value, unit)

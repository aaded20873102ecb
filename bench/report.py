"""What was measured, as rows, and where that stands against the targets. Prints; computes only medians and ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, Literal

import msgspec
from rich.console import Console
from rich.table import Table

Unit = Literal["events/s", "requests/s", "ms", "s", "MB"]
RATES: Final = frozenset({"events/s", "requests/s"})


class Row(msgspec.Struct, frozen=True):
    """One case: our median over the rounds, the other's, and the median of the rounds' ratios (ours / other), which
    says more than the ratio of medians, since both sides of a round met the same moment of the machine."""

    part: str
    case: str
    unit: Unit
    ours: float
    baseline: str = ""
    base: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    notes: Mapping[str, float] = {}


class Standing(msgspec.Struct, frozen=True):
    """A target and what was reached; `met` None: not measured in this run."""

    work: str
    target: str
    measured: str
    met: bool | None


class Report(msgspec.Struct):
    """Everything a run found, as `--json` writes it."""

    sizes: str
    seed: int
    machine: dict[str, str]
    load_before: float
    load_after: float = 0.0
    seconds: float = 0.0
    rows: list[Row] = []
    standings: list[Standing] = []
    remarks: list[str] = []
    stopped: str = ""  # why it ended before its time

    def find(self, part: str, case: str, baseline: str | None = None) -> Row | None:
        fitting = (row for row in self.rows if row.part == part and row.case == case)
        return next((row for row in fitting if baseline is None or row.baseline == baseline), None)


def compare(
    part: str,
    case: str,
    unit: Unit,
    ours: Sequence[float],
    baseline: str = "",
    base: Sequence[float] = (),
    **notes: float,
) -> Row:
    """A row of rounds that took turns; without `base` there is no ratio."""
    ratios = [our / their for our, their in zip(ours, base, strict=True)] if base else []
    return Row(
        part=part,
        case=case,
        unit=unit,
        ours=median(ours),
        baseline=baseline,
        base=median(base) if base else None,
        ratio=median(ratios) if ratios else None,
        low=min(ratios, default=None),
        high=max(ratios, default=None),
        rounds=len(ours),
        notes=notes,
    )


def print_header(report: Report) -> None:
    for name, value in report.machine.items():
        print(f"{name:>20}  {value}")
    print(f"{'sizes':>20}  {report.sizes}, seed {report.seed}; load average now {report.load_before:.2f}", flush=True)


def print_report(report: Report) -> None:
    console = Console(width=None if Console().is_terminal else 160)
    table = Table("part", "case", "flowtally", "baseline", "its figure", "ratio", "low..high", "notes")
    for row in report.rows:
        table.add_row(*_cells(row))
    console.print(table)
    standing = Table("work", "target", "measured", "met")
    for one in report.standings:
        standing.add_row(one.work, one.target, one.measured, {True: "yes", False: "NO", None: "-"}[one.met])
    console.print(standing)
    for remark in report.remarks:
        print(remark)
    print(f"load average {report.load_before:.2f} before, {report.load_after:.2f} after; {report.seconds:.0f} s")


def _cells(row: Row) -> tuple[str, ...]:
    spread = "" if row.low is None or row.high is None else f"{row.low:.2f}..{row.high:.2f}"
    return (
        row.part,
        row.case,
        show(row.ours, row.unit),
        row.baseline,
        "" if row.base is None else show(row.base, row.unit),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        spread if row.rounds > 1 else "",
        ", ".join(f"{name.replace('_', ' ')} {value:,.4g}" for name, value in row.notes.items()),
    )


def show(value: float, unit: Unit) -> str:
    return f"{value:,.0f} {unit}" if unit in RATES or value >= 1000 else f"{value:,.1f} {unit}"

"""`flowtally agent CONFIG --check`: what was found, for people."""

from __future__ import annotations

import os
from pathlib import Path

from flowtally.agents.report import ImportReport
from flowtally.agents.watch.check import Looked, check
from flowtally.cli.import_report import show_report, show_sample
from flowtally.cli.show.output import document, printable, say


def checked(config: Path, *, json: bool) -> int:
    """Show it; how many faults there are."""
    found = []
    for one in check(config, os.environ):
        found.append(one)
        if not json:
            _show(one)
    faults = sum(len(one.faults) for one in found)
    if json:
        document(found)
    else:
        say()
        say(f"{faults} fault{'s' * (faults != 1)}" if faults else "no fault", style="red" if faults else "green")
    return faults


def _show(one: Looked) -> None:
    say()
    say(printable(" ".join(filter(None, (one.kind, one.name, one.what)))), style="bold cyan")
    for fact in one.facts:
        say(f"  {printable(fact)}")
    for fault in one.faults:
        say(f"  fault: {printable(fault)}", style="red")
    if one.first is not None and one.first.lines:
        show_report(one.first)
    if one.last is not None and one.last.lines:
        _show_last(one.last)


def _show_last(report: ImportReport) -> None:
    say("  the last lines, read as", style="bold")
    for sample in report.read.samples:
        show_sample(sample)
    for problem in report.first_unreadable:
        say(f"    {printable(problem.excerpt)}", style="dim")
        say(f"      unreadable: {printable(problem.detail)} ({problem.reason})", style="yellow")

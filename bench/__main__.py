"""`python -m bench`: run the parts asked for, print what was found, leave nothing behind."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import fair, grown, ingest, logs, machine, reconciling, targets
from bench.process import BenchError
from bench.report import Report, print_header, print_report
from bench.rounds import Run
from bench.sizes import SIZES

PARTS: Final = (
    "client",
    "ingest-numbered",
    "ingest-v7",
    "ingest-random",
    "single",
    "usage",
    "balance",
    "dialects",
    "reconcile",
    "growth",
    "start",
    "fair",
    "logs",
)
CTRL_C: Final = "stopped by Ctrl-C"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: through every `finally`
    sizes = "quick" if options.quick else "full" if options.full else "standard"
    parts = [part for given in options.only for part in given.split(",")] or list(PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        print(f"unknown: {', '.join(unknown)}; the parts are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    report = run(sizes, parts, seed=options.seed, beside=options.dir)
    print_report(report)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if report.stopped:
        print(f"bench: {report.stopped}; servers ended, files removed", file=sys.stderr)
    return 0 if not report.stopped else 130 if report.stopped == CTRL_C else 1


def run(sizes: str, parts: Collection[str], *, seed: int = 1, beside: Path | None = None) -> Report:
    """Measure these parts. Data lives in a temporary directory `beside`, which is gone afterwards. A run that is
    stopped keeps what it had found."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="flowtally-bench-", dir=beside) as made:
        place = Path(made).resolve()
        place.chmod(0o711)  # PostgreSQL runs as another user below it
        report = Report(sizes, seed, machine.describe(place), machine.load_average())
        print_header(report)
        if machine.filesystem(place) == "tmpfs":
            report.remarks.append(f"{place} is in memory: nothing was durable, no ratio here counts. Say --dir.")
        try:
            _measure(Run(SIZES[sizes], seed, place, report), parts)
        except KeyboardInterrupt:
            report.stopped = CTRL_C
        except BenchError as error:
            report.stopped = str(error)
    report.standings = targets.stand(report)
    report.load_after = machine.load_average()
    report.seconds = time.monotonic() - started
    return report


def _measure(run: Run, parts: Collection[str]) -> None:
    if "client" in parts:
        ingest.measure_client(run)
    if "ingest-numbered" in parts:
        ingest.measure_ingest(run, "numbered")
    if "ingest-v7" in parts:
        ingest.measure_ingest(run, "v7")
    if "ingest-random" in parts:
        ingest.measure_ingest(run, "random")
    if "single" in parts:
        ingest.measure_single(run)
    if wanted := grown.PARTS & set(parts):
        grown.measure_grown(run, wanted)
    if "reconcile" in parts:
        reconciling.measure_reconciling(run)
    if "fair" in parts:
        fair.measure_fair(run)
    if "logs" in parts:
        logs.measure_logs(run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="small sizes: a few minutes, ratios to one digit")
    length.add_argument("--full", action="store_true", help="more rounds, and 20 million events stored")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help=f"repeatable: {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything found to this file, too")
    parser.add_argument("--dir", type=Path, help="where the data lives meanwhile; default the system's temporary place")
    parser.add_argument("--seed", type=int, default=1, help="of the events; default 1")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""How fast logs are read: lines a second of each format, against cutting the same lines at their blanks.

No server and no file takes part: what is measured is one reader over lines in memory. The other side is a loop of
`bytes.split`, the least that any reader written in Python would do.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final

from bench.report import compare
from bench.rounds import Run
from flowtally.agents.formats import Declared, format_of

LINES: Final = 20_000
SPLIT: Final = "bytes.split"
_AGENT: Final = b' "http://example.org/a/page?with=arguments" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"'


def measure_logs(run: Run) -> None:
    """The part `logs`: a row for each format."""
    for name, lines in _logs().items():
        run.say(f"logs, {name}")
        read_line = format_of(Declared(format=name)).read_line
        ours, base = [], []
        for _ in range(run.sizes.rounds):
            base.append(_rate(bytes.split, lines))
            ours.append(_rate(read_line, lines))
        run.report.rows.append(compare("logs", f"{name}, {LINES:,}", "events/s", ours, SPLIT, base))


def _rate(read: Callable[[bytes], Any], lines: Sequence[bytes]) -> float:
    started = time.perf_counter()
    for line in lines:
        read(line)
    return len(lines) / (time.perf_counter() - started)


def _logs() -> dict[str, list[bytes]]:
    """The recorded log of a real Squid, and lines as Apache and nginx write them."""
    squid = gzip.decompress((files("flowtally") / "demo/access.log.gz").read_bytes()).splitlines()
    common = [
        b'192.0.2.%d - user%d [10/Mar/2026:09:%02d:%02d +0000] "GET /items/%d HTTP/1.1" 200 %d'
        % (number % 250, number % 900, number // 600 % 60, number // 10 % 60, number, number * 37 % 90_000)
        for number in range(LINES)
    ]
    return {
        "squid-io": (squid * (LINES // len(squid) + 1))[:LINES],
        "common": common,
        "combined": [line + _AGENT for line in common],
        "combinedio": [line + _AGENT + b" 812 5120" for line in common],
    }

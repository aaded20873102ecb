"""Are the versions in constraints.txt known to be vulnerable? Part of `make check`.

Asks the database that pip-audit knows, once a day for the same file. A finding fails the check. Where no database can
be reached nothing is known, and that is printed: who works offline is not kept from working.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
LOCK: Final = ROOT / "constraints.txt"
STAMP: Final = Path(sys.prefix) / ".audited"
PIP_AUDIT: Final = (sys.executable, "-m", "pip_audit")
QUIET: Final = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--timeout", "5")
PATIENCE_S: Final = 60
IGNORED: Final[dict[str, str]] = {}  # the id of a finding: why it does not concern us


def main(program: Sequence[str] = PIP_AUDIT, lock: Path = LOCK, stamp: Path = STAMP, today: date | None = None) -> int:
    """The exit code. What is printed is one line, or one per finding."""
    known = f"{today or datetime.now(UTC).date()} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    if stamp.exists() and stamp.read_text().startswith(known):
        print(stamp.read_text()[len(known) :].strip())
        return 0
    try:
        told, dependencies = "", _ask(program, lock)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        told, dependencies = str(error), []
    looked = [one for one in dependencies if "skip_reason" not in one]
    if findings := [line for one in looked for line in _findings(one)]:
        print("\n".join([f"audit of dependencies: {len(findings)} known vulnerabilities", *findings]))
        return 1
    line = f"audit of dependencies: {len(looked)} of {len(dependencies)} looked up, nothing is known against them"
    if not looked:
        reason = told or (dependencies[0]["skip_reason"] if dependencies else "it knows none of them")
        line = f"audit of dependencies: skipped, no database of vulnerabilities answers ({reason})"
    print(line)
    stamp.write_text(f"{known} {line}\n")
    return 0


def _ask(program: Sequence[str], lock: Path) -> list[dict[str, Any]]:
    done = subprocess.run(  # noqa: S603 - a program of this environment, and files of this tree
        [*program, "--requirement", str(lock), *QUIET], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    if not done.stdout.strip():
        said = done.stderr.strip().splitlines()
        raise ValueError(said[-1] if said else f"exit status {done.returncode}")
    found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return found


def _findings(one: dict[str, Any]) -> Iterator[str]:
    for found in one["vulns"]:
        if IGNORED.keys() & {found["id"], *found.get("aliases", ())}:
            continue
        fixed = ", ".join(found["fix_versions"]) or "no version yet"
        yield f"  {one['name']} {one['version']}: {found['id']}, fixed in {fixed}"


if __name__ == "__main__":
    sys.exit(main())

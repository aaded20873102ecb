"""`flowtally backup --check`: is a backup, or a copy of one, as it was written? No server is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from flowtally.cli.failures import FAILED
from flowtally.cli.show.output import document, facts, printable, say
from flowtally.cli.show.steps import Steps
from flowtally.core.units import human_bytes, human_count

SHOWN: Final = 50


class CheckedBackup(msgspec.Struct, frozen=True):
    """What `--check` prints as JSON: where the backup stands, and what is not as it was written."""

    path: str
    made_at: str
    block: int
    rows: int
    files: int
    size: int
    found: list[str]


def check_backup(place: Path, json: bool) -> int:
    """Compare every file with the manifest; 1 where one differs."""
    from flowtally.care import manifest  # noqa: PLC0415 - most commands only ask a server

    told = manifest.read(place)
    size = sum(file.size for file in told.files)
    read = 0
    with Steps() as steps:

        def count(some: int) -> None:
            nonlocal read
            read += some
            steps.show("digests", read, size)

        found = manifest.differences(place, told, count)
    if json:
        document(CheckedBackup(str(place), told.made_at, told.block, told.rows, len(told.files), size, found))
    else:
        shown = f"{human_bytes(size)} in {human_count(len(told.files))} files"
        facts({"backup": str(place), "made": told.made_at, "events": human_count(told.rows), "size": shown})
        for one in found[:SHOWN]:
            say(printable(one), style="red")
        if found:
            differ = "1 file differs" if len(found) == 1 else f"{human_count(len(found))} files differ"
            say(f"{differ} from the manifest: do not restore this copy.", style="red")
        else:
            say("Every file is as it was written.", style="green")
    return FAILED if found else 0

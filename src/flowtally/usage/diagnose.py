"""The program that finds out which part keeps the engine from opening: `python -m flowtally.usage.diagnose DIRECTORY`.

It opens hard links of the files under another path, told there to put broken parts aside instead of refusing, and asks
each why it cannot be taken in. What it looks at stays as it is: the engine never changes a file of a part. Leaves when
this is asked to `diagnosis`, which starts it: one process opens one path.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from flowtally.usage import own_tables
from flowtally.usage.damage import PART, Broken, read_broken
from flowtally.usage.engine import Engine

BROKEN: Final = "broken-on-start_"  # how the engine names what it puts aside
REFUSING: Final = "max_suspicious_broken_parts = 0"
PATIENT: Final = "max_suspicious_broken_parts = 1000000, max_suspicious_broken_parts_bytes = 1000000000000000"


def main(path: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=".looking-", dir=path.parent))
    try:
        _link_all(path, work / "usage")
        print(json.dumps([[one.part, one.file, one.said] for one in _put_aside(work / "usage")]))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _link_all(source: Path, target: Path) -> None:
    shutil.copytree(
        source, target, symlinks=True, ignore=shutil.ignore_patterns("shadow", "tmp", "status"), copy_function=_link
    )
    for statement in target.rglob("*.sql"):
        text = statement.read_text().replace(REFUSING, PATIENT)
        statement.unlink()  # it is a link to the file itself
        statement.write_text(text)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _put_aside(path: Path) -> list[Broken]:
    engine = Engine(f"chdb:///{path}", explains=False)  # else each would begin another, without an end
    found = []
    for aside in sorted(path.glob(f"store/*/*/detached/{BROKEN}*")):
        name = aside.name.removeprefix(BROKEN)
        part = aside.rename(aside.with_name(name)).name
        table = _table_at(engine, aside.parent.parent)
        if own_tables.is_one(table):
            continue  # nothing in it counts, and it keeps no engine from opening
        found.append(
            _reason(engine, table, part) if table and PART.fullmatch(part) else Broken(part, "", "it is broken")
        )
    return found


def _table_at(engine: Engine, place: Path) -> str:
    rows = engine.rows("SELECT name, data_paths FROM system.tables WHERE database = currentDatabase()")
    return next((name for name, paths in rows if any(Path(one) == place for one in paths)), "")


def _reason(engine: Engine, table: str, part: str) -> Broken:
    try:
        engine.command(f"ALTER TABLE {table} ATTACH PART '{part}'")
    except Exception as error:  # whatever it says, it is what we want to know
        return read_broken(str(error.__cause__ or error), part) or Broken(part, "", "it cannot be opened")
    return Broken(part, "", "it cannot be opened")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A log read and not sent: what an import of it would be, for somebody to look at."""

from __future__ import annotations

import msgspec

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.look import looking_for
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.reader import LogDamaged, LogFile
from flowtally.agents.report import ImportReport, Tally


def dry_run(
    log: LogFile, declared: Declared, mapping: Mapping, *, source: str = "", most_lines: int = 0, finished: bool = False
) -> ImportReport:
    """Read the log from its beginning, at most so many lines (0: all). No server is asked. Raises ConfigError,
    NotALog; where a stream breaks is in the report."""
    made = format_of(declared)
    mapper = Mapper(mapping, made)
    tally = Tally(looking_for(mapping))
    notes = [*mapper.notes, *mapper.doubts]
    damage = ""
    if log.seekable:
        log.rewind()
    if made.remember is not None:
        made.remember(())
    try:
        for line in log.lines(finished=finished):
            tally.take(line, mapper, 0)
            if tally.lines == most_lines:
                notes.append(f"only the first {most_lines:,} lines were read")
                break
    except LogDamaged as error:
        damage = str(error)
    report = tally.report(source, 0, 0, 0)
    return msgspec.structs.replace(
        report,
        file=log.name,
        kind=log.kind,
        waiting_bytes=0 if tally.lines == most_lines else log.waiting,
        nul_bytes=log.nuls,
        means=mapper.means,
        notes=tuple(notes),
        damage=damage,
        dry_run=True,
    )

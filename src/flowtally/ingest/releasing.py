"""Held events looked at again: a page of them as a block of its own, and what becomes of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from flowtally.ingest.admission import Reasons, Submitter
from flowtally.ingest.block import Gathered, Sorted
from flowtally.ingest.holding import event_of
from flowtally.ingest.prepare import prepare
from flowtally.ingest.submission import Submission
from flowtally.keys.values import Advance, Held, Refused, Source


def release(held: Sequence[Held]) -> Gathered:
    """Held events as a block of their own, to be looked at again. Nobody sends them, so nobody's account is asked."""
    events = [event_of(one) for one in held]
    return Gathered([Submission(Submitter("", admin=True), events, {}, 0)], [0], prepare(events, {}))


def sort_released(
    held: Sequence[Held], block: Gathered, world: Reasons, sources: Mapping[int, Source]
) -> tuple[Sorted, list[Held]]:
    """What becomes of them: rows where nothing stands in their way, refusals where it always will, and those that are
    held on for another reason. Their sources stand where they stood."""
    found, recoded = Sorted([], [], [], [], []), []
    for row, one in enumerate(held):
        reason = block.rows.faults.get(row) or world.get(row)
        if reason is None:
            found.stored.append(row)
            found.ended.append(one)
        elif not reason.retriable:
            found.ended.append(one)
            found.refused.append(Refused(one.source, one.sequence, one.id, reason.code, reason.detail))
        elif reason.code != one.code:
            recoded.append(msgspec.structs.replace(one, code=reason.code, detail=reason.detail))
    for no in sorted({held[row].source for row in found.stored}):
        source = sources[no]
        found.advances.append(Advance(no, source.name, source.mark, source.position))
    return found, recoded

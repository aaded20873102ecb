"""Whether a log that the agent begins was counted before, under another name: imported by hand, followed from another
host, or copied without its first line. Asked with samples of the first batch of a source, before it is sent.

Nobody stands beside an agent, so it refuses only what is sure: most samples of many, in one other source. Two servers
that are asked by one monitor have some lines alike.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from flowtally.agents.overlap import CANNOT_ASK, AlreadyCounted, spread
from flowtally.agents.sending import Sending
from flowtally.client import ApiError, Client

FEWEST: Final = 10  # events; fewer may be alike by chance


def check_counted(client: Client, sending: Sending) -> None:
    """Raises AlreadyCounted, and the client's ApiError."""
    picked = spread(len(sending.events))
    if len(picked) < FEWEST:
        return
    try:
        answer = client.overlaps(sending.source, [sending.events[index] for index in picked])
    except ApiError as error:
        if error.code not in CANNOT_ASK:
            raise
        return
    found = Counter(name for one in answer.overlaps for name in (one.sources or [""]))
    for other, count in found.most_common(1):
        if count * 10 >= len(picked) * 8:
            raise AlreadyCounted(
                f"{count} of {len(picked)} samples from line {sending.line_of(0):,} to "
                f"{sending.line_of(len(sending.events) - 1):,} stand in {repr(other) if other else 'other sources'} "
                'already: nothing of this file is sent. Move it away or rotate it, or say overlap = "allow"'
            )

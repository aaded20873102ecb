"""What a poll would send, looked at before anything is: as facts and faults in words."""

from __future__ import annotations

from typing import Final

import msgspec

from flowtally.agents.counters.poller import is_known
from flowtally.agents.counters.program import Program
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Unasked
from flowtally.client import ApiError, Client
from flowtally.core.errors import ConfigError
from flowtally.core.readings import Reading
from flowtally.core.texts import printable
from flowtally.core.units import counted, human_bytes, human_count

SHOWN: Final = 3
NAME_CHARS: Final = 60


class SeenCounters(msgspec.Struct, frozen=True):
    facts: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def looked(entry: Counters, host: str, client: Client | None) -> SeenCounters:
    """Asks the program, and the server (None: it cannot be asked) only whether it knows the source."""
    try:
        program = Program(entry, host)
        asked = program.asked()
    except (Unasked, ConfigError) as error:
        return SeenCounters(faults=(str(error),))
    ours, others = asked.readings, asked.others
    users = {(one.account, one.user) for one in ours}
    facts = [f"{counted(len(ours) + len(others), 'counter')}, of {counted(len(users), 'user')}"]
    facts += [_line(one) for one in sorted(ours, key=_size, reverse=True)[:SHOWN]]
    if others:
        names = ", ".join(printable(name, NAME_CHARS) for name in others[:SHOWN])
        facts.append(f"{human_count(len(others))} are nobody's, and left out: {names}")
    faults = ["no counter is anybody's: see user-from"] if others and not ours else []
    try:
        if client is not None and not is_known(client, program.source):
            facts.append("new at the server: what they counted until the first poll does not count")
    except ApiError as error:
        faults.append(f"{error} ({error.code})")
    return SeenCounters(tuple(facts), tuple(faults))


def _size(one: Reading) -> int:
    return (one.bytes_up or 0) + (one.bytes_down or 0)


def _line(one: Reading) -> str:
    whose = " ".join(filter(None, (one.account, one.user, one.product)))
    return (
        f"{printable(whose, NAME_CHARS)}: {human_bytes(one.bytes_up or 0)} up, {human_bytes(one.bytes_down or 0)} down"
    )

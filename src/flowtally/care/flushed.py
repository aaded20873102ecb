"""What becomes of acknowledged blocks, for who looks after them: are they on their way into the usage table?

Owns what is asked of the flusher here, and what the doctor says of it. The files of an installation that does not run
are `stopped`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from flowtally.care.doctor import Check
from flowtally.usage.records import Record

LATE_S: Final = 60  # from here on the oldest block has waited too long

_ASIDE: Final = (
    "They are acknowledged and counted, from memory and journal. It is a fault of flowtally: report it with this line,"
    " and keep the journal. No backup is made and no erasure finished until the table takes them."
)
_FAILS: Final = "What is acknowledged is in the journal and counts. See docs/operations.md, when rows are not flushed."
_FULL: Final = "Events are answered 503 until some of it is flushed; reading goes on. See docs/operations.md."


class Flushed(Protocol):
    """`usage.flusher.Flusher`."""

    def records(self) -> Iterator[Record]: ...
    def first_received_at(self) -> int | None: ...
    def settle(self) -> None: ...
    def erase(self, until: int) -> None: ...
    def measures(self) -> dict[str, float]: ...
    def why_full(self) -> str | None: ...
    def why_not(self) -> str | None: ...


def flushing_checks(flushed: Flushed) -> list[Check]:
    told = flushed.measures()
    seen = (
        f"{told['journal_records']:,.0f} blocks in {told['journal_bytes'] / 1e6:,.1f} MB; {told['tail_rows']:,.0f} rows"
        f" are not in the usage table yet, the oldest for {told['tail_oldest_seconds']:,.1f} s"
    )
    return [Check("journal", "ok", seen), _flush(flushed, told)]


def _flush(flushed: Flushed, told: dict[str, float]) -> Check:
    if why := flushed.why_full():
        return Check("flush", "fail", why, _FULL)
    if why := flushed.why_not():
        return Check("flush", "fail", why, _ASIDE if told["flush_refused_blocks"] else _FAILS)
    late = told["tail_oldest_seconds"]
    if late > LATE_S:
        return Check("flush", "warn", f"the oldest block has waited for {late:,.0f} s", _FAILS)
    seen = f"{told['flushes']:,.0f} since the start, {told['flush_failures']:,.0f} failed"
    return Check("flush", "ok", seen)

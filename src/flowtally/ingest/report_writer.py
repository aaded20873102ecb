"""What a provider says as a block of its own, on the committer's thread: claimed, written, answered.

It was planned on the thread of whoever said it, for that reads rows. Whether these are all that the series has is known
from memory here; where they are not, nothing is written and it is planned again (`Again`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowtally.core.errors import Conflict, UnknownAccount
from flowtally.core.words import SourceKind
from flowtally.ingest.block import Sorted
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ingest.recent_corrections import RecentCorrections
from flowtally.ingest.report_plan import ReportAnswer
from flowtally.ingest.rows import batch_of
from flowtally.ingest.sources import Sources
from flowtally.ingest.submission import Again, Reporting
from flowtally.keys.key_bytes import key_of
from flowtally.keys.store import Keys

CarryOut = Callable[[Callable[[int], tuple[Sorted, Any]], Sorted], Sorted]
_NAMED: Final[SourceKind] = "named"


class ReportWriter:
    """Built once, beside the committer."""

    def __init__(self, keys: Keys, sources: Sources, resolver: NameResolver, carry_out: CarryOut) -> None:
        self._keys = keys
        self._sources = sources
        self._resolver = resolver
        self._carry_out = carry_out
        self._said = RecentCorrections(keys.committed().block)  # by source, which is a series

    def forget(self, block: int) -> None:
        """Of which series this block has rows is not known."""
        self._said.forget(block)

    def write(self, asked: Reporting) -> ReportAnswer | Again:
        """UnknownAccount, Conflict for a closed one, SourceKindMismatch where somebody had such a source before names
        like these were kept."""
        self._check_account(asked.account_said)
        self._sources.forget_fresh()
        self._sources.load([asked.source])
        self._sources.open({asked.source: _NAMED}, asked.writer)
        if self._said.since(asked.block, [asked.source]):
            return Again()
        rows = asked.plan.rows
        number = self._sources[asked.source].no
        claims = [(number, key_of(row.id), row.digest) for row in rows]
        sorted_ = Sorted([], list(range(len(rows))), [], [], [], fresh=sorted(self._sources.fresh))
        written: list[int] = []

        def work(block: int) -> tuple[Sorted, Any]:
            claimed = self._keys.claim(claims, block)
            assert claimed == len(rows), "no other row of the series was committed since these were planned"
            written.append(block)
            return sorted_, batch_of(rows)

        self._carry_out(work, sorted_)
        self._said.add(written[-1], [asked.source])
        return asked.plan.answer

    def _check_account(self, account: str) -> None:
        status = self._resolver.statuses([account]).get(account)
        if status is None:
            raise UnknownAccount(f"there is no account {account!r}", account=account)
        if status == "closed":
            raise Conflict(f"account {account!r} is closed; what its providers say is not kept", account=account)

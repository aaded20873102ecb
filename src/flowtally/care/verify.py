"""Is everything what it says it is? Every total derived anew, while writing goes on.

Owns what is compared with what. The moment is taken between two blocks, for milliseconds; all else is about the rows,
keys and marks of the blocks up to then, which never change. Memory is bounded: what is long is digested (`fingerprint`)
or looked at in portions, and only what differs is looked at one by one.

    projection of each part   =  its rows
    keys                   =  named rows: one each, same digest, same block
    numbers up to a mark   =  one row, one refused or one held entry each
    counters               =  what the last row of each says
    marks, kinds, places   =  what the rows of the source say
    rows acknowledged      =  rows there, in the table or not flushed into it yet
    records of the journal =  the rows of their blocks (`journal`)
    files of parts         =  what was written (`usage.checks.parts`), before anything else is read from them
    accounts and users     <= the ledger's;  the ledger = its own rules;  who was erased has no texts
    balances               =  what rows, grants and allocations add up to (`balances`)
    closed periods         =  the rows of their time (`statements`)
    chunks of samples      =  what each says of itself
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from flowtally.care.balances import Balances
from flowtally.care.counters import CounterCheck
from flowtally.care.event_keys import EventKeys
from flowtally.care.finding import LISTED, Finding
from flowtally.care.job import Progress
from flowtally.care.journal import JournalCheck
from flowtally.care.numbers import Numbers
from flowtally.care.projections import Projections
from flowtally.care.statements import Statements
from flowtally.core import sqlite_faults
from flowtally.core.errors import StoreDamaged
from flowtally.keys.checks import KeysCheck
from flowtally.ledger.checks import rules as ledger_audit
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.snapshot import complaints
from flowtally.samples.checks import check_chunks
from flowtally.usage.checks.rows import RowsCheck
from flowtally.usage.records import Record
from flowtally.usage.until_block import ByRows
from flowtally.usage.values import Aside, Commit
from flowtally.usage.verbs import UsageReader

SUBJECTS: Final = 50_000  # users held at a time
ERASED: Final = 5_000  # erased users looked for in one question
ERASED_ACCOUNTS: Final = 100  # likewise; their ids are longer


class VerifyCheck(msgspec.Struct, frozen=True):
    """A comparison that was made over `looked_at` things, of which `found` differ."""

    name: str
    looked_at: int
    found: int


class Report(msgspec.Struct, frozen=True):
    """What was found about everything up to `block`. The first findings are listed, all are counted."""

    block: int
    rows: int
    checks: list[VerifyCheck]
    findings: list[Finding]
    found: int
    notes: list[str]


class Baseline(msgspec.Struct, frozen=True):
    """What was the case between two blocks."""

    keys: KeysCheck
    above: list[tuple[int, int]]
    damage: list[str]
    aside: tuple[Aside, ...] = ()
    records: Iterable[Record] = ()
    unread: str = ""  # why rows above could not be looked for


class Verifier:
    """One run. `now`: the instant of the balances that are checked."""

    def __init__(
        self, rows: RowsCheck, baseline: Baseline, ledger: Ledger, progress: Progress, now: int, samples: Path | None
    ) -> None:
        self._rows = rows
        self._now = now
        self._samples = samples
        self._keys = baseline.keys
        self._baseline = baseline
        self._ledger = ledger
        self._say = progress
        self._block = baseline.keys.committed.block
        self._checks: list[VerifyCheck] = []
        self._findings: list[Finding] = []
        self._found = 0
        self._notes: list[str] = []
        self._broken: list[str] = []  # parts whose rows cannot be read
        self._at = ("", 0)  # the check under way, and how much was found before it

    def run(self) -> Report:
        both = (self._rows, self._keys, self._block, self._find, self._say)
        for name, check in (
            ("parts", self._check_parts),
            ("rows", self._check_rows),
            ("journal", self._check_journal),
            ("roll-ups", self._check_projections),
            ("keys", EventKeys(*both).check),
            ("numbers", Numbers(*both).check),
            ("counters", CounterCheck(*both).check),
            ("subjects", self._check_subjects),
            ("ledger", self._check_ledger),
            ("balances", self._check_balances),
            ("periods", self._check_periods),
            ("samples", self._check_samples),
        ):
            self._at = (name, self._found)
            self._say(name)
            try:
                looked_at = check()
            except (StoreDamaged, sqlite_faults.DatabaseError) as error:
                looked_at = 0
                self._find("not_compared", f"check {name!r}", _told(error))
            self._checks.append(VerifyCheck(name, looked_at, self._found - self._at[1]))
        if held := self._keys.count_held():
            self._notes.append(f"{held} events are held and count for nothing yet (`flowtally held list`).")
        rows = self._keys.committed.rows_total
        return Report(self._block, rows, self._checks, self._findings, self._found, self._notes)

    def _find(self, code: str, where: str, detail: str) -> None:
        self._found += 1
        if len(self._findings) < LISTED:
            self._findings.append(Finding(self._at[0], code, where, detail))

    # Files, before anything is compared that is read from them

    def _check_parts(self) -> int:
        read, broken = self._rows.broken(self._say)
        for one in broken:
            self._find("broken_part", f"part {one.part}", f"{one.file}: {one.said}" if one.file else one.said)
        self._broken = [one.part for one in broken if not one.in_projection]
        return read

    def _check_projections(self) -> int:
        found = Projections(self._rows, self._block, self._find, self._say, self._notes, self._broken)
        return found.check()

    # Rows against the committer's place

    def _check_rows(self) -> int:
        place, facts = self._keys.committed, self._rows.facts(self._block)
        for said in self._baseline.damage:
            self._find("detached_part", "usage rows", said)
        if self._baseline.unread:
            self._find("not_compared", "rows after the last block", self._baseline.unread)
        for block, count in self._baseline.above:
            self._find("uncommitted_block", f"block {block}", f"{count} rows of a block that was never committed")
        if place.skipped and (count := self._rows.in_block(place.skipped)):
            self._find("burnt_block", f"block {place.skipped}", f"{count} rows of a block whose number was given up")
        if facts.rows != place.rows_total:
            detail = f"{place.rows_total} rows were acknowledged up to block {self._block}, {facts.rows} are there"
            self._find("rows_total", "usage rows", detail)
            if facts.last_block != self._block:  # else it only had none: a block of refused or held events
                self._find("last_block", f"block {self._block}", f"has no rows; they end at block {facts.last_block}")
        if facts.keys != facts.rows:
            self._find("keys_total", "usage rows", f"{facts.rows} entries are there and {facts.keys} keys of them")
        if facts.compacted:
            self._notes.append(f"{facts.compacted} of {facts.rows} entries are compacted by quarter hours.")
        if facts.last_received_at > place.received_at:
            detail = f"a row was received at {facts.last_received_at} ms, after the last block's {place.received_at} ms"
            self._find("received_at", "usage rows", detail)
        if facts.impossible:
            self._find("impossible_row", "usage rows", f"{facts.impossible} rows that no door lets in")
        for upto, torn in self._rows.torn_blocks(self._block):
            for block in torn:
                self._find("torn_block", f"block {block}", "its rows have more than one instant of receipt")
            self._say("rows", upto, self._block)
        return facts.rows

    def _check_journal(self) -> int:
        found = JournalCheck(self._rows, self._baseline.records, self._block, self._find, self._say)
        return found.check(self._baseline.aside)

    # Promises

    def _check_subjects(self) -> int:
        count = self._rows.count_users()
        parts = 1 + count // SUBJECTS
        seen = 0
        for part in range(parts):
            named = self._rows.users(part, parts)
            with self._ledger.read() as tx:
                unknown = ledger_audit.unknown_subjects(tx, named)
            for account, user in unknown:
                where = f"account {account!r}" + (f", user {user!r}" if user else "")
                self._find("unknown_subject", where, "has usage and is not in the ledger")
            seen += len(named)
            self._say("subjects", seen, count)
        self._check_erased()
        self._check_erased_accounts()
        return seen

    def _check_erased(self) -> None:
        last = ""
        while True:
            with self._ledger.read() as tx:
                users = erasures.finished(tx, last, ERASED)
            if not users:
                return
            for user in self._rows.with_texts(users):
                self._find("erased_user", f"user {user!r}", "was erased and has rows with labels or reasons")
            last = users[-1]
            self._say("subjects")

    def _check_erased_accounts(self) -> None:
        last = ""
        while True:
            with self._ledger.read() as tx:
                accounts = erased_accounts.finished(tx, last, ERASED_ACCOUNTS)
            if not accounts:
                return
            for account in self._rows.accounts_with_texts(accounts):
                self._find("erased_account", f"account {account!r}", "was erased and has rows with labels or reasons")
            last = accounts[-1]
            self._say("subjects")

    def _check_ledger(self) -> int:
        with self._ledger.read() as tx:
            for fault in ledger_audit.faults(tx):
                self._find(f"ledger_{fault.code}", fault.where, fault.detail)
                self._say("ledger")
            return ledger_audit.count_rows(tx)

    # Figures that take both stores

    def _check_balances(self) -> int:
        sums = self._rows.sums(self._block)
        laws = Balances(self._by_rows(), sums, self._ledger, self._block, self._now, self._find, self._say)
        return laws.check()

    def _by_rows(self) -> UsageReader:
        return ByRows(self._rows.reader, Commit(self._block, self._keys.committed.received_at))

    def _check_periods(self) -> int:
        sums = self._rows.sums(self._block)
        return Statements(self._by_rows(), sums, self._ledger, self._block, self._find, self._say).check()

    # What is apart from both

    def _check_samples(self) -> int:
        looked_at = 0
        if self._samples is None or not self._samples.exists():
            return 0
        if said := complaints(self._samples, quick=True):
            self._find("samples_file", "samples", "; ".join(said))
            return 0

        def count(some: int) -> None:
            nonlocal looked_at
            looked_at += some
            self._say("samples", looked_at)

        for fault in check_chunks(self._samples, count):
            self._find("samples_chunk", fault.where, fault.detail)
        return looked_at


def take_baseline(rows: RowsCheck, keys: Path, records: Iterable[Record] = ()) -> Baseline:
    """Call it between two blocks; `records` of the journal are read later. KeysBroken where the keys cannot tell of
    their moment."""
    check = KeysCheck(keys)
    try:
        try:
            return Baseline(check, rows.above(check.committed.block), rows.damage(), rows.aside(), records)
        except StoreDamaged as error:
            return Baseline(check, [], rows.damage(), rows.aside(), records, error.detail)
    except BaseException:
        check.close()
        raise


def verify(
    rows: RowsCheck, baseline: Baseline, ledger: Ledger, progress: Progress, now: int, samples: Path | None = None
) -> Report:
    """Compare everything; closes the baseline. `now`: the instant of the balances that are checked; `samples`: the file
    of samples."""
    try:
        return Verifier(rows, baseline, ledger, progress, now, samples).run()
    finally:
        baseline.keys.close()


def _told(error: Exception) -> str:
    return error.detail if isinstance(error, StoreDamaged) else f"The keys database cannot be read: {error}"

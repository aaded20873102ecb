"""Is everything what it says it is? Every total derived anew, while writing goes on.

Owns what is compared with what. The moment is taken between two blocks, for milliseconds; all else is about the rows,
keys and marks of the blocks up to then, which never change. Memory is bounded: what is long is folded (`fingerprint`)
or looked at in portions, and only what differs is looked at one by one.

    roll-up of each part   =  its rows
    keys                   =  named rows: one each, same digest, same block
    numbers up to a mark   =  one row or one refused entry each
    marks, kinds, places   =  what the rows of the source say
    rows acknowledged      =  rows there
    accounts and users     <= the ledger's;  the ledger = its own rules;  erased users have no texts
    balances               =  what rows, grants and allocations add up to (`laws`)
    closed periods         =  the rows of their time (`statements`)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from flowtally.care.job import Progress
from flowtally.care.laws import Laws
from flowtally.care.statements import Statements
from flowtally.ledger import audit as ledger_audit
from flowtally.ledger import erasures
from flowtally.ledger.database import Ledger
from flowtally.usage import fingerprint
from flowtally.usage.fingerprint import NUMBERS, Folded
from flowtally.usage.key_bytes import key_of
from flowtally.usage.keys import Source
from flowtally.usage.keys_audit import KeyRows, KeysAudit
from flowtally.usage.rows_audit import Keyed, Numbered, Part, RowsAudit, SourceRows, class_of

LISTED: Final = 200  # findings in one answer; all are counted
DRILLED: Final = 64  # differing buckets of keys that are looked at entry by entry
ROUNDS: Final = 10  # merges replace parts while they are looked at
SOURCES: Final = 20_000  # sources held at a time
SUBJECTS: Final = 50_000  # users held at a time
ERASED: Final = 5_000  # erased users looked for in one question


class Finding(msgspec.Struct, frozen=True):
    """One difference: `code` is stable, `where` names the thing, `detail` says what differs."""

    check: str
    code: str
    where: str
    detail: str


class Check(msgspec.Struct, frozen=True):
    """A comparison that was made over `looked_at` things, of which `found` differ."""

    name: str
    looked_at: int
    found: int


class Report(msgspec.Struct, frozen=True):
    """What was found about everything up to `block`. The first findings are listed, all are counted."""

    block: int
    rows: int
    checks: list[Check]
    findings: list[Finding]
    found: int
    notes: list[str]


class Moment(msgspec.Struct, frozen=True):
    """What was the case between two blocks."""

    keys: KeysAudit
    above: list[tuple[int, int]]
    damage: list[str]


class Verifier:
    """One run. `now`: the instant of the balances that are checked."""

    def __init__(self, rows: RowsAudit, moment: Moment, ledger: Ledger, progress: Progress, now: int) -> None:
        self._rows = rows
        self._now = now
        self._keys = moment.keys
        self._moment = moment
        self._ledger = ledger
        self._say = progress
        self._block = moment.keys.committed.block
        self._checks: list[Check] = []
        self._findings: list[Finding] = []
        self._found = 0
        self._notes: list[str] = []
        self._at = ("", 0)  # the check under way, and how much was found before it

    def run(self) -> Report:
        for name, check in (
            ("rows", self._check_rows),
            ("roll-ups", self._check_roll_ups),
            ("keys", self._check_keys),
            ("numbers", self._check_numbers),
            ("subjects", self._check_subjects),
            ("ledger", self._check_ledger),
            ("balances", self._check_balances),
            ("periods", self._check_periods),
        ):
            self._at = (name, self._found)
            self._say(name)
            looked_at = check()
            self._checks.append(Check(name, looked_at, self._found - self._at[1]))
        rows = self._keys.committed.rows_total
        return Report(self._block, rows, self._checks, self._findings, self._found, self._notes)

    def _find(self, code: str, where: str, detail: str) -> None:
        self._found += 1
        if len(self._findings) < LISTED:
            self._findings.append(Finding(self._at[0], code, where, detail))

    # Rows against the committer's place

    def _check_rows(self) -> int:
        place, facts = self._keys.committed, self._rows.facts(self._block)
        for said in self._moment.damage:
            self._find("detached_part", "usage rows", said)
        for block, count in self._moment.above:
            self._find("uncommitted_block", f"block {block}", f"{count} rows of a block that was never committed")
        if place.burnt and (count := self._rows.in_block(place.burnt)):
            self._find("burnt_block", f"block {place.burnt}", f"{count} rows of a block whose number was given up")
        if facts.rows != place.rows_total:
            detail = f"{place.rows_total} rows were acknowledged up to block {self._block}, {facts.rows} are there"
            self._find("rows_total", "usage rows", detail)
        if facts.keys != facts.rows:
            self._find("keys_total", "usage rows", f"{facts.rows} entries are there and {facts.keys} keys of them")
        if facts.rolled_up:
            self._notes.append(f"{facts.rolled_up} of {facts.rows} entries are rolled up by quarter hours.")
        if facts.last_block != self._block:
            self._find("last_block", f"block {self._block}", f"has no rows; they end at block {facts.last_block}")
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

    # Roll-ups against rows

    def _check_roll_ups(self) -> int:
        seen: set[str] = set()
        looked_at = 0
        for _ in range(ROUNDS):
            parts = [part for part in self._rows.parts(self._block) if part.name not in seen]
            if not parts:
                return looked_at
            total = sum(part.rows for part in parts)
            for part in parts:
                if self._rows.is_active(part.name):
                    looked_at += self._look_at(part, seen)
                self._say("roll-ups", looked_at, total)
        self._notes.append("Merges kept replacing parts: the roll-ups of the newest were not compared; verify again.")
        return looked_at

    def _look_at(self, part: Part, seen: set[str]) -> int:
        whole = True
        for portion in range(self._rows.slices(part)):
            whole = whole and self._rows.agrees(part, portion)
            self._say("roll-ups", portion, self._rows.slices(part))
        if not self._rows.is_active(part.name):
            return 0  # merged away meanwhile: what it became is looked at in the next round
        seen.add(part.name)
        if not whole:
            self._name_accounts(part)
        return part.rows

    def _name_accounts(self, part: Part) -> None:
        unreadable, differing = self._rows.differing_accounts(part)
        where = f"part {part.name}"
        if unreadable:
            self._find("roll_up", where, f"its roll-up {', '.join(unreadable)} is missing or cannot be read")
        elif not differing:
            self._find("roll_up", where, "groups of its roll-up differ from its rows; the sums of the accounts agree")
        for one in differing:
            names = ("bytes up", "bytes down", "requests")
            figures = ", ".join(
                f"{name} {rolled} instead of {by_rows}"
                for name, rolled, by_rows in zip(names, one.roll_up, one.rows, strict=True)
                if rolled != by_rows
            )
            account = f"{where}, account {one.account!r}, series {one.series!r}"
            self._find("roll_up", account, f"the roll-up {one.name} says {figures}")

    # Keys against named rows

    def _check_keys(self) -> int:
        for said in self._keys.complaints():
            self._find("keys_file", "keys database", f"SQLite says: {said}")
        by_rows, by_keys, seen = self._rows.fold_named(self._block), Folded(), 0
        total = int(by_rows.counts.sum())
        for some in self._keys.all_keys():
            if some.source is None:
                for key in some.keys[:LISTED]:
                    self._find("key_of_no_source", f"key {_id(key)!r}", f"its source {some.no} is not registered")
            else:
                entry = fingerprint.entries(some.source.name, some.keys)
                by_keys.add(entry, fingerprint.contents(entry, some.digests, some.blocks))
            seen += len(some.keys)
            self._say("keys", seen, total)
        differing = by_rows.differing(by_keys)
        self._compare_keys(differing[:DRILLED])
        if len(differing) > DRILLED:
            more = f"keys and rows differ in {len(differing)} of {fingerprint.BUCKETS} portions; {DRILLED} are listed"
            self._find("keys", "keys database", more)
        return total

    def _compare_keys(self, buckets: Sequence[int]) -> None:
        if not buckets:
            return
        rows: dict[tuple[str, bytes], list[Keyed]] = defaultdict(list)
        for row in self._rows.named_in(buckets, self._block):
            rows[row.source, key_of(row.id)].append(row)
        wanted = frozenset(buckets)
        for some in self._keys.all_keys():
            if some.source is not None:
                self._compare_some(some.source.name, some, wanted, rows)
            self._say("keys, one by one")
        for (source, key), missing in rows.items():
            blocks = sorted({row.block for row in missing})
            self._find("row_without_key", _event(source, key), f"has a row in block {_spans(blocks)} and no key")
            self._twice(source, key, missing)

    def _compare_some(
        self, source: str, some: KeyRows, wanted: frozenset[int], rows: dict[tuple[str, bytes], list[Keyed]]
    ) -> None:
        buckets = fingerprint.entries(source, some.keys) % fingerprint.BUCKETS if some.keys else ()
        before = b""
        for at, bucket in enumerate(buckets):
            if int(bucket) not in wanted:
                continue
            key, digest, block = some.keys[at], some.digests[at], some.blocks[at]
            if key == before:
                self._find("two_keys", _event(source, key), "has two keys of different content")
                continue
            before = key
            mine = rows.pop((source, key), [])
            event = _event(source, key)
            if not mine:
                self._find("key_without_row", event, f"has a key of block {block} and no row")
                continue
            self._twice(source, key, mine)
            if all(row.digest != digest for row in mine):
                self._find("foreign_digest", event, f"its key has digest {digest}, its row {mine[0].digest}")
            if all(row.block != block for row in mine):
                self._find("wrong_block", event, f"its key says block {block}, its row is in block {mine[0].block}")

    def _twice(self, source: str, key: bytes, mine: Sequence[Keyed]) -> None:
        if len(mine) > 1:
            blocks = ", ".join(str(row.block) for row in sorted(mine, key=lambda row: row.block))
            self._find("counted_twice", _event(source, key), f"has {len(mine)} rows, in blocks {blocks}")

    # Sources: numbers, marks, positions

    def _check_numbers(self) -> int:
        count = self._keys.count_sources()
        classes = 1 + count // SOURCES
        seen = 0
        for part in range(classes):
            by_rows = self._rows.sources(self._block, part, classes)
            numbers = self._rows.numbers(self._block, part, classes)
            for source in self._keys.sources():
                if classes == 1 or class_of(source.name, classes) == part:
                    seen += 1
                    self._check_source(source, by_rows.pop(source.name, None), numbers.get(source.name, {}))
                    self._say("numbers", seen, count)
            for name, rows in by_rows.items():
                told = f"has {rows.named + rows.numbered} rows and is not registered"
                self._find("unknown_source", f"source {name!r}", told)
        return seen

    def _check_source(self, source: Source, rows: SourceRows | None, numbers: dict[int, Numbered]) -> None:
        where = f"source {source.name!r}"
        if source.kind == "named":
            if rows is not None and rows.numbered:
                self._find("source_kind", where, f"is named and has {rows.numbered} rows with numbers")
            return
        if rows is not None and rows.named:
            self._find("source_kind", where, f"is numbered and has {rows.named} rows without numbers")
        if rows is not None and rows.mark > source.mark:
            self._find("mark_behind", where, f"its mark is {source.mark}; its rows say {rows.mark}")
        if rows is not None and rows.mark == source.mark and rows.position != (source.position or ""):
            detail = f"its position is {source.position!r}; its rows say {rows.position!r}"
            self._find("position", where, detail)
        for span in sorted({*range(source.mark // NUMBERS + 1), *numbers}):
            if not self._is_complete(source, span, numbers.get(span)):
                self._name_numbers(source, span)
            self._say("numbers")

    def _is_complete(self, source: Source, span: int, rows: Numbered | None) -> bool:
        first, last = max(1, span * NUMBERS), min(source.mark, (span + 1) * NUMBERS - 1)
        refused = self._keys.refused(source.no, first, last)
        count, summed = (rows.rows, rows.sum) if rows else (0, 0)
        wanted = max(0, last - first + 1)
        if count + len(refused) != wanted:
            return False
        both = (summed + fingerprint.of_some(refused)) % 2**64
        return not wanted or both == fingerprint.of_numbers(first, last)

    def _name_numbers(self, source: Source, span: int) -> None:
        """Which numbers of this range are missing, there twice, refused and stored, or beyond the mark."""
        first, last = max(1, span * NUMBERS), min(source.mark, (span + 1) * NUMBERS - 1)
        rows = self._rows.numbers_in(source.name, span, self._block)
        refused = set(self._keys.refused(source.no, first, last))
        missing = [n for n in range(first, last + 1) if n not in rows and n not in refused]
        where = f"source {source.name!r}"
        for code, numbers, told in (
            ("missing_number", missing, "up to its mark and with neither a row nor a refusal"),
            ("counted_twice", sorted(n for n, count in rows.items() if count > 1), "with more than one row"),
            ("refused_and_stored", sorted(refused & rows.keys()), "refused, and with a row"),
            ("beyond_mark", sorted(n for n in rows if n > source.mark), f"with a row beyond its mark {source.mark}"),
        ):
            if numbers:
                self._find(code, where, f"{len(numbers)} numbers {told}: {_spans(numbers)}")

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

    def _check_ledger(self) -> int:
        with self._ledger.read() as tx:
            for fault in ledger_audit.faults(tx):
                self._find(f"ledger_{fault.code}", fault.where, fault.detail)
                self._say("ledger")
            return ledger_audit.count_rows(tx)

    # Figures that take both stores

    def _check_balances(self) -> int:
        sums = self._rows.sums(self._block)
        laws = Laws(self._rows.reader, sums, self._ledger, self._block, self._now, self._find, self._say)
        return laws.check()

    def _check_periods(self) -> int:
        sums = self._rows.sums(self._block)
        return Statements(self._rows.reader, sums, self._ledger, self._block, self._find, self._say).check()


def take_moment(rows: RowsAudit, keys: Path) -> Moment:
    """Call it between two blocks."""
    audit = KeysAudit(keys)
    try:
        return Moment(audit, rows.above(audit.committed.block), rows.damage())
    except BaseException:
        audit.close()
        raise


def verify(rows: RowsAudit, moment: Moment, ledger: Ledger, progress: Progress, now: int) -> Report:
    """Compare everything; closes the moment. `now`: the instant of the balances that are checked."""
    try:
        return Verifier(rows, moment, ledger, progress, now).run()
    finally:
        moment.keys.close()


def _id(key: bytes) -> str:
    """The id a key was made of."""
    if key[:1] == b"\x00":
        digits = key[1:].hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return key[1:].decode("utf-8", "replace")


def _event(source: str, key: bytes) -> str:
    return f"event {_id(key)!r} of source {source!r}"


def _spans(numbers: Sequence[int], most: int = 10) -> str:
    """`1-3, 7`: ascending numbers for people, the first few runs of them."""
    runs = list(_runs(numbers))
    told = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:most]]
    return ", ".join(told) + (", ..." if len(runs) > most else "")


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield first, last
            first = last = number
    if first is not None and last is not None:
        yield first, last

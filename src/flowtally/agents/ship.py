"""Import a log: read lines from where the server says the source stands, send numbered events, once and for ever.

The server answers after a batch is durable, so stopping anywhere (or losing an answer) loses nothing: the next run asks
for mark and position and goes on (`sending`). A source belongs to the sender that first wrote it, whichever of its keys
is used. Each batch is looked for under other sources (`overlap`) and in the log itself (`repeats`) before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from flowtally.agents.accounts import check_accounts, told
from flowtally.agents.again import SecondReading, check_levels, levels_of
from flowtally.agents.formats import Declared, Format, format_of
from flowtally.agents.look import looking_for
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.overlap import check_overlap
from flowtally.agents.position import earlier_names, mapping_text, source_name
from flowtally.agents.reader import LogDamaged, LogFile
from flowtally.agents.repeats import Repeats
from flowtally.agents.report import ImportReport, Reads, SourceState
from flowtally.agents.sending import BATCH_EVENTS, Sending
from flowtally.client import ApiError, Client
from flowtally.core.errors import ConfigError
from flowtally.core.texts import text_fault
from flowtally.protocol import SourceAnswer

RESTARTS: Final = 3


class ImportProgress(msgspec.Struct, frozen=True):
    """Bytes of the log as stored (compressed where it is); `total_bytes` None for a pipe."""

    done_bytes: int
    total_bytes: int | None
    lines: int
    events: int


class Importer:
    """One run over one log. `report()` may be asked at any time, also after an exception or a Ctrl-C."""

    def __init__(
        self,
        client: Client,
        log: LogFile,
        declared: Declared,
        mapping: Mapping,
        *,
        source: str = "",
        progress: Callable[[ImportProgress], None] | None = None,
        batch_events: int = BATCH_EVENTS,
        finished: bool = False,
        again: bool = False,
        overlap_allowed: bool = False,
    ) -> None:
        """`finished`: nobody writes the log any more, so a last line without newline is whole too. `again`: only lines
        that could not be read with the options the log was imported with. `overlap_allowed`: what stands in another
        source already may count again."""
        self._format = format_of(declared)
        self._formats: list[Format] = [self._format]
        mapper = Mapper(mapping, self._format)
        if not log.seekable and (again or not source):
            raise ConfigError(
                "a pipe cannot be read again: --again needs a file"
                if again
                else "a pipe has no name of its own: give --source, the same for every run"
            )
        if fault := text_fault(source):
            raise ConfigError(f"--source {source!r} {fault}")
        self._client = client
        self._log = log
        self._declared = declared
        self._mapping = mapping
        self._options = mapping_text(declared, mapping)
        self._is_named = bool(source)
        self._progress = progress or (lambda _: None)
        self._batch_events = batch_events
        self._finished = finished
        self._again = again
        self._asks_overlap = not overlap_allowed
        self._asks_accounts = True
        self._state: SourceState | None = None
        self._at_end = False
        self._repeats = Repeats(client, source)
        self._means = mapper.means
        self.notes = list(mapper.notes)
        self._sending = self._sends(source or _name_of(log, finished), mapper)

    @property
    def source(self) -> str:
        """Empty while the log has no line that could name it."""
        return self._sending.source

    def known(self) -> SourceAnswer | None:
        """Where the source of this log stands, under the name it has on the server; None where it is new."""
        if not self.source:
            return None
        if (answer := self._ask(self.source)) is not None or self._is_named:
            return answer
        for name in earlier_names(self._log.first_kilobyte(), self._declared.format):
            if (answer := self._ask(name)) is not None:
                self._log.count_mark()
                self._sending.source = name
                return answer
        return None

    def run(self) -> ImportReport:
        """Import to the log's end. Raises NoSuchAccount, CannotResume, AlreadyCounted, NothingStored, LogChanged,
        NotALog, LogDamaged (a stream that was cut: after sending what came before; one that is broken: before anything
        is sent) and the client's ApiError; in every case what was acknowledged stays and a later run goes on there."""
        if not self.source:
            self._read_unnamed()
            return self.report()
        self.check_account()
        self.known()
        if self._log.seekable:
            self._log.check_packing()
        if self._again:
            self._read_again()
        for restart in range(RESTARTS + 1):
            try:
                self._run_once()
                break
            except ApiError as error:
                # Another run over the same source got ahead, or the server was restored to an earlier state.
                if error.code != "sequence_gap" or restart == RESTARTS or not self._log.seekable:
                    raise
        answer = self._ask(self.source)
        self._state = None if answer is None else _state(answer)
        return self.report()

    def report(self) -> ImportReport:
        sending, log = self._sending, self._log
        report = sending.tally.report(self.source, sending.position.sequence, sending.start.offset, sending.start.lines)
        return msgspec.structs.replace(
            report,
            file=log.name,
            kind=log.kind,
            waiting_bytes=log.waiting if self._at_end else 0,  # else more than a half line is still to be read
            nul_bytes=log.nuls,
            means=self._means,
            notes=tuple(self.notes),
            state=self._state,
        )

    def _sends(self, source: str, reads: Reads) -> Sending:
        return Sending(
            self._client,
            source,
            reads,
            self._options,
            self._batch_events,
            looking=lambda: looking_for(self._mapping),
        )

    def _ask(self, source: str) -> SourceAnswer | None:
        try:
            return self._client.source(source)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return None

    def _read_again(self) -> None:
        """Take only what the earlier ones could not read."""
        levels, name = levels_of(self._ask, self.source, self._options)
        check_levels(self._log, levels)
        reading = SecondReading(levels, self._declared, self._mapping)
        self._formats = reading.formats
        self.notes.append(
            "skipped are also the lines that could be read before, as " + ", ".join(one.source for one in levels)
        )
        self._sending = self._sends(name, reading)

    def _read_unnamed(self) -> None:
        """No line that tells this log from others is there: it is new, or no log that this format reads."""
        for line in self._log.lines(finished=self._finished):
            self._sending.take(line)
            if self._sending.waiting:
                raise ConfigError(
                    f"{self._log.name}: no line of it tells it from other logs (none has a digit): give --source, "
                    "the same for every run"
                )
        self._at_end = True

    def _run_once(self) -> None:
        position = self._sending.resume()
        self._repeats = Repeats(self._client, self.source, goes_on=position.sequence > 0)
        remembering = [made.remember for made in self._formats if made.remember is not None]
        if not remembering:
            self._log.start_at(position.offset, position.check)
        for remember in remembering:
            self._log.start_at(position.offset, position.check, remember)
        damage: LogDamaged | None = None
        self._at_end = False
        try:
            self._read()
        except LogDamaged as error:  # what came before it is sent first
            damage = error
        self._at_end = True
        self._send()
        if damage is not None:
            raise damage

    def _read(self) -> None:
        for line in self._log.lines(finished=self._finished):
            self._sending.take(line)
            if self._sending.full:
                self._send()
            elif self._sending.tally.lines % BATCH_EVENTS == 0:
                self._tell()  # a long stretch of unreadable lines makes no batch and still takes time

    def check_account(self) -> None:
        """That the account of every line is there, where there is one. NoSuchAccount."""
        if self._mapping.account and self._asks_accounts:
            self._asks_accounts = False
            check_accounts(self._client, [self._mapping.account])

    def _check_accounts(self) -> None:
        """Before the first batch: that the accounts of its lines are there. NoSuchAccount where none of them is."""
        if not self._asks_accounts or not self._sending.waiting:
            return
        self._asks_accounts = False
        refused = check_accounts(self._client, (event.account for event in self._sending.events))
        if refused:
            self.notes.append(f"not all accounts of this log take events: {told(self._client, refused)}")

    def _send(self) -> None:
        sending = self._sending
        self._check_accounts()
        if self._asks_overlap:
            self._check_once()
        sending.send(self._log.offset, self._log.check())
        self._tell()

    def _check_once(self) -> None:
        """That nothing of the batch counts already, under another source or in this one."""
        sending = self._sending
        if check_overlap(self._client, self.source, sending.events, sending.line_of):
            self._repeats.check(sending.events, sending.line_of)
        else:
            self._asks_overlap = False
            self.notes.append("not asked whether other sources have these lines: this credential may not ask")

    def _tell(self) -> None:
        tally = self._sending.tally
        self._progress(ImportProgress(self._log.done_bytes, self._log.total_bytes, tally.lines, tally.events))


def _state(answer: SourceAnswer) -> SourceState:
    held, refused = answer.held, answer.refused
    return SourceState((answer.sequence or 0) - held - refused, held, refused, more_refused=answer.more_refused)


def _name_of(log: LogFile, finished: bool) -> str:
    head = log.head(finished=finished)
    return "" if head is None else source_name(head)

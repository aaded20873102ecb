"""One source of a log: the file it is read from, and where the server says it stands.

A stream is (1) made to stand: the server is asked, the file is opened there and checked; (2) read in slices and sent,
one request at a time; (3) left when its file is finished, or was cut. A failure of any kind forgets what was read and
not stored, and begins at (1) after a pause: nothing but the server's position is believed. Several files may be of one
source, since a copy has the same first line: they are read one after the other, each from where the last one ended; one
that does not go on there is reported and left alone.
"""

from __future__ import annotations

from typing import Final

from flowtally.agents.follow.counted import check_counted
from flowtally.agents.follow.dispatcher import Delivery
from flowtally.agents.follow.exchange import Exchange
from flowtally.agents.follow.files import FollowedFile
from flowtally.agents.follow.intake import Intake, LogReading
from flowtally.agents.position import Position
from flowtally.agents.reader import LogChanged, LogDamaged, LogShort, NotALog, Remember
from flowtally.agents.sending import Sending
from flowtally.protocol import EventsAnswer

INTERVAL_S: Final = 0.7  # between two requests of a stream, where it has no full batch
COPY_S: Final = 30.0  # after a cut, for a copy of what was there before
RECHECK_S: Final = 3600.0  # a server may be restored to an earlier state without being seen away


class LogStream:
    def __init__(self, source: str, reading: LogReading) -> None:
        self.source = source
        self.candidates: list[FollowedFile] = []  # to be read after the present one
        self.file: FollowedFile | None = None
        self.was_cut = False
        self.first_at = 0
        self.half_line = False  # its last line waits for its end, and nobody writes it
        self._reading = reading
        self._server = reading.server
        self._telling = reading.telling
        self._exchange = Exchange(source, reading.server, reading.telling, reading.counts)
        self._sending: Sending | None = None
        self._remember: Remember | None = None
        self._intake: Intake | None = None  # while it stands
        self._job: Delivery[Position] | Delivery[EventsAnswer | None] | None = None
        self._acked = -1  # offset up to which the server has it, as last heard
        self._outages = self._server.outages
        self._sent_at = float("-inf")
        self._done: FollowedFile | None = None
        self._slot = False
        self._reopened = False  # the present file was closed in between
        self._copy_until = float("-inf")  # for how long a copy is waited for; -inf: it is not

    # ── for its log

    def add(self, file: FollowedFile) -> None:
        """Another file of this source."""
        if file is not self.file and file not in self.candidates:
            self.candidates.append(file)

    def has(self, file: FollowedFile) -> bool:
        return file is self.file or file in self.candidates

    def live_beside(self, file: FollowedFile) -> FollowedFile | None:
        """Another file of this source that is written, too."""
        others = (one for one in (self.file, *self.candidates) if one is not None and one is not file)
        return next((one for one in others if one.live), None)

    def drop(self, file: FollowedFile) -> None:
        """It is nowhere any more."""
        if file in self.candidates:
            self.candidates.remove(file)
        if file is self._done:
            self._done = None

    @property
    def busy(self) -> bool:
        """Whether to turn it again at once."""
        if self._job is not None:
            return self._job.done
        return self._intake is not None and self._pending(self._intake) and self._server.room

    @property
    def active(self) -> bool:
        """It has something to do: read, sent or waited for."""
        waits = self._job is not None or self._copy_until > float("-inf")
        return waits or self.file is not None or bool(self.candidates)

    @property
    def idle(self) -> bool:
        """All of its files that can be read was read and has its receipts."""
        if self._job is not None or self.waiting or (self._intake is not None and self._pending(self._intake)):
            return False
        if self.file is None:
            return not self.candidates or all(one.aside == one.seen for one in self.candidates)
        return self._intake is not None and not self.file.changed

    @property
    def waiting(self) -> int:
        return self._sending.waiting if self._sending is not None else 0

    @property
    def behind_bytes(self) -> int:
        """Of its files, what was not read yet; of a compressed one the size is not known."""
        files = [one for one in self.candidates if one.aside != one.seen]
        intake, read_bytes = self._intake, 0
        if self.file is not None and (intake is None or intake.more or self.file.changed):
            files.append(self.file)
            read_bytes = intake.place[0] if intake is not None else 0
        sizes = (one.seen[0] - (read_bytes if one is self.file else 0) for one in files if not one.compressed)
        return sum(max(0, size) for size in sizes)

    @property
    def failing(self) -> bool:
        return self._exchange.backoff.failures > 0

    @property
    def backoff_until(self) -> float:
        return self._exchange.backoff.until

    def turn(self, now: float) -> None:
        if self._job is not None:
            if not self._job.done:
                return
            self._ended(now)
        if now < self._exchange.backoff.until:
            return
        if self._outages != self._server.outages and self._job is None:
            self._outages = self._server.outages
            self._forget()
            self._exchange.heard_at = float("-inf")
        if self.file is None and not self._take_next(now):
            self._miss_copy(now)
            self._recheck(now)
        elif self._intake is None:
            self._stand(now)
        else:
            self._go_on(self._intake, now)

    def finish(self, now: float) -> bool:
        """Send what waits and read no more. Whether nothing waits."""
        if self._job is not None:
            if not self._job.done:
                return False
            self._ended(now)
        if self._sending is None or self._intake is None or not self.waiting or self._server.away:
            return True
        if now >= self._exchange.backoff.until:
            self._send(self._sending, self._intake, now)
        return False

    def close(self) -> None:
        self._forget()
        for file in (self.file, *self.candidates):
            if file is not None:
                file.close()

    # ── standing

    def _take_next(self, now: float) -> bool:
        """The next file that looks as if it could go on here."""
        for file in self.candidates:
            if file.aside == file.seen or now < file.pause.until:
                continue
            if file.tail is None:
                if not self._server.slots:
                    continue
                self._slot = True
                self._server.slots -= 1
            self.candidates.remove(file)
            self.file = file
            self._copy_until = float("-inf")
            return True
        return False

    def _miss_copy(self, now: float) -> None:
        """Of a file that was cut: is a copy anywhere?"""
        if self._copy_until == float("inf"):
            self._copy_until = now + COPY_S
        elif float("-inf") < self._copy_until <= now:
            self._copy_until = float("-inf")
            self._telling.no_copy(self.source)

    def _let_go(self) -> None:
        """Of the present file."""
        self._forget()
        self.file = None
        self._server.slots += self._slot
        self._slot = False

    def _stand(self, now: float) -> None:
        file = self.file
        assert file is not None
        if not self._server.may_ask(now):
            return
        self._reopened = file.tail is None
        try:
            tail = file.open()
        except OSError as error:
            self._server.heard_nothing()
            self._trouble(file, error, now)
            return
        sending = self._new_sending()
        remember, head = self._remember, file.head

        def stand() -> Position:
            position = sending.resume()
            if tail.head(finished=True) != head:
                raise LogChanged(f"{tail.log.name} begins with another line than before")
            tail.start_at(position.offset, position.check, remember)
            return position

        self._job = self._server.ask(stand, long=file.compressed)

    def _new_sending(self) -> Sending:
        mapper, self._remember = self._reading.reader()
        self._sending = Sending(
            self._server.client, self.source, mapper, self._reading.options, self._exchange.batch, any_options=True
        )
        return self._sending

    def _stands(self, position: Position, now: float) -> None:
        sending, file = self._sending, self.file
        assert sending is not None
        assert file is not None
        self._intake = Intake(file, sending, self._reading, position, self._exchange.batch)
        file.fault = False
        self._exchange.heard_at = now
        self._exchange.expected = sending.ahead
        if sending.other_options:
            self._telling.options(self.source, position, sending.other_options, self._reading.options)
        if position.offset < self._acked:
            self._telling.went_back(self.source, self._acked, position.offset)
            self._server.outages += 1
            self._outages = self._server.outages
        self._acked = position.offset

    def _recheck(self, now: float) -> None:
        """Nothing is left to read: does the server still have all of it?"""
        if self._done is None or now - self._exchange.heard_at < RECHECK_S or not self._server.may_ask(now):
            return
        self._exchange.heard_at = now
        sending = self._new_sending()
        self._job = self._server.ask(sending.resume)

    # ── reading and sending

    def _go_on(self, intake: Intake, now: float) -> None:
        file, sending = self.file, self._sending
        assert file is not None
        assert sending is not None
        if self._server.room:
            try:
                intake.read(now)
            except NotALog as error:
                self._put_aside(file, error, now, "not_a_log")
                return
            except OSError as error:
                self._trouble(file, error, now)
                return
            self._exchange.hold(intake.held_bytes)
        self._tell_half(file, intake.half_bytes(now))
        if sending.waiting:
            if self._is_due(sending, intake, now):
                self._send(sending, intake, now)
        elif intake.cut is not None:
            self._leave_cut(file, intake.cut, intake.place[0], intake.last)
        elif intake.may_leave(now):
            self._leave(file)
        elif now - self._exchange.heard_at >= RECHECK_S:
            self._forget()

    def _tell_half(self, file: FollowedFile, size_bytes: int | None) -> None:
        if size_bytes:
            self._telling.half_line(file.path, size_bytes)
        elif size_bytes == 0 and self.half_line:
            self._telling.over("half", file.path, "line_is_whole")
        self.half_line = self.half_line if size_bytes is None else bool(size_bytes)

    def _pending(self, intake: Intake) -> bool:
        """There is something to do at once."""
        return intake.more or intake.cut is not None

    def _is_due(self, sending: Sending, intake: Intake, now: float) -> bool:
        return (
            sending.full
            or now - self._sent_at >= INTERVAL_S
            or intake.cut is not None
            or not self._server.room
            or (self._reading.once and not intake.more)
        )

    def _send(self, sending: Sending, intake: Intake, now: float) -> None:
        if not self._server.may_ask(now):
            return
        self._sent_at = now
        begins = not (sending.position.sequence or sending.ahead or self._reading.overlap)
        place = intake.place

        def send() -> EventsAnswer | None:
            if begins:
                check_counted(self._server.client, sending)
            return sending.send(*place)

        self._job = self._server.ask(send)

    # ── the end of a job

    def _ended(self, now: float) -> None:
        job, self._job = self._job, None
        assert job is not None
        try:
            result = job.result()
        except Exception as error:
            self._server.failed(error, now)
            self._failed(error, now)
            return
        self._exchange.heard(result)
        if isinstance(result, Position):
            if self.file is None:
                self._rechecked(result)
            else:
                self._stands(result, now)
        elif result is not None:
            self._answered(result, now)

    def _rechecked(self, position: Position) -> None:
        self._sending = None
        if position.offset < self._acked and self._done is not None:
            self._telling.went_back(self.source, self._acked, position.offset)
            self._acked = position.offset
            self._done.aside = None
            self.add(self._done)
            self._done = None

    def _answered(self, answer: EventsAnswer, now: float) -> None:
        sending = self._sending
        assert sending is not None
        self._acked = sending.position.offset
        if self.file is not None:
            self.file.pause.passed()
        self._exchange.hold(0)
        if not self._exchange.answered(answer, now):
            self._forget()

    def _failed(self, error: Exception, now: float) -> None:
        self._exchange.failed(sent=self._intake is not None)
        self._forget()
        file = self.file
        if isinstance(error, LogChanged):
            assert file is not None
            self._does_not_go_on(file, error, now)
            return
        if isinstance(error, NotALog) and file is not None:
            self._put_aside(file, error, now, "not_a_log")
            return
        if isinstance(error, (OSError, LogDamaged)) and file is not None:
            self._trouble(file, error, now)
            return
        self._exchange.wait(error, now)

    def _forget(self) -> None:
        """What was read and has no receipt is read again."""
        self._intake = None
        self._sending = None
        self._exchange.hold(0)

    # ── leaving a file

    def _leave(self, file: FollowedFile) -> None:
        """All of it is stored."""
        file.close()
        self._let_go()
        self._done = file
        self._telling.over("trouble", file.path)

    def _leave_cut(self, file: FollowedFile, error: LogChanged, at_byte: int, last: str = "") -> None:
        """The file is another log now; the copy that was made of it, if one was, is read on."""
        self._telling.cut(file.path, at_byte, last, error)
        self._let_go()
        self.was_cut, self._copy_until = True, float("inf")
        self._done = None
        file.begin_anew()

    def _does_not_go_on(self, file: FollowedFile, error: LogChanged, now: float) -> None:
        """The server stands where this file has something else."""
        tail = file.tail
        try:
            same = tail is not None and tail.head(finished=True) == file.head
        except (OSError, LogDamaged, NotALog):
            same = True
        if not same and self._reopened:  # another file has got its inode
            self._let_go()
            file.begin_anew()
            file.close()
            return
        if not same:  # it was cut while nothing of it was being read
            self._leave_cut(file, error, max(self._acked, 0))
            return
        if isinstance(error, LogShort) and self.was_cut and not file.live:
            self._put_aside(file, error, now, "")  # more was read than its copy has
            return
        self._put_aside(file, error, now, "not_as_read")

    def _put_aside(self, file: FollowedFile, error: Exception, now: float, event: str) -> None:
        """Left alone until it looks different, and then tried less and less often: it may look different for ever."""
        self._let_go()
        file.aside = file.seen
        if not file.live:
            file.close()
        self.candidates.append(file)
        if event:
            file.fault = True
            file.pause.failed(now)
            self._telling.trouble(event, event, file.path, error)

    def _trouble(self, file: FollowedFile, error: Exception, now: float) -> None:
        """The file cannot be opened or read now. One that is not where it was met is being rotated, and found again."""
        self._let_go()
        file.close()
        file.pause.failed(now)
        self.candidates.append(file)
        if isinstance(error, FileNotFoundError):
            return
        file.fault = True
        self._telling.trouble("trouble", "cannot_read", file.path, error)

"""May this event be stored now? Pure rules over columns of events.

Two kinds of rule: what an event is (checked before its key is looked up: it never changes with time) and what the world
is (unknown account, closed account, clock), which a known key never meets: it answers `duplicate` or `conflict` first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import FlowtallyError
from flowtally.core.events import MAX_LABEL_NAME_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS, labels_fault, time_of_id
from flowtally.core.texts import is_text, printable, text_fault
from flowtally.ingest.columns import Columns
from flowtally.keys.claims import Digests
from flowtally.ledger.texts import may_be_id


class Submitter(msgspec.Struct, frozen=True):
    """Who hands events in: the sender that owns its sources, the account it is bound to (None: any). `admin`:
    whether it may act for any sender."""

    sender: str
    account: str | None = None
    admin: bool = False


# What the world may still allow: the account or the user may come into being, the instant comes.
RETRIABLE: Final = frozenset({"unknown_account", "unknown_user", "time_in_future"})
NOT_YOUR_ACCOUNT: Final = "not_your_account"


class Reason(msgspec.Struct, frozen=True):
    """Why an event was not stored; the code is stable. `younger`: by a rule that rows may be older than, so that a key
    that is known answers first."""

    code: str
    detail: str
    younger: bool = False

    @property
    def retriable(self) -> bool:
        """Whether the same event may be stored another time."""
        return self.code in RETRIABLE


Reasons = dict[int, Reason]
Times = np.ndarray[Any, np.dtype[np.int64]]

_PLAIN_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-5][0-9])$"
)
FEW: Final = 8  # to look at one after the other takes no longer
MANY: Final = 64  # texts are made at once
_TEXTS: Final = ("account", "user", "product")
_QUANTITIES: Final = ("bytes_up", "bytes_down", "requests", "status")
_SHORTEST: Final = "0000-00-00T00:00:00"  # of them, but for where it is
_FRACTION: Final = len(".000000Z")
_SECONDS: Final = len("0000-00-00T00:00:")
_MICROS: Final = pa.timestamp("us", "UTC")
_UNDATED: Final = 0
NO_SUCH_USER: Final = "the account has no user of this name"


def faults(
    columns: Columns, unreadable: Mapping[int, str], distinct: Mapping[str, Sequence[str]] = {}
) -> tuple[Times, Reasons]:
    """When each event happened, and why some can never be stored; 0 where that cannot be told. `distinct`: the
    texts of columns that have few of them, where they are known."""
    reasons = {row: Reason("invalid_event", detail) for row, detail in unreadable.items()}
    for row, detail in _text_faults(columns, distinct):
        reasons.setdefault(row, Reason("invalid_event", detail, younger=True))
    if None in columns.sequence and "" in columns.id:
        for row, (id, sequence) in enumerate(zip(columns.id, columns.sequence, strict=True)):
            if not id and sequence is None:
                reasons.setdefault(row, Reason("no_id", "an event needs an id or a sequence"))
    if any(columns.labels) and not _labels_fit(columns.labels):
        for row, labels in enumerate(columns.labels):
            if labels and (fault := labels_fault(labels)):
                reasons.setdefault(row, Reason("bad_labels", fault, younger=True))
    return _times(columns, reasons), reasons


def _text_faults(columns: Columns, distinct: Mapping[str, Sequence[str]]) -> Iterator[tuple[int, str]]:
    # Names repeat: look at each distinct one once, and at the rows only where one is bad. Ids do not.
    for field in ("source", "account", "user", "product"):
        column: list[str] = getattr(columns, field)
        bad = {name for name in distinct.get(field) or set(column) if not is_text(name)}
        if bad:
            yield from ((row, _told(field, name)) for row, name in enumerate(column) if name in bad)
    if not _all_text(columns.id):
        for row, id in enumerate(columns.id):
            if not is_text(id):
                yield row, _told("id", id)
                if columns.sequence[row] is not None:
                    columns.id[row] = ""  # a refused number is kept, with its id


def _told(field: str, text: str) -> str:
    """The reason may be kept for ever, and a user's name must not be (decision 0024)."""
    return f"{field} {text_fault(text)}" if field == "user" else f"{field} '{printable(text, 80)}' {text_fault(text)}"


def _labels_fit(column: Sequence[dict[str, str] | None]) -> bool:
    """Whether none has a fault: names and values repeat too."""
    given = [labels for labels in column if labels]
    names, values = set[str]().union(*given), set[str]().union(*(labels.values() for labels in given))
    return max(map(len, given)) <= MAX_LABELS and (
        "" not in names and _within(names, MAX_LABEL_NAME_BYTES) and _within(values, MAX_LABEL_VALUE_BYTES)
    )


def _within(texts: Collection[str], most: int) -> bool:
    """Whether all of them may be kept and none has more bytes."""
    return _all_text(texts) and all(len(text) * 4 <= most or len(text.encode()) <= most for text in texts)


def _all_text(texts: Collection[str]) -> bool:
    """`is_text` of all of them, much faster where they are ASCII, which is the usual case."""
    joined = "".join(texts)
    if not joined.isascii():
        return is_text(joined)
    chars = joined.encode()
    return not chars or (np.frombuffer(chars, dtype=np.uint8).min() >= ord(" ") and b"\x7f" not in chars)


def _times(columns: Columns, reasons: Reasons) -> Times:
    times = _plain_times(columns.time)
    if times is None:
        times = np.zeros(len(columns), dtype=np.int64)
        for row, (id, text) in enumerate(zip(columns.id, columns.time, strict=True)):
            if row in reasons and text is None:
                continue
            try:
                times[row] = _time(id, text)
            except FlowtallyError as error:
                reasons.setdefault(row, Reason("bad_time", error.detail))
    for row in np.flatnonzero(times < 0).tolist():
        reasons.setdefault(row, Reason("bad_time", "time is before 1970"))
        times[row] = _UNDATED
    return times


def _plain_times(texts: list[str | None]) -> Times | None:
    """All times at once, where all are in the usual form; None sends the caller to the careful way."""
    if len(texts) < FEW or None in texts:
        return None
    column = pa.array(texts, pa.string())
    if not _all_alike(column) and not pc.all(pc.match_substring_regex(column, _PLAIN_TIME)).as_py():
        return None
    try:
        micros = pc.cast(column, _MICROS)
    except pa.ArrowInvalid:
        return None
    values: Times = micros.view(pa.int64()).to_numpy()
    return values // 1000


def _all_alike(column: Any) -> bool:
    """Whether all are known to be plain times in UTC, of one length: then it is seen much faster."""
    _, offsets, chars = column.buffers()
    size = len(column[0].as_py())
    if not len(_SHORTEST) < size <= len(_SHORTEST) + _FRACTION or size == len(_SHORTEST) + 2:
        return False
    if not np.array_equal(
        np.frombuffer(offsets, np.int32, len(column) + 1), np.arange(len(column) + 1, dtype=np.int32) * size
    ):
        return False
    pattern = (
        _SHORTEST + ("." + "0" * (size - len(_SHORTEST) - 2) if size > len(_SHORTEST) + 1 else "") + "Z"
    ).encode()
    lines = np.frombuffer(chars, np.uint8, len(column) * size).reshape(-1, size)
    low = np.frombuffer(pattern, np.uint8)
    high = np.where(low == ord("0"), ord("9"), low)
    high[_SECONDS] = ord("5")
    return bool((lines.min(axis=0) >= low).all() and (lines.max(axis=0) <= high).all())


def _time(id: str, text: str | None) -> int:
    if text is not None:
        return parse_instant(text)
    carried = time_of_id(id)
    if carried is None:
        raise FlowtallyError(f"no time, and the id {id[:64]!r} is no UUIDv7 or ULID that carries one")
    return carried


def all_fit(
    accounts: Collection[str],
    times: Times,
    writers: Sequence[tuple[Submitter, int]],
    statuses: Mapping[str, str],
    latest_at: int,
) -> bool:
    """Whether `world_faults` is known to find nothing, without a look at single events. `accounts`: of all of them."""
    return (
        _all_open(accounts, statuses)
        and all(writer.account is None or {writer.account}.issuperset(accounts) for writer, _ in writers)
        and not (times > latest_at).any()
    )


def _all_open(accounts: Iterable[str], statuses: Mapping[str, str]) -> bool:
    return all(statuses.get(account) in ("active", "suspended") for account in accounts)


def world_faults(
    columns: Columns,
    times: Times,
    writers: Sequence[tuple[Submitter, int]],
    statuses: Mapping[str, str],
    latest_at: int,
) -> Reasons:
    """Why some cannot be stored as the world is now: clock, account, the credential's account.

    `writers` are (writer, how many events) in order; `statuses` the status of every account that exists."""
    reasons: Reasons = {}
    for row in np.flatnonzero(times > latest_at).tolist():
        reasons[row] = in_future(format_instant(int(times[row])), latest_at)
    if not _all_open(set(columns.account), statuses):
        for row, account in enumerate(columns.account):
            if reason := account_reason(account, statuses.get(account)):
                reasons[row] = reason
    start = 0
    for writer, count in writers:
        if writer.account is not None:
            not_yours = not_your_account(writer.account)
            for row in range(start, start + count):
                if columns.account[row] != writer.account:  # said alike, whether the other account exists or not
                    reasons[row] = not_yours
        start += count
    return reasons


def in_future(time: object, latest_at: int) -> Reason:
    """Why nothing is stored that has still to come."""
    latest = format_instant(latest_at)
    return Reason("time_in_future", f"time {time} is in the future: the latest that is taken now is {latest}")


def account_reason(account: str, status: str | None) -> Reason | None:
    """Why an account of this status takes no use, None being the status of none; None where it does."""
    if status is None:
        return unknown_account(account)
    return closed_account(account) if status == "closed" else None


def closed_account(account: str) -> Reason:
    return Reason("account_closed", f"account {account!r} is closed")


def not_your_account(mine: str) -> Reason:
    """What who writes for one account is told of any other, whether it exists or not."""
    return Reason(NOT_YOUR_ACCOUNT, f"this credential writes for account {mine!r} only")


def unknown_account(account: str) -> Reason:
    """Why there is none of this name."""
    if may_be_id(account):
        return Reason("unknown_account", f"there is no account {account!r}")
    return Reason("invalid_event", f"account {account!r} cannot be part of a path, so there can be no such account")


def digests(columns: Columns, names: Mapping[str, Any] | None = None) -> Digests:
    """What must be equal for a retry to be a retry: account, user, product, quantities and status as received; not
    time, not labels. 64 bits, signed, as both databases have it. `names`: those columns where they are made."""
    contents = None if len(columns) < MANY else _contents_at_once(columns, names)
    if contents is None:
        contents = [
            f"{account}\0{user}\0{product}\0{up}\0{down}\0{requests}\0{status}".encode()
            for account, user, product, up, down, requests, status in zip(
                *(getattr(columns, name) for name in (*_TEXTS, *_QUANTITIES)), strict=True
            )
        ]
    values = np.array(list(map(xxhash.xxh3_64_intdigest, contents)), dtype=np.uint64)
    return values.view(np.int64)


def _contents_at_once(columns: Columns, names: Mapping[str, Any] | None) -> list[bytes] | None:
    """The same texts, made while other threads run; None sends the caller to the careful way."""
    try:
        texts = [
            pa.array(getattr(columns, name), pa.string()) if names is None else names[name].dictionary_decode()
            for name in _TEXTS
        ]
        quantities = [_decimal(getattr(columns, name)) for name in _QUANTITIES]
        return pc.binary_join_element_wise(*texts, *quantities, "\0").cast(pa.binary()).to_pylist()  # type: ignore[no-any-return]
    except (UnicodeEncodeError, OverflowError, pa.ArrowException):
        return None


def _decimal(values: Sequence[int]) -> Any:
    column = pa.array(values, pa.int64())
    first = values[0]
    return str(first) if values.count(first) == len(values) else pc.cast(column, pa.string())

"""What an error of the usage engine means to whoever asked: one table, from the engine's code to its meaning.

Only the code that the engine itself put first counts. The rest of its text repeats values and names of the question, so
nothing is looked for in there, but for what the system said (`errno`) where the engine says that it was the system.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from typing import Final

from clickhouse_connect.driver.exceptions import OperationalError
from urllib3.exceptions import HTTPError

from flowtally.core.errors import BadRange, FlowtallyError, StorageFull, StoreDamaged, Unavailable
from flowtally.usage.damage import READING, read_broken, said

QUERY_LIMIT_S: Final = 60


def _full() -> FlowtallyError:
    return StorageFull("There is no room left to store usage; reading goes on", retry_after_s=10)


def _slow() -> FlowtallyError:
    return Unavailable(f"The question took longer than {QUERY_LIMIT_S} s; ask for a smaller range", retry_after_s=5)


def _memory() -> FlowtallyError:
    return Unavailable(
        "The usage store has not the memory this needs; ask for a smaller range, or again later", retry_after_s=5
    )


def _too_many() -> FlowtallyError:
    return BadRange("This makes more sums than are answered; ask for fewer groups or spans")


def _busy() -> FlowtallyError:
    return Unavailable("The usage store has too much to do; try again later", retry_after_s=2)


def _behind() -> FlowtallyError:
    return Unavailable(
        "The usage store is behind with merging; it takes new rows when it has caught up", retry_after_s=10
    )


def _lost() -> FlowtallyError:
    return Unavailable("The usage store cannot be reached", retry_after_s=2)


def _refuses() -> FlowtallyError:
    return Unavailable(
        "The usage store does not let this server in: its user or password was changed", retry_after_s=10
    )


def _read_only() -> FlowtallyError:
    return Unavailable("The usage store is read-only for now", retry_after_s=10)


def _stopping() -> FlowtallyError:
    return Unavailable("The usage store ended the question: it is stopping, or an operator ended it", retry_after_s=2)


# The engine's codes: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
MEANINGS: Final[Mapping[int, Callable[[], FlowtallyError]]] = {
    **dict.fromkeys((243,), _full),  # NOT_ENOUGH_SPACE
    **dict.fromkeys((159, 160), _slow),  # TIMEOUT_EXCEEDED, TOO_SLOW
    **dict.fromkeys((173, 241, 777, 778, 1020), _memory),  # CANNOT_ALLOCATE_MEMORY, MEMORY_LIMIT_EXCEEDED, ...
    **dict.fromkeys((158,), _too_many),  # TOO_MANY_ROWS: where the question itself says how many
    **dict.fromkeys((202, 203, 364, 439, 749, 762, 776, 1019), _busy),  # TOO_MANY_SIMULTANEOUS_QUERIES, no thread, ...
    **dict.fromkeys((252, 692), _behind),  # TOO_MANY_PARTS, TOO_MANY_MUTATIONS
    **dict.fromkeys((209, 210, 225, 279, 999), _lost),  # SOCKET_TIMEOUT, NETWORK_ERROR, of the server with its own
    **dict.fromkeys((192, 193, 194, 195, 291, 497, 516), _refuses),  # AUTHENTICATION_FAILED, ACCESS_DENIED, ...
    **dict.fromkeys((164, 242), _read_only),  # READONLY, TABLE_IS_READ_ONLY
    **dict.fromkeys((236, 394, 735), _stopping),  # ABORTED, QUERY_WAS_CANCELLED
}
# A part or a file of it that is not what was written. `damage` reads which one.
DAMAGED: Final[Mapping[int, str]] = {
    3: "UNEXPECTED_END_OF_FILE",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    40: "CHECKSUM_DOESNT_MATCH",
    91: "SIZES_OF_MARKS_FILES_ARE_INCONSISTENT",
    107: "FILE_DOESNT_EXIST",
    117: "INCORRECT_DATA",
    226: "NO_FILE_IN_DATA_PART",
    227: "UNEXPECTED_FILE_IN_DATA_PART",
    228: "BAD_SIZE_OF_FILE_IN_DATA_PART",
    230: "NOT_FOUND_EXPECTED_DATA_PART",
    231: "TOO_MANY_UNEXPECTED_DATA_PARTS",
    246: "CORRUPTED_DATA",
    271: "CANNOT_DECOMPRESS",
    432: "UNKNOWN_CODEC",
    713: "BROKEN_PROJECTION",
    740: "POTENTIALLY_BROKEN_DATA_PART",
}
# The engine begins with its code, in the process or behind what the driver says of the server.
_CODE: Final = re.compile(
    r"(?:Received ClickHouse exception, code: \d+, server response: )?Code: (?P<code>\d+)\. DB::(?P<class>\w+): ",
    re.DOTALL,
)
_SERVER: Final = re.compile(r"Received ClickHouse exception, code: (?P<code>\d+)")
_STATUS: Final = re.compile(r"HTTP driver received HTTP status (429|5\d\d)\b")
_ERRNO: Final = re.compile(r"errno: (\d+), strerror: ")
_FILESYSTEM: Final = re.compile(r"std::[\w:]+: filesystem error: in [\w ]+: (?P<said>[^\[(]+)")

STD_EXCEPTION: Final = 1001  # whatever the engine did not raise itself
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_BY_TEXT: Final = {os.strerror(number): number for number in errno.errorcode}
_OF_SYSTEM: Final[Mapping[int, str]] = {
    errno.EROFS: "its file system is read-only",
    errno.EIO: "its disk fails to read or write",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
    errno.ENOMEM: "there is no memory left",
    errno.EAGAIN: "the system is short of something",
    errno.EACCES: "a file of it may not be opened",
    errno.EPERM: "a file of it may not be changed",
}


def code_of(error: BaseException) -> int | None:
    """The engine's own code of this error; None where the engine said none (a network, a driver)."""
    text = str(error)
    found = _CODE.match(text) or _SERVER.match(text)
    return int(found["code"]) if found else None


def is_damage(error: BaseException) -> bool:
    """Whether a part is not what was written."""
    return code_of(error) in DAMAGED or errno_of(error) == errno.ENOENT


def errno_of(error: BaseException) -> int | None:
    """What the system told the engine, where the engine says that it did."""
    text = str(error)
    found = _CODE.match(text)
    if found is None:
        return None
    if found["class"] == "ErrnoException":
        said = _ERRNO.search(text, found.end())
        return int(said[1]) if said else None
    if found["code"] == str(STD_EXCEPTION) and (failed := _FILESYSTEM.match(text, found.end())):
        return _BY_TEXT.get(failed["said"].strip())
    return None


def meaning(error: Exception) -> FlowtallyError | None:
    """What the engine's error means to a caller, where it means something to one."""
    if isinstance(error, (HTTPError, ConnectionError, TimeoutError)):
        return _lost()
    if isinstance(error, OSError):
        return _of_errno(error.errno)
    code = code_of(error)
    if code is not None and code in MEANINGS:
        return MEANINGS[code]()
    if code is not None and is_damage(error):
        return _damaged(str(error))
    if code is not None and (known := _of_errno(errno_of(error))):
        return known
    if code is not None:
        return _damaged(str(error)) if code != STD_EXCEPTION and READING.search(str(error)) else None
    lost = isinstance(error, OperationalError) or _STATUS.match(str(error))
    return _lost() if lost else None


def _damaged(text: str) -> FlowtallyError:
    broken = read_broken(text)
    if broken is None:
        return StoreDamaged(f"The usage store cannot be read: {said(text)}. An operator is needed.", part="", file="")
    return StoreDamaged(
        f"The usage store cannot be read: {broken}. An operator is needed.", part=broken.part, file=broken.file
    )


def _of_errno(number: int | None) -> FlowtallyError | None:
    if number in _NO_ROOM:
        return _full()
    why = _OF_SYSTEM.get(number or 0)
    return Unavailable(f"The usage store does not answer: {why}", retry_after_s=10) if why else None

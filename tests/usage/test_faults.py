"""What the engine's errors mean: by its own code alone, whatever values and names the rest of the text repeats."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver._backend.httpcommon import build_http_error
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from flowtally.core.errors import StorageFull, StoreDamaged, Unavailable
from flowtally.usage.engine import Engine
from flowtally.usage.faults import DAMAGED, MEANINGS, code_of, is_damage, meaning

# As chDB said them on a full disk: room, room for the head of a file, inodes, twice.
FULL = [
    "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)",
    "Code: 76. DB::ErrnoException: Cannot open file /disk/usage/store/9c4/tmp_mutation_3.txt: , errno: 28, strerror: "
    "No space left on device. (CANNOT_OPEN_FILE)",
    "Code: 1001. DB::Exception: std::__1::filesystem::filesystem_error: filesystem error: in create_directories: No "
    'space left on device ["/disk/usage/store/9c4/tmp_insert_all_2_2_0"]. (STD_EXCEPTION)',
    "Code: 75. DB::ErrnoException: Cannot write to file /disk/x: , errno: 122, strerror: Disk quota exceeded. "
    "(CANNOT_WRITE_TO_FILE_DESCRIPTOR)",
]
UNAVAILABLE = [
    "Code: 241. DB::Exception: Query memory limit exceeded: would use 12.06 MiB. (MEMORY_LIMIT_EXCEEDED)",
    "Code: 159. DB::Exception: Timeout exceeded: elapsed 60253.249 ms, maximum: 60000.000 ms. (TIMEOUT_EXCEEDED)",
    "Code: 252. DB::Exception: Too many parts (1 with average size of 350.00 B) in table 'default.t'. (TOO_MANY_PARTS)",
    "Code: 76. DB::ErrnoException: Cannot open file /x: , errno: 24, strerror: Too many open files. (CANNOT_OPEN_FILE)",
    "Code: 1001. DB::Exception: std::__1::filesystem::filesystem_error: filesystem error: in create_directories: "
    'Read-only file system ["/disk/x"]. (STD_EXCEPTION)',
]
WITHOUT = [
    "Code: 47. DB::Exception: Unknown expression identifier `Code: 243. ENOSPC`. (UNKNOWN_IDENTIFIER)",
    "Code: 1001. DB::Exception: std::out_of_range: basic_string. (STD_EXCEPTION)",
    "Code: 1001. DB::Exception: std::runtime_error: No space left on device. (STD_EXCEPTION)",
    "Code: 36. DB::Exception: 'errno: 28, strerror: No space left on device'. (BAD_ARGUMENTS)",
    "boost said: Code: 243. DB::Exception: Cannot reserve",
    "",
]


@pytest.mark.parametrize("text", FULL)
def test_a_full_disk_is_told_as_one(text: str) -> None:
    assert isinstance(meaning(DatabaseError(text)), StorageFull)


@pytest.mark.parametrize("text", UNAVAILABLE)
def test_what_passes_is_unavailable_for_a_reason(text: str) -> None:
    told = meaning(DatabaseError(text))
    assert type(told) is Unavailable
    assert 1 <= told.retry_after_s <= 60


@pytest.mark.parametrize("text", WITHOUT)
def test_everything_else_is_what_it_is(text: str) -> None:
    assert meaning(DatabaseError(text)) is None


@pytest.mark.parametrize("text", [*FULL, *UNAVAILABLE, *WITHOUT[:-2]])
def test_a_servers_answer_means_the_same_as_the_engine_in_the_process(text: str) -> None:
    code = text.partition(".")[0].removeprefix("Code: ")
    error = build_http_error(
        status=500, err_code=code, full_body=text, show_clickhouse_errors=True, url="http://h", retried=False
    )
    assert code_of(error) == int(code)
    assert type(meaning(error)) is type(meaning(DatabaseError(text)))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_proxy_that_finds_no_server_behind_it_is_a_network(status: int) -> None:
    error = build_http_error(
        status=status, err_code=None, full_body="Code: 243", show_clickhouse_errors=True, url="", retried=False
    )
    assert type(meaning(error)) is Unavailable


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("Error HTTPConnectionPool(host='h', port=1): Max retries exceeded executing HTTP request"),
        OperationalError("Failed to read response data from server"),
        ProtocolError("Connection broken"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        TimeoutError("timed out"),
    ],
)
def test_a_server_that_cannot_be_reached_is_unavailable(error: Exception) -> None:
    told = meaning(error)
    assert type(told) is Unavailable
    assert told.detail == "The usage store cannot be reached"


def test_a_block_that_finds_no_room_on_its_way_to_the_engine_is_a_full_disk() -> None:
    assert isinstance(meaning(OSError(errno.ENOSPC, "No space left on device")), StorageFull)
    assert meaning(FileNotFoundError(errno.ENOENT, "No such file")) is None


@given(
    st.sampled_from([1, 6, 36, 47, 60, 395, 1001, 1002]), st.text(), st.sampled_from([*FULL, *UNAVAILABLE]), st.text()
)
def test_no_value_that_is_repeated_changes_what_an_error_means(code: int, before: str, said: str, after: str) -> None:
    text = f"Code: {code}. DB::Exception: {before}{said}{after}"
    assert meaning(DatabaseError(text)) is None
    assert not is_damage(DatabaseError(text))


def test_no_code_has_two_meanings() -> None:
    assert not MEANINGS.keys() & DAMAGED.keys()


def test_a_broken_part_is_damage_and_tells_which() -> None:
    place = "/data/usage/store/1b3/1b3c4d23-b51a-433a-a1ae-25148efc5bd2/202603_1_1_0"
    broken = (
        "Code: 40. DB::Exception: Checksum doesn't match: corrupted data. Reference: 2f. If you receive it over nets"
        f": While reading or decompressing {place}/data.bin (position: 1009): (while reading column id): (while reading"
        f" from part {place}/ in table default.usage_events located on disk default): While executing MergeTreeSelect("
        "pool: ReadPool). (CHECKSUM_DOESNT_MATCH)"
    )
    gone = (
        f"Code: 76. DB::ErrnoException: Cannot open file {place}/buckets.proj/data.bin: , errno: 2, strerror: No such"
    )
    misread = (
        f"Code: 9. DB::Exception: Sizes differ: (while reading from part {place}/ in t): While executing MergeTreeX(p"
    )
    told = [meaning(DatabaseError(text)) for text in (broken, gone, misread)]
    assert [type(one) for one in told] == [StoreDamaged] * 3
    parts = [(one.extra["part"], one.extra["file"]) for one in told if one]
    assert parts == [("202603_1_1_0", "data.bin"), ("202603_1_1_0", "buckets.proj/data.bin"), ("202603_1_1_0", "")]
    assert is_damage(DatabaseError(broken))
    assert is_damage(DatabaseError(gone))


@pytest.fixture
def engine(chdb_directory: Path, database_url: str) -> Any:
    opened = Engine(database_url)
    yield opened
    opened.close()


def test_a_value_in_a_question_that_looks_like_a_full_disk_fools_nobody(engine: Engine) -> None:
    value = "Code: 243. DB::Exception: errno: 28, strerror: No space left on device (NOT_ENOUGH_SPACE) ENOSPC"
    with pytest.raises(ClickHouseError) as caught:
        engine.rows("SELECT toUInt8({value:String})", {"value": value})
    assert code_of(caught.value) == 6
    assert value[:20] in str(caught.value)


def test_a_question_that_needs_too_much_memory_is_unavailable(engine: Engine) -> None:
    with pytest.raises(Unavailable, match="memory"):
        engine.rows("SELECT groupArray(number) FROM numbers(100000000)", max_memory_usage=10_000_000)


def test_after_a_question_that_failed_the_next_one_is_answered_in_its_own_form(engine: Engine) -> None:
    """Seen: after a failed question for Arrow the next on that connection was answered in Arrow."""
    for _ in range(10):
        with pytest.raises((ClickHouseError, Unavailable)):
            engine.arrow("SELECT throwIf(number = 3) FROM numbers(10) SETTINGS max_block_size = 1", {})
        assert engine.rows("SELECT toUInt8(7), 'x'") == [(7, "x")]

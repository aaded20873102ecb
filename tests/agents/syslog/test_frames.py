"""Messages are the same however the bytes of a connection are cut, and nothing that was not whole is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.reader import MAX_LINE_BYTES
from flowtally.agents.syslog.frames import MAX_MESSAGE_BYTES, Frames

TEXT = st.binary(min_size=0, max_size=60).map(lambda tail: b"<134>1 " + tail.replace(b"\n", b"").rstrip(b"\r\0"))
CUTS = st.lists(st.integers(1, 40), max_size=30)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    found, at = [], 0
    for size in cuts:
        found.append(data[at : at + size])
        at += size
    return [*found, data[at:]]


def fed(frames: Frames, data: bytes, cuts: list[int]) -> list[bytes]:
    return [message for piece in pieces(data, cuts) for message in frames.feed(piece)]


def counted(messages: list[bytes]) -> bytes:
    return b"".join(b"%d %s" % (len(one), one) for one in messages)


@given(st.lists(TEXT, max_size=8), CUTS, st.sampled_from(["auto", "lines"]), st.sampled_from([b"\n", b"\r\n"]))
def test_a_line_feed_ends_a_message_wherever_the_bytes_are_cut(
    messages: list[bytes], cuts: list[int], framing: str, end: bytes
) -> None:
    frames = Frames(framing)  # type: ignore[arg-type]
    assert fed(frames, b"".join(one + end for one in messages), cuts) == messages
    assert frames.pending_bytes == 0


@given(st.lists(TEXT, max_size=8), CUTS, st.sampled_from(["auto", "octets"]))
def test_counted_messages_are_the_same_wherever_the_bytes_are_cut(
    messages: list[bytes], cuts: list[int], framing: str
) -> None:
    frames = Frames(framing)  # type: ignore[arg-type]
    assert fed(frames, counted(messages), cuts) == messages
    assert (frames.pending_bytes, frames.lost) == (0, "")


@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(1, 20), CUTS, st.booleans())
def test_a_connection_that_ends_inside_a_message_gives_no_half(
    messages: list[bytes], missing: int, cuts: list[int], by_count: bool
) -> None:
    data = counted(messages) if by_count else b"".join(one + b"\n" for one in messages)
    data = data[: -min(missing, len(messages[-1]))]
    frames = Frames("octets" if by_count else "lines")
    assert fed(frames, data, cuts) == messages[:-1]
    assert frames.pending_bytes


@given(st.binary(max_size=300), CUTS)
def test_no_bytes_break_it(data: bytes, cuts: list[int]) -> None:
    frames = Frames()
    assert all(b"\n" not in message for message in fed(frames, data, cuts))


def test_a_counted_message_of_several_lines_is_one_line() -> None:
    assert Frames().feed(counted([b"<134>a\nGET /\r\n"])) == [b"<134>a\\nGET /"]


@pytest.mark.parametrize("step", [1 << 16, 5000])
def test_a_message_that_is_too_long_is_given_cut_and_the_next_is_whole(step: int) -> None:
    long = b"<1>" + b"x" * (3 * MAX_LINE_BYTES)
    for data in (counted([long, b"<1>next"]), long + b"\n<1>next\n"):
        frames = Frames()
        first, second = fed(frames, data, [step] * (len(data) // step))
        assert MAX_LINE_BYTES < len(first) <= MAX_LINE_BYTES + 1
        assert long.startswith(first)
        assert second == b"<1>next"


def test_memory_is_bounded_by_a_line() -> None:
    frames = Frames("lines")
    for _ in range(100):
        frames.feed(b"x" * MAX_LINE_BYTES)
        assert frames.pending_bytes <= MAX_LINE_BYTES + 1


@pytest.mark.parametrize("bad", [b"<134>no count", b"0 <1>x", b"99999999999 x", b"%d <1>" % (MAX_MESSAGE_BYTES + 1)])
def test_what_came_before_a_count_that_is_none_is_given(bad: bytes) -> None:
    frames = Frames()
    assert frames.feed(counted([b"<1>good"]) + bad) == [b"<1>good"]
    assert frames.lost


def test_lines_that_begin_with_a_number_are_no_counts() -> None:
    line = b"1795973020 344 127.0.0.1 200 12 34"
    assert Frames().feed(line + b"\n") == [line]

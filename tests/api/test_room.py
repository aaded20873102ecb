"""Bodies in work are bounded together."""

from __future__ import annotations

import pytest

from flowtally.api.room import BodyRoom
from flowtally.errors import QueueFull


def test_bodies_together_hold_at_most_the_limit() -> None:
    room = BodyRoom(100)
    with room.hold() as first, room.hold() as second:
        first.add(60)
        second.add(40)
        with pytest.raises(QueueFull, match="60 bytes are in work"):
            second.add(1)
    assert room.held == 0


def test_a_body_alone_is_never_without_room() -> None:
    room = BodyRoom(10)
    with room.hold() as only:
        only.add(8)
        only.add(8)
    assert room.held == 0


def test_room_comes_back_when_a_request_fails() -> None:
    room = BodyRoom(10)
    with room.hold() as hold:
        hold.add(10)
        with room.hold() as other, pytest.raises(QueueFull):
            other.add(1)
    with room.hold() as next_one:
        next_one.add(10)
